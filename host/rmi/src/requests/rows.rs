//! Requests as a status dump shows them.
//!
//! Owns copies: a row holds nothing of its request but the texts.

use std::{sync::Arc, time::Duration};

use odeon_protocol::{Code, Serial};

use crate::{cancel::CancelReason, outcome::Final};

/// Where an open request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenState {
    /// Accepted and not started.
    Pending,
    /// Started.
    Running,
    /// Started, and told to end.
    Cancelling(CancelReason),
}

impl OpenState {
    /// The word for it in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            OpenState::Pending => "pending",
            OpenState::Running => "running",
            OpenState::Cancelling(_) => "cancelling",
        }
    }
}

/// A request that is accepted and not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRow {
    /// The request.
    pub serial: Serial,
    /// The method's path.
    pub target: Arc<str>,
    /// Who asked.
    pub principal: Arc<str>,
    /// Where it is.
    pub state: OpenState,
    /// How long ago it was accepted.
    pub age: Duration,
    /// How much is done and how much there is, as last reported.
    pub progress: Option<(u64, Option<u64>)>,
}

/// A request that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRow {
    /// The request.
    pub serial: Serial,
    /// The method's path.
    pub target: Arc<str>,
    /// Who asked.
    pub principal: Arc<str>,
    /// How it ended.
    pub end: Final,
    /// The code of its fault.
    pub code: Option<Code>,
    /// The time from acceptance to end.
    pub took: Duration,
}
