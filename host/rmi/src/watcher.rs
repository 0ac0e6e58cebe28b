//! The waiting side of a request.
//!
//! Owns what a caller sees and in which order: accepted, started, the newest
//! progress, and one end. A caller that looks rarely costs the executing side
//! nothing.

use std::{future::poll_fn, sync::Arc};

use odeon_protocol::Serial;

use crate::{cancel::CancelSignal, outcome::Outcome, request::Request};

/// How far a request is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How much is done, in the method's own unit.
    pub completed: u64,
    /// How much there is, if that is known.
    pub total: Option<u64>,
    /// Words for whoever watches.
    pub details: String,
}

/// What happened to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was taken, and will have an end.
    Accepted,
    /// It is being executed.
    Started,
    /// It has come this far.
    Progress(Progress),
    /// It has ended.
    Final(Outcome),
}

/// One status of a request, with what its caller attached.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The request.
    pub serial: Serial,
    /// The caller's own data.
    pub user_data: Option<Arc<str>>,
    /// What happened.
    pub event: Event,
}

/// Sees the statuses of one request.
///
/// Dropping it lets the request run on or cancels it, as was said when it was
/// accepted. Only a result that was not fetched is held in memory for it.
#[derive(Debug)]
pub struct Watcher {
    request: Arc<Request>,
}

impl Watcher {
    pub(crate) fn new(request: Arc<Request>) -> Self {
        Watcher { request }
    }

    /// The request.
    pub fn serial(&self) -> Serial {
        self.request.serial
    }

    /// What the caller attached to it.
    pub fn user_data(&self) -> Option<&Arc<str>> {
        self.request.user_data.as_ref()
    }

    /// The next status. In order: accepted; started, if it ever was; the
    /// newest progress, if there was any since; the end, once; then `None`.
    ///
    /// Cancellation safe: a status is taken only when it is returned.
    pub async fn next(&mut self) -> Option<Status> {
        let event = poll_fn(|cx| self.request.poll_event(cx)).await?;
        Some(Status {
            serial: self.request.serial,
            user_data: self.request.user_data.clone(),
            event,
        })
    }

    /// The end, without what comes before it. `None` if it was seen already.
    ///
    /// Cheaper than waiting for it with [`next`](Self::next): the waiting task
    /// is woken once. Cancellation safe, except that progress made meanwhile
    /// is not kept.
    pub async fn outcome(&mut self) -> Option<Outcome> {
        poll_fn(|cx| self.request.poll_outcome(cx)).await
    }

    /// Hears when the request is to end.
    pub fn signal(&self) -> CancelSignal {
        CancelSignal(self.request.clone())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.request.abandon();
    }
}
