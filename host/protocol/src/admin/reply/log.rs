//! What is logged, and the lines of it.

use serde::{Deserialize, Serialize};

use crate::id::{Generation, PluginName};

/// What the host logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevelReply {
    /// The setting now in force.
    pub directive: String,
}

/// Where a log line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    /// The host itself.
    Host,
    /// A plugin's standard output.
    Stdout,
    /// A plugin's standard error.
    Stderr,
    /// A plugin's use of the logging interface.
    Log,
    /// A source that this version has no word for.
    #[serde(other)]
    Unknown,
}

/// One line that a plugin or the host wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, in RFC 3339 with UTC.
    pub time: String,
    /// The plugin; absent for the host's own lines.
    pub plugin: Option<PluginName>,
    /// The plugin's generation.
    pub generation: Option<Generation>,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// Where it came from.
    pub stream: LogSource,
    /// The line, without its end.
    pub text: String,
    /// How many lines before this one were dropped because there were too many.
    #[serde(default)]
    pub dropped: u64,
}
