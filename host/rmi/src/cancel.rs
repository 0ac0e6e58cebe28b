//! Ending a request before it has ended by itself.
//!
//! Owns why that happens, what the caller is then told, and the signal by
//! which the executing side hears of it.
//!
//! **Invariant:** of several reasons the first one counts. A cancel is a
//! demand to a running request, not its end: the executing side records the
//! end, once nothing of the request runs any more.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use odeon_protocol::{Code, Executed, Fault};
use tokio::sync::Notify;

use crate::{outcome::Outcome, request::Request};

/// Why a request is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CancelReason {
    /// Its caller asked for that.
    Caller = 1,
    /// An operator did.
    Operator = 2,
    /// The time by which its caller wanted it finished has come.
    Deadline = 3,
    /// Its plugin was unloaded.
    Unloaded = 4,
    /// The host stops.
    Shutdown = 5,
    /// Its caller went away, and nobody else waits for it.
    Disconnected = 6,
}

impl CancelReason {
    const ALL: [CancelReason; 6] = [
        CancelReason::Caller,
        CancelReason::Operator,
        CancelReason::Deadline,
        CancelReason::Unloaded,
        CancelReason::Shutdown,
        CancelReason::Disconnected,
    ];

    /// The word for it in faults and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            CancelReason::Caller => "caller",
            CancelReason::Operator => "operator",
            CancelReason::Deadline => "deadline",
            CancelReason::Unloaded => "unloaded",
            CancelReason::Shutdown => "shutdown",
            CancelReason::Disconnected => "disconnected",
        }
    }

    /// What the caller of a request is told that was running when it was
    /// ended for this reason.
    pub fn fault(self) -> Fault {
        let (code, message) = match self {
            CancelReason::Caller => (Code::Cancelled, "cancelled: its caller ended the request"),
            CancelReason::Operator => (Code::Cancelled, "cancelled: an operator ended the request"),
            CancelReason::Deadline => return Fault::wait_ended(Executed::Maybe),
            CancelReason::Unloaded => (Code::Unloaded, "the plugin was unloaded while the call ran"),
            CancelReason::Shutdown => (Code::Cancelled, "cancelled: shutdown, the host stops"),
            CancelReason::Disconnected => (Code::Cancelled, "cancelled: its caller went away"),
        };
        self.with_reason(code, message)
    }

    /// The end of a request that was not started yet: nothing of it was
    /// executed, so a plugin or host that goes is a refusal that may be
    /// retried.
    pub(crate) fn withdrawn(self) -> Outcome {
        let refused = |message| Outcome::Rejected(self.with_reason(Code::Draining, message));
        match self {
            CancelReason::Unloaded => refused("the plugin was unloaded before the call was started"),
            CancelReason::Shutdown => refused("the host stops and the call was not started"),
            CancelReason::Deadline => Outcome::Cancelled(Fault::wait_ended(Executed::Not)),
            CancelReason::Caller | CancelReason::Operator | CancelReason::Disconnected => {
                Outcome::Cancelled(self.fault())
            }
        }
    }

    fn with_reason(self, code: Code, message: &str) -> Fault {
        Fault::new(code, message).with_details(serde_json::json!({ "reason": self.as_str() }))
    }
}

/// What a cancel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelOutcome {
    /// The request was pending. It has its final status and will not start.
    Withdrawn,
    /// The request runs. Its executing side was told; the final status follows
    /// when it has stopped.
    Signalled,
    /// The request runs and had been told before, maybe for another reason.
    AlreadySignalled,
}

/// The one-way switch inside a request.
#[derive(Debug, Default)]
pub(crate) struct CancelSwitch {
    reason: AtomicU8,
    changed: Notify,
}

impl CancelSwitch {
    /// Sets the reason, if there is none yet. Nobody is woken for it before
    /// [`announce`](Self::announce), so that this may happen under a lock.
    pub(crate) fn set(&self, reason: CancelReason) -> bool {
        self.reason
            .compare_exchange(0, reason as u8, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Wakes whoever waits for a reason.
    pub(crate) fn announce(&self) {
        self.changed.notify_waiters();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.reason.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        let set = self.reason.load(Ordering::Acquire);
        CancelReason::ALL.into_iter().find(|reason| *reason as u8 == set)
    }

    async fn wait(&self) -> CancelReason {
        loop {
            // Listening before looking: a cancel between the two is heard.
            let changed = self.changed.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            changed.await;
        }
    }
}

/// Tells the executing side that the request is to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CancelSignal(pub(crate) Arc<Request>);

impl CancelSignal {
    /// Whether the request is to end: one relaxed load, for every turn of a
    /// loop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.is_set()
    }

    /// Why it is to end, if it is.
    pub fn reason(&self) -> Option<CancelReason> {
        self.0.cancel.reason()
    }

    /// Waits until the request is to end. For ever, if it never is: wait for
    /// the work beside it. Cancellation safe.
    pub async fn cancelled(&self) -> CancelReason {
        self.0.cancel.wait().await
    }
}
