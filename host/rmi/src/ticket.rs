//! The executing side of a request.
//!
//! Owns the promise that every request ends: whoever holds a [`Ticket`] or a
//! [`Running`] either finishes it or, by dropping it, lets the host say that
//! the request was lost.

use std::sync::Arc;

use odeon_protocol::{Fault, Serial};

use crate::{
    cancel::CancelSignal,
    outcome::Outcome,
    request::{self, Request},
};

/// Ends its request when it is dropped, if nothing else has.
#[derive(Debug)]
struct Owner(Arc<Request>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.finish(|| match self.0.cancel.reason() {
            // Dropping the work is how a cancelled call is stopped. A panic
            // is a fault of the host all the same.
            Some(reason) if !std::thread::panicking() => Outcome::Cancelled(reason.fault()),
            _ => Outcome::failed(request::lost()),
        });
    }
}

/// The right and the duty to execute a request that was accepted.
///
/// Dropping it ends the request as failed with `ODN-9001`.
#[derive(Debug)]
#[must_use = "dropping a ticket ends its request as failed"]
pub struct Ticket {
    owner: Owner,
}

impl Ticket {
    pub(crate) fn new(request: Arc<Request>) -> Self {
        Ticket {
            owner: Owner(request),
        }
    }

    /// The request.
    pub fn serial(&self) -> Serial {
        self.owner.0.serial
    }

    /// What the caller attached to it.
    pub fn user_data(&self) -> Option<&Arc<str>> {
        self.owner.0.user_data.as_ref()
    }

    /// Begins to execute. The caller is told.
    ///
    /// # Errors
    ///
    /// When the request is not to be executed any more; it then has had its
    /// final status, with this fault: `ODN-1008` when its time to live is
    /// over, `ODN-1007` when its deadline is, `ODN-1009` when it was
    /// cancelled, `ODN-1011` when its plugin or the host went.
    pub fn start(self) -> Result<Running, Fault> {
        self.owner.0.start()?;
        Ok(Running { owner: self.owner })
    }

    /// Ends the request unstarted, as rejected. Without effect if it was
    /// withdrawn meanwhile.
    pub fn reject(self, fault: Fault) {
        self.owner.0.finish(|| Outcome::Rejected(fault));
    }

    /// Ends the request unstarted, as cancelled: its caller has stopped
    /// waiting for it. Without effect if it was withdrawn meanwhile.
    pub fn withdraw(self, fault: Fault) {
        self.owner.0.finish(|| Outcome::Cancelled(fault));
    }
}

/// A request that is being executed.
///
/// Dropping it ends the request: as cancelled if it was to be cancelled, else
/// as failed with `ODN-9001`.
#[derive(Debug)]
#[must_use = "dropping a running request ends it"]
pub struct Running {
    owner: Owner,
}

impl Running {
    /// The request.
    pub fn serial(&self) -> Serial {
        self.owner.0.serial
    }

    /// What the caller attached to it.
    pub fn user_data(&self) -> Option<&Arc<str>> {
        self.owner.0.user_data.as_ref()
    }

    /// Hears when the request is to end. Its deadline is signalled too, by
    /// [`Requests::run_sweeper`](crate::Requests::run_sweeper).
    pub fn signal(&self) -> CancelSignal {
        CancelSignal(self.owner.0.clone())
    }

    /// Tells the watcher how far the work is. Never waits: of reports that a
    /// slow watcher has not seen, the newest replaces the others.
    ///
    /// # Errors
    ///
    /// When `details` are too long, or the request has made all its reports.
    /// The request goes on.
    pub fn progress(&self, completed: u64, total: Option<u64>, details: &str) -> Result<(), ProgressError> {
        self.owner.0.report(completed, total, details)
    }

    /// Ends the request.
    ///
    /// What is recorded is what is given: a request that succeeds after it
    /// was told to end has succeeded, and its caller learns that it was
    /// executed.
    pub fn finish(self, outcome: Outcome) {
        self.owner.0.finish(|| outcome);
    }
}

/// Why a progress report was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgressError {
    /// The details are longer than the limit.
    #[error("the details of a progress report have at most {max} bytes")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// The request has made as many reports as it may.
    #[error("a request makes at most {max} progress reports")]
    TooMany {
        /// The limit.
        max: u32,
    },
}
