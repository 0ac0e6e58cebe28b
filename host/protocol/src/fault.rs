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
        self.code.retry()
    }
}

/// The form in which a fault is written as JSON: `code`, `kind`, `message`,
/// `blame`, `retry`, `details` and, for traps, `backtrace`. What a reader
/// trusts is the code; the words beside it are for people.
#[derive(Serialize, Deserialize)]
struct Written {
    code: Code,
    kind: Kind,
    message: String,
    blame: Blame,
    retry: Retry,
    #[serde(default)]
    details: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backtrace: Option<Vec<String>>,
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            code: self.code,
            kind: self.kind(),
            message: self.message.clone(),
            blame: self.blame(),
            retry: self.retry(),
            details: self.details.clone(),
            backtrace: self.backtrace.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written {
            code,
            message,
            details,
            backtrace,
            ..
        } = Written::deserialize(deserializer)?;
        Ok(Fault {
            code,
            message,
            details,
            backtrace,
        })
    }
}
