//! How many calls of a plugin run and how many wait.
//!
//! Owns admission: a bounded number in flight, a bounded number waiting in
//! order of arrival, everybody else told "overloaded". Also knows when the
//! last call is gone, which is what draining waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Why a call may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As many run and wait as may.
    Full,
    /// The plugin takes no calls any more.
    Closed,
}

/// The low bits of [`Gate::calls`] that count those inside. More than
/// `limits.calls-in-flight` can ever be.
const INSIDE: u64 = (1 << 16) - 1;

/// One call that left, in the bits above.
const LEFT: u64 = INSIDE + 1;

/// The admission of one plugin generation.
pub(crate) struct Gate {
    /// Calls inside, and above them the calls that have left: one word, so that
    /// leaving is one step.
    calls: AtomicU64,
    waiting: AtomicUsize,
    limit: u64,
    queue: usize,
    closed: AtomicBool,
    someone_left: Notify,
    empty: Notify,
}

impl Gate {
    pub(crate) fn new(limit: usize, queue: usize) -> Self {
        Gate {
            calls: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            limit: (limit as u64).clamp(1, INSIDE),
            queue,
            closed: AtomicBool::new(false),
            someone_left: Notify::new(),
            empty: Notify::new(),
        }
    }

    /// Enters if there is room and nobody waits.
    #[inline]
    pub(crate) fn try_enter(&self) -> Option<Pass<'_>> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        self.enter_now()
    }

    #[inline]
    fn enter_now(&self) -> Option<Pass<'_>> {
        // Never counted in and out again: that would wake whoever waits, which
        // may be the caller itself, for nothing.
        let room = |calls: u64| ((calls & INSIDE) < self.limit).then_some(calls + 1);
        self.calls
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, room)
            .ok()?;
        let pass = Pass { gate: self };
        // Looked at only now: whoever closes waits for those he sees inside.
        (!self.closed.load(Ordering::SeqCst)).then_some(pass)
    }

    /// Enters, or waits in order of arrival until there is room. Cancellation
    /// safe: giving up frees the place in the queue.
    pub(crate) async fn enter(&self) -> Result<Pass<'_>, Refusal> {
        if let Some(pass) = self.try_enter() {
            return Ok(pass);
        }
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refusal::Closed);
        }
        let _place = Place::take(self).ok_or(Refusal::Full)?;
        loop {
            let left = self.someone_left.notified();
            tokio::pin!(left);
            // Registered before looking, so that whoever leaves in between is
            // not missed.
            left.as_mut().enable();
            if self.closed.load(Ordering::SeqCst) {
                return Err(Refusal::Closed);
            }
            if let Some(pass) = self.enter_now() {
                return Ok(pass);
            }
            left.await;
        }
    }

    /// Lets nobody in any more; those who wait are refused.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.someone_left.notify_waiters();
    }

    /// Waits until nobody is inside. Cancellation safe.
    pub(crate) async fn drained(&self) {
        loop {
            let empty = self.empty.notified();
            tokio::pin!(empty);
            empty.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            empty.await;
        }
    }

    /// Calls inside.
    pub(crate) fn in_flight(&self) -> usize {
        // At most `INSIDE`, which fits.
        (self.calls.load(Ordering::SeqCst) & INSIDE) as usize
    }

    /// Calls that were inside and have left.
    pub(crate) fn left(&self) -> u64 {
        self.calls.load(Ordering::Relaxed) / LEFT
    }

    /// A number that is another one after any call came or went.
    pub(crate) fn activity(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Calls in the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    #[inline]
    fn leave(&self) {
        let before = self.calls.fetch_add(LEFT - 1, Ordering::SeqCst) & INSIDE;
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.someone_left.notify_one();
        }
        if before == 1 && self.closed.load(Ordering::SeqCst) {
            self.empty.notify_waiters();
        }
    }
}

/// A place inside the gate.
pub(crate) struct Pass<'g> {
    gate: &'g Gate,
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        self.gate.leave();
    }
}

impl Pass<'_> {
    /// The same place, for a call that may outlive whoever let it in.
    pub(crate) fn owned(self, gate: &Arc<Gate>) -> OwnedPass {
        std::mem::forget(self);
        OwnedPass { gate: gate.clone() }
    }
}

/// A place inside the gate that goes where the call goes.
pub(crate) struct OwnedPass {
    gate: Arc<Gate>,
}

impl Drop for OwnedPass {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

/// A place in the queue.
struct Place<'g> {
    gate: &'g Gate,
}

impl<'g> Place<'g> {
    fn take(gate: &'g Gate) -> Option<Self> {
        if gate.waiting.fetch_add(1, Ordering::SeqCst) >= gate.queue {
            gate.waiting.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Place { gate })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, Ordering::SeqCst);
        // Someone may have left and woken this place just before it was given up.
        self.gate.someone_left.notify_one();
    }
}
