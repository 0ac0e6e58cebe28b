//! The one error shape that crosses any boundary.
//!
//! Owns what a caller is told when there is no result. A fault's message names
//! what was expected, what was found and what to do; it never holds a secret,
//! a path of the host that the caller did not name, or Debug text.

use serde::{Deserialize, Serialize};

use crate::code::{Blame, Code, Kind, Retry};

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} [{code}]")]
pub struct Fault {
    /// The stable code; kind, blame and retry follow from it.
    pub code: Code,
    /// One or more lines for a person.
    pub message: String,
    /// Facts for a program, with field names that are stable per code.
    pub details: Option<serde_json::Value>,
    /// The guest's own frames, innermost first, when it trapped.
    pub backtrace: Option<Vec<String>>,
}

impl Fault {
    /// A fault with a message and nothing else.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Fault {
            code,
            message: message.into(),
            details: None,
            backtrace: None,
        }
    }

    /// Adds facts for a program.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds the guest's frames.
    #[must_use]
    pub fn with_backtrace(mut self, frames: Vec<String>) -> Self {
        self.backtrace = Some(frames);
        self
    }

    /// The caller's waiting time ended. Whoever finds that out first, the
    /// request's clock or the call itself, says it in the same words.
    pub fn wait_ended(executed: Executed) -> Self {
        let (message, details) = match executed {
            Executed::Maybe => (
                "the call was stopped because the caller's waiting time ended; wait longer, or call without waiting",
                serde_json::json!({ "reason": "deadline" }),
            ),
            Executed::Not => (
                "the caller's waiting time ended before the call was started; wait longer, or call without waiting",
                serde_json::json!({ "reason": "deadline", "executed": false }),
            ),
        };
        Fault::new(Code::WaitEnded, message).with_details(details)
    }

    /// What sort of thing happened.
    pub fn kind(&self) -> Kind {
        self.code.kind()
    }

    /// Whose doing it was.
    pub fn blame(&self) -> Blame {
        self.code.blame()
    }

    /// Whether the same request may be sent again.
    pub fn retry(&self) -> Retry {
        match self.code.retry() {
            // Of the plugin that it ended in, nothing may have been executed; of
            // those that led there, something was.
            Retry::Safe if self.is_passed_on() => Retry::Unsafe,
            retry => retry,
        }
    }

    /// Says by which chain of plugins a call came to where this ended it,
    /// outermost first.
    #[must_use]
    pub fn passed_on(mut self, chain: &[String]) -> Self {
        let mut details = match self.details.take() {
            Some(serde_json::Value::Object(details)) => details,
            _ => serde_json::Map::new(),
        };
        // True of the last of them alone.
        details.remove("executed");
        details.insert(Self::CHAIN.to_owned(), chain.into());
        self.details = Some(details.into());
        self
    }

    /// Whether it ended a call that another plugin made in the course of the
    /// one that it is told to.
    pub fn is_passed_on(&self) -> bool {
        let chain = self.details.as_ref().and_then(|details| details.get(Self::CHAIN));
        chain.is_some_and(serde_json::Value::is_array)
    }

    /// The methods through which a call came to where this ended it, outermost
    /// first; nothing where it ended in the first.
    pub fn chain(&self) -> Vec<String> {
        let chain = self.details.as_ref().and_then(|details| details.get(Self::CHAIN));
        let methods = chain.and_then(serde_json::Value::as_array).into_iter().flatten();
        methods
            .filter_map(|method| method.as_str().map(str::to_owned))
            .collect()
    }

    /// The detail that names the chain of plugins.
    const CHAIN: &str = "chain";
}

/// Whether anything of a call was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executed {
    /// It was started, and may have had effects.
    Maybe,
    /// It was never started.
    Not,
}

/// The form in which a fault is written as JSON: `code`, `kind`, `message`,
/// `blame`, `retry`, `details` and, for traps, `backtrace`.
#[derive(Serialize)]
struct Written<'a> {
    code: Code,
    kind: Kind,
    message: &'a str,
    blame: Blame,
    retry: Retry,
    details: Option<&'a serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backtrace: Option<&'a [String]>,
}

/// What a reader takes of it: the code says the rest, so that words which a
/// newer host has for kind, blame or retry do not matter.
#[derive(Deserialize)]
struct Read {
    code: String,
    message: String,
    #[serde(default)]
    details: Option<serde_json::Value>,
    #[serde(default)]
    backtrace: Option<Vec<String>>,
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            code: self.code,
            kind: self.kind(),
            message: &self.message,
            blame: self.blame(),
            retry: self.retry(),
            details: self.details.as_ref(),
            backtrace: self.backtrace.as_deref(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fault {
    /// A code that this version does not know is read as
    /// [`Code::Internal`], with the code in the message.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read {
            code,
            message,
            details,
            backtrace,
        } = Read::deserialize(deserializer)?;
        let (code, message) = match Code::parse(&code) {
            Some(code) => (code, message),
            None if is_code(&code) => (
                Code::Internal,
                format!("{message} ({code}, which this version does not know)"),
            ),
            None => return Err(serde::de::Error::custom("expected a code ODN-… of four digits")),
        };
        Ok(Fault {
            code,
            message,
            details,
            backtrace,
        })
    }
}

/// Whether this is the text of a code, of this version or a later one.
fn is_code(text: &str) -> bool {
    text.strip_prefix("ODN-")
        .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
