//! How a request ended.
//!
//! Owns the four ends a request can have. Each but the first carries a fault.

use std::time::Duration;

use odeon_protocol::{Code, Fault, Generation};

/// What a method returned, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The bytes of the result.
    pub body: Vec<u8>,
    /// The generation of the plugin that answered.
    pub generation: Generation,
    /// How long the method ran.
    pub elapsed: Duration,
}

/// The final status of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The method returned a result.
    Succeeded(Answer),
    /// It was started and ended in a fault. The answer is there when the
    /// fault is the method's own typed error.
    Failed {
        /// Why there is no result.
        fault: Fault,
        /// The method's own error as the value it returned.
        answer: Option<Answer>,
    },
    /// It was not started and never will be, by no wish of its caller.
    Rejected(Fault),
    /// It was ended before it had a result: by its caller, an operator, a
    /// deadline, or because its plugin or host went.
    Cancelled(Fault),
}

impl Outcome {
    /// A failure without an answer.
    pub fn failed(fault: Fault) -> Self {
        Outcome::Failed { fault, answer: None }
    }

    /// Which of the four ends this is.
    pub fn kind(&self) -> Final {
        match self {
            Outcome::Succeeded(_) => Final::Succeeded,
            Outcome::Failed { .. } => Final::Failed,
            Outcome::Rejected(_) => Final::Rejected,
            Outcome::Cancelled(_) => Final::Cancelled,
        }
    }

    /// What the method returned, its own error included.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Outcome::Succeeded(answer) => Some(answer),
            Outcome::Failed { answer, .. } => answer.as_ref(),
            Outcome::Rejected(_) | Outcome::Cancelled(_) => None,
        }
    }

    /// Why there is no result.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Outcome::Succeeded(_) => None,
            Outcome::Failed { fault, .. } | Outcome::Rejected(fault) | Outcome::Cancelled(fault) => {
                Some(fault)
            }
        }
    }

    /// The code of the fault.
    pub fn code(&self) -> Option<Code> {
        self.fault().map(|fault| fault.code)
    }
}

/// The name of a request's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Final {
    /// It has a result.
    Succeeded,
    /// It was started and has none.
    Failed,
    /// It was never started.
    Rejected,
    /// It was ended.
    Cancelled,
}

impl Final {
    /// The word for it in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Final::Succeeded => "succeeded",
            Final::Failed => "failed",
            Final::Rejected => "rejected",
            Final::Cancelled => "cancelled",
        }
    }
}
