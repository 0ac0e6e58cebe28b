//! What a caller hands along with a call, and how a running call is ended.
//!
//! Owns the interrupt: the one way to end a call from outside. It works on a
//! guest that computes (the ticker looks at it every tick) and on one that
//! waits in the host (the wait is dropped).

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use odeon_protocol::{Fault, Serial};
use tokio::sync::Notify;

use crate::links::Hop;
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
#[derive(Clone, Debug)]
pub struct Interrupt(Option<Arc<State>>);

#[derive(Debug, Default)]
struct State {
    reason: AtomicU8,
    /// When it was raised first.
    since: OnceLock<Instant>,
    raised: Notify,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self::new()
    }
}

impl Interrupt {
    /// An interrupt that was not raised.
    pub fn new() -> Self {
        Interrupt(Some(Arc::default()))
    }

    /// One that nobody can raise, which costs nothing.
    pub const fn never() -> Self {
        Interrupt(None)
    }

    /// Ends the call. Returns whether this was the first time; never for one that
    /// nobody can raise.
    pub fn raise(&self, reason: Reason) -> bool {
        let Some(state) = &self.0 else { return false };
        // Before anybody can see that it is raised.
        state.since.get_or_init(Instant::now);
        let first = state
            .reason
            .compare_exchange(0, reason as u8, Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if first {
            state.raised.notify_waiters();
        }
        first
    }

    /// Takes it back: what it ended is over, and what comes now may go on.
    pub(crate) fn lower(&self) {
        if let Some(state) = &self.0 {
            state.reason.store(0, Ordering::Release);
        }
    }

    /// Why it was raised, if it was.
    #[inline]
    pub fn reason(&self) -> Option<Reason> {
        match self.0.as_ref()?.reason.load(Ordering::Acquire) {
            0 => None,
            value => Reason::from_u8(value),
        }
    }

    /// When it was raised first, if it ever was.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.as_ref()?.since.get().copied()
    }

    /// Waits until it is raised. Cancellation safe.
    pub async fn raised(&self) -> Reason {
        let Some(state) = &self.0 else {
            return std::future::pending().await;
        };
        loop {
            let notified = state.raised.notified();
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
/// the embedding program with the plugin's own deadline, which nobody can end.
#[derive(Clone)]
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
    /// Ends this call. By itself one that nobody can raise: whoever wants to end the
    /// call gives one of his own.
    pub interrupt: Interrupt,
    /// Where progress goes.
    pub progress: Option<ProgressSink>,
    /// Told when the call leaves the queue.
    pub started: Option<StartedHook>,
    /// The plugin that makes the call, if one does, and those before it.
    pub via: Option<Arc<Hop>>,
    /// The span that the call is made in, if it is traced.
    pub trace: Option<Trace>,
}

impl Default for CallContext {
    fn default() -> Self {
        CallContext {
            serial: None,
            callers: Arc::default(),
            behalf: Behalf::nobody(),
            user_data: None,
            wait_until: None,
            start_by: None,
            interrupt: Interrupt::never(),
            progress: None,
            started: None,
            via: None,
            trace: None,
        }
    }
}
