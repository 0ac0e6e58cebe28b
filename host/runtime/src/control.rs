//! What a caller hands along with a call, and how a running call is ended.
//!
//! Owns the interrupt: the one way to end a call from outside. It works on a
//! guest that computes (the ticker looks at it every tick) and on one that
//! waits in the host (the wait is dropped).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use odeon_protocol::{Fault, Serial};
use tokio::sync::Notify;

use crate::links::Hop;
use crate::observe::Confided;
use crate::trace::Trace;
use crate::warrant::Behalf;

/// How long a cancelled guest that looks at `is-cancelled` may take to return
/// by itself before it is stopped.
pub const CANCEL_GRACE: Duration = Duration::from_millis(20);

/// Why a call is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The caller, or an operator, cancelled the request.
    Cancelled = 1,
    /// The caller's waiting time ended.
    WaitEnded = 2,
    /// The caller went away.
    CallerGone = 3,
    /// The plugin is being unloaded.
    Unloaded = 4,
    /// The host is stopping.
    Shutdown = 5,
    /// The plugin was replaced, and the time is over that calls of the old
    /// generation had.
    Replaced = 6,
}

impl Reason {
    fn from_u8(value: u8) -> Option<Reason> {
        [
            Reason::Cancelled,
            Reason::WaitEnded,
            Reason::CallerGone,
            Reason::Unloaded,
            Reason::Shutdown,
            Reason::Replaced,
        ]
        .into_iter()
        .find(|reason| *reason as u8 == value)
    }
}

/// A handle that ends a call, or all calls of a plugin. Cheap to clone; the
/// first reason given stays.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reason: AtomicU8,
    raised: Notify,
}

impl Interrupt {
    /// An interrupt that was not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the call. Returns whether this was the first time.
    pub fn raise(&self, reason: Reason) -> bool {
        let first = self
            .0
            .reason
            .compare_exchange(0, reason as u8, Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if first {
            self.0.raised.notify_waiters();
        }
        first
    }

    /// Takes it back: what it ended is over, and what comes now may go on.
    pub(crate) fn lower(&self) {
        self.0.reason.store(0, Ordering::Release);
    }

    /// Why it was raised, if it was.
    #[inline]
    pub fn reason(&self) -> Option<Reason> {
        match self.0.reason.load(Ordering::Acquire) {
            0 => None,
            value => Reason::from_u8(value),
        }
    }

    /// Waits until it is raised. Cancellation safe.
    pub async fn raised(&self) -> Reason {
        loop {
            let notified = self.0.raised.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            notified.await;
        }
    }
}

/// One report of how far a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub completed: u64,
    /// Units in all, when known.
    pub total: Option<u64>,
    /// Anything the guest adds, at most [`PROGRESS_DETAILS`] bytes.
    pub details: String,
}

/// The longest `details` of a progress report, in bytes.
pub const PROGRESS_DETAILS: usize = 4096;

/// Receives progress reports while the call runs. It must return at once: it
/// is called on the guest's own thread.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// Called when a call was admitted and is about to run. An error ends it
/// before any guest code ran.
pub type StartedHook = Arc<dyn Fn() -> Result<(), Fault> + Send + Sync>;

/// What goes along with a call besides its arguments. The default is a call of
/// the embedding program with the plugin's own deadline.
#[derive(Clone, Default)]
pub struct CallContext {
    /// The request's serial; made when the guest asks for it, if absent.
    pub serial: Option<Serial>,
    /// Who asked, outermost first.
    pub callers: Arc<[Principal]>,
    /// The plugins among them. As long as it runs, nothing may be used for
    /// those of `callers` that are missing here.
    pub behalf: Behalf,
    /// JSON text the caller attached.
    pub user_data: Option<Arc<str>>,
    /// When the caller stops waiting. The plugin's own limit holds besides.
    pub wait_until: Option<Instant>,
    /// When the call must have left the queue; what leaves it at that moment is
    /// late already. It says nothing about a call that runs.
    pub start_by: Option<Instant>,
    /// Ends this call.
    pub interrupt: Interrupt,
    /// Where progress goes.
    pub progress: Option<ProgressSink>,
    /// Told when the call leaves the queue.
    pub started: Option<StartedHook>,
    /// The plugin that makes the call, if one does, and those before it.
    pub via: Option<Arc<Hop>>,
    /// The span that the call is made in, if it is traced.
    pub trace: Option<Trace>,
    /// Whether a plugin in the chain of callers has seen a secret.
    pub confided: Confided,
}
