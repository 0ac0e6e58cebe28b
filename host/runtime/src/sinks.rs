//! Where a plugin's words, denials and secrets go and come from.
//!
//! Owns the three boundaries at which the runtime meets whoever runs it. The
//! daemon and a one-shot run implement them differently; the runtime knows
//! neither.
//!
//! **Invariant:** an implementation returns at once: it is called on the
//! thread of the guest, between two of its instructions.

use std::path::PathBuf;

use odeon_protocol::{Generation, PluginName, Serial, SpanRef};
use zeroize::Zeroizing;

/// Where a line of text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The guest's standard output.
    Stdout,
    /// The guest's standard error.
    Stderr,
    /// The logging interface.
    Log,
}

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// What a developer wants to see.
    Debug,
    /// What an operator wants to see.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
    /// The plugin cannot go on.
    Critical,
}

/// One line a guest wrote.
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    /// Which plugin.
    pub plugin: &'a PluginName,
    /// Which of its generations.
    pub generation: Generation,
    /// The request during which it was written, where one is known.
    pub serial: Option<Serial>,
    /// The call during which it was written, where that is traced.
    pub span: Option<SpanRef>,
    /// Where it was written to.
    pub stream: Stream,
    /// How important it is: `info` for standard output, `warn` for standard error.
    pub level: Level,
    /// The context the guest gave, for the logging interface.
    pub context: &'a str,
    /// The line, without its end, control characters included.
    pub text: &'a str,
    /// Lines dropped before this one because the guest wrote too much.
    pub dropped: u64,
}

/// Takes the lines of guests.
pub trait LogSink: Send + Sync {
    /// Takes one line.
    fn line(&self, line: LogLine<'_>);
}

/// A use of something that no grant covers.
#[derive(Clone, Copy, Debug)]
pub struct Denial<'a> {
    /// Which plugin.
    pub plugin: &'a PluginName,
    /// Which of its generations.
    pub generation: Generation,
    /// The kind of grant that was missing: `fs`, `tcp`, `http`, `secret`, …
    pub kind: &'static str,
    /// What was asked for, as the guest named it.
    pub target: &'a str,
    /// Why it was refused.
    pub reason: &'a str,
    /// Whose word that is, where it can be told.
    pub rule: Option<&'a str>,
    /// The plugins it worked for, outermost first, and itself; empty where it
    /// worked for none.
    pub chain: &'a [&'a str],
}

/// Takes what belongs into the audit.
pub trait AuditSink: Send + Sync {
    /// Takes a denial. Repeated ones may be counted instead of written.
    fn denied(&self, denial: Denial<'_>);

    /// Takes the use of a secret. Answers whether it could be written down; if
    /// not, the secret is not revealed.
    fn revealed(&self, plugin: &PluginName, generation: Generation, secret: &str) -> bool;
}

/// Why there is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The store has none of this name.
    #[error("there is no secret of this name")]
    NotFound,
    /// The store cannot be read now.
    #[error("the secrets cannot be read now")]
    Unavailable,
}

/// Gives out secrets by name. Grants were checked before it is asked.
pub trait SecretSource: Send + Sync {
    /// The bytes of the secret `name`.
    ///
    /// # Errors
    ///
    /// When there is none, or the source cannot be read.
    fn reveal(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError>;

    /// Where that is kept, if there is one. Two plugins have the same secret when
    /// it is kept in the same place, whatever they call it.
    fn place(&self, name: &str) -> Option<PathBuf>;
}
