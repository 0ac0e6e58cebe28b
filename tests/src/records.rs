//! Sinks that remember what they were given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use odeon_protocol::{Generation, PluginName, Serial};
use odeon_runtime::{AuditSink, Denial, Level, LogLine, LogSink, SecretError, SecretSource, Stream};
use zeroize::Zeroizing;

/// A line as a sink got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The plugin's name.
    pub plugin: String,
    /// The request, where one was named.
    pub serial: Option<Serial>,
    /// Where it was written to.
    pub stream: Stream,
    /// How important.
    pub level: Level,
    /// The guest's context.
    pub context: String,
    /// The text.
    pub text: String,
    /// Lines lost before it.
    pub dropped: u64,
}

/// A denial as a sink got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The plugin's name.
    pub plugin: String,
    /// The kind of the missing grant.
    pub kind: &'static str,
    /// What was asked for.
    pub target: String,
}

/// Whose word a denial was, and for whom the plugin worked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// The rule; empty where none is known.
    pub rule: String,
    /// The plugins of the chain and itself; empty where it worked for none.
    pub chain: Vec<String>,
}

/// Takes everything a plugin says and does, and holds its secrets.
#[derive(Default)]
pub struct Records {
    lines: Mutex<Vec<Line>>,
    denials: Mutex<Vec<Denied>>,
    reasons: Mutex<Vec<String>>,
    whose: Mutex<Vec<Whose>>,
    revealed: Mutex<Vec<String>>,
    secrets: Mutex<BTreeMap<String, Vec<u8>>>,
    audit_broken: AtomicBool,
}

impl Records {
    /// The lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    /// The denials so far.
    pub fn denials(&self) -> Vec<Denied> {
        self.denials.lock().unwrap().clone()
    }

    /// Why the denials so far were made, in the same order.
    pub fn reasons(&self) -> Vec<String> {
        self.reasons.lock().unwrap().clone()
    }

    /// Whose word the denials so far were, in the same order.
    pub fn whose(&self) -> Vec<Whose> {
        self.whose.lock().unwrap().clone()
    }

    /// The names of secrets whose use was written down so far.
    pub fn revealed(&self) -> Vec<String> {
        self.revealed.lock().unwrap().clone()
    }

    /// Puts a secret into the store.
    pub fn keep_secret(&self, name: &str, bytes: &[u8]) {
        self.secrets.lock().unwrap().insert(name.into(), bytes.into());
    }

    /// From now on nothing can be written to the audit.
    pub fn break_audit(&self) {
        self.audit_broken.store(true, Ordering::SeqCst);
    }
}

impl LogSink for Records {
    fn line(&self, line: LogLine<'_>) {
        self.lines.lock().unwrap().push(Line {
            plugin: line.plugin.to_string(),
            serial: line.serial,
            stream: line.stream,
            level: line.level,
            context: line.context.into(),
            text: line.text.into(),
            dropped: line.dropped,
        });
    }
}

impl AuditSink for Records {
    fn denied(&self, denial: Denial<'_>) {
        self.denials.lock().unwrap().push(Denied {
            plugin: denial.plugin.to_string(),
            kind: denial.kind,
            target: denial.target.into(),
        });
        self.reasons.lock().unwrap().push(denial.reason.into());
        self.whose.lock().unwrap().push(Whose {
            rule: denial.rule.unwrap_or_default().into(),
            chain: denial.chain.iter().map(|name| (*name).to_owned()).collect(),
        });
    }

    fn revealed(&self, _: &PluginName, _: Generation, secret: &str) -> bool {
        if self.audit_broken.load(Ordering::SeqCst) {
            return false;
        }
        self.revealed.lock().unwrap().push(secret.into());
        true
    }
}

impl SecretSource for Records {
    fn place(&self, name: &str) -> Option<PathBuf> {
        // What is the same is kept in one place.
        let secrets = self.secrets.lock().unwrap();
        secrets.get(name).map(|bytes| format!("{bytes:?}").into())
    }

    fn reveal(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let secrets = self.secrets.lock().unwrap();
        secrets
            .get(name)
            .map(|bytes| Zeroizing::new(bytes.clone()))
            .ok_or(SecretError::NotFound)
    }
}
