//! How many calls of a plugin run and how many wait, and whether any may come
//! in at all.
//!
//! Owns admission: a bounded number in flight, a bounded number waiting in
//! order of arrival, everybody else told "overloaded". Also knows when the
//! last call is gone, which is what draining waits for, and how long calls were
//! inside.
//!
//! **Invariant:** whether the door is open and how many are inside is one word:
//! whoever came in found the door open in the very step that counted it. So
//! every admission to a generation is before its [`Gate::retire`], and every
//! one to its successor, which was held until then, is after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

use crate::latency::{Histogram, Latencies, Timed};

/// Whether calls may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Door {
    /// They may, as far as there is room.
    Open = 0,
    /// Not yet: they wait until the generation before this one is retired.
    Held = 1,
    /// Not here any more: another generation has this one's place.
    Moved = 2,
    /// Not any more.
    Closed = 3,
}

impl Door {
    fn of(word: u64) -> Self {
        match (word & DOOR) >> DOOR_AT {
            0 => Door::Open,
            1 => Door::Held,
            2 => Door::Moved,
            _ => Door::Closed,
        }
    }
}

/// Why a call may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As many run and wait as may.
    Full,
    /// Another generation takes its calls.
    Moved,
    /// The plugin takes no calls any more.
    Closed,
}

/// How a call comes to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// For the first time: where as many wait as may, it is refused.
    New,
    /// From the gate of the generation before, which had taken it in or had
    /// been found a moment too late: it is never refused for want of a place.
    Moved,
}

/// The low bits of [`Gate::word`] that count those inside. More than
/// `limits.calls-in-flight` can ever be.
const INSIDE: u64 = (1 << 16) - 1;

/// The bits above them: the [`Door`].
const DOOR: u64 = 3 << DOOR_AT;
const DOOR_AT: u32 = 16;

/// One call that left, in the bits above those.
const LEFT: u64 = 1 << 18;

/// The admission of one plugin generation.
pub(crate) struct Gate {
    /// Calls inside, the door, and the calls that have left.
    word: AtomicU64,
    waiting: AtomicUsize,
    limit: u64,
    queue: usize,
    someone_left: Notify,
    empty: Notify,
    latencies: Histogram,
}

impl Gate {
    pub(crate) fn new(limit: usize, queue: usize) -> Self {
        Gate {
            word: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            limit: (limit as u64).clamp(1, INSIDE),
            queue,
            someone_left: Notify::new(),
            empty: Notify::new(),
            latencies: Histogram::new(),
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
        let room = |word: u64| (word & DOOR == 0 && (word & INSIDE) < self.limit).then_some(word + 1);
        let before = self
            .word
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, room)
            .ok()?;
        // Whoever is inside or has left came in: no two calls have one number.
        let timed = Timed::some(before / LEFT + (before & INSIDE));
        Some(Pass { gate: self, timed })
    }

    /// Enters, or waits in order of arrival until there is room. Cancellation
    /// safe: giving up frees the place in the queue.
    pub(crate) async fn enter(&self, arrival: Arrival) -> Result<Pass<'_>, Refusal> {
        if let Some(pass) = self.try_enter() {
            return Ok(pass);
        }
        self.may_wait()?;
        let (place, before) = Place::take(self, arrival).ok_or(Refusal::Full)?;
        // Whoever waited already is first: the room that there is now may be that
        // one's, who was woken and has not looked yet.
        let mut may_look = before == 0;
        loop {
            let left = self.someone_left.notified();
            tokio::pin!(left);
            // Registered before looking, so that whoever leaves in between is
            // not missed.
            may_look |= left.as_mut().enable();
            self.may_wait()?;
            if may_look && let Some(pass) = self.enter_now() {
                place.entered();
                return Ok(pass);
            }
            may_look = true;
            left.await;
        }
    }

    /// Whether whoever waits here may come in some time.
    pub(crate) fn may_wait(&self) -> Result<(), Refusal> {
        match Door::of(self.word.load(Ordering::SeqCst)) {
            Door::Open | Door::Held => Ok(()),
            Door::Moved => Err(Refusal::Moved),
            Door::Closed => Err(Refusal::Closed),
        }
    }

    /// Has callers wait until it is opened, whatever its door was: what was out
    /// of service comes back.
    pub(crate) fn revive(&self) {
        self.turn(Door::Held, |_| true);
    }

    /// Lets calls in: those that waited while it was held first, and in their
    /// order. Also opens again what was retired. Changes nothing of a gate that
    /// was closed.
    pub(crate) fn open(&self) {
        if self.turn(Door::Open, |door| door != Door::Closed) {
            // No more of them than there is room for: whoever finds none waits behind
            // all others. Whoever leaves from now on wakes the next.
            let room = self.limit().saturating_sub(self.in_flight());
            for _ in 0..self.waiting().min(room) {
                self.someone_left.notify_one();
            }
        }
    }

    /// Lets nobody in any more; those who wait are told to go on to the
    /// generation that has come in this one's place. Changes nothing of a gate
    /// that was closed.
    pub(crate) fn retire(&self) {
        self.turn(Door::Moved, |door| door != Door::Closed);
        self.someone_left.notify_waiters();
    }

    /// Has callers wait until it is opened. For a generation that nobody calls
    /// yet.
    pub(crate) fn hold(&self) {
        self.turn(Door::Held, |door| door == Door::Open);
    }

    /// Lets nobody in any more, for good; those who wait are refused. Changes
    /// nothing of a gate that was retired: its callers have somewhere to go.
    pub(crate) fn close(&self) {
        self.turn(Door::Closed, |door| matches!(door, Door::Open | Door::Held));
        self.someone_left.notify_waiters();
    }

    /// Turns the door, if it may be turned from what it is. Says whether it did.
    fn turn(&self, to: Door, from: impl Fn(Door) -> bool) -> bool {
        let turned = |word: u64| from(Door::of(word)).then_some(word & !DOOR | (to as u64) << DOOR_AT);
        self.word
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, turned)
            .is_ok()
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
        (self.word.load(Ordering::SeqCst) & INSIDE) as usize
    }

    /// Calls that were inside and have left.
    pub(crate) fn left(&self) -> u64 {
        self.word.load(Ordering::Relaxed) / LEFT
    }

    /// How long those were inside that have left.
    pub(crate) fn latencies(&self) -> Latencies {
        self.latencies.read()
    }

    /// A number that is another one after any call came or went.
    pub(crate) fn activity(&self) -> u64 {
        self.word.load(Ordering::SeqCst)
    }

    /// Whether somebody may come in now.
    fn has_room(&self) -> bool {
        let word = self.word.load(Ordering::SeqCst);
        word & DOOR == 0 && word & INSIDE < self.limit
    }

    /// Calls that may be inside at the same time.
    pub(crate) fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Calls in the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    #[inline]
    fn leave(&self) {
        let before = self.word.fetch_add(LEFT - 1, Ordering::SeqCst);
        // Where nobody may come in, whoever opens the door wakes those who wait.
        if before & DOOR == 0 && self.waiting.load(Ordering::SeqCst) > 0 {
            self.someone_left.notify_one();
        }
        if before & INSIDE == 1 && before & DOOR != 0 {
            self.empty.notify_waiters();
        }
    }
}

/// A place inside the gate.
pub(crate) struct Pass<'g> {
    gate: &'g Gate,
    /// Where this call is one of those that are timed.
    timed: Option<Timed>,
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(timed) = &self.timed {
            self.gate.latencies.record(timed);
        }
        self.gate.leave();
    }
}

impl Pass<'_> {
    /// The same place, for a call that may outlive whoever let it in. Each of
    /// these is timed.
    pub(crate) fn owned(self, gate: &Arc<Gate>) -> OwnedPass {
        std::mem::forget(self);
        OwnedPass {
            gate: gate.clone(),
            timed: Timed::now(),
        }
    }
}

/// A place inside the gate that goes where the call goes.
pub(crate) struct OwnedPass {
    gate: Arc<Gate>,
    timed: Timed,
}

impl OwnedPass {
    /// When the call came in.
    pub(crate) fn since(&self) -> Instant {
        self.timed.since()
    }
}

impl Drop for OwnedPass {
    fn drop(&mut self) {
        self.gate.latencies.record(&self.timed);
        self.gate.leave();
    }
}

/// A place in the queue.
struct Place<'g> {
    gate: &'g Gate,
}

impl<'g> Place<'g> {
    /// Also how many there were before.
    fn take(gate: &'g Gate, arrival: Arrival) -> Option<(Self, usize)> {
        let before = gate.waiting.fetch_add(1, Ordering::SeqCst);
        // Whoever waits for the door and not for a place takes none of the
        // queue's.
        let most = gate.queue.saturating_add(gate.limit as usize);
        if arrival == Arrival::New && before.saturating_add(gate.in_flight()) >= most {
            gate.waiting.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some((Place { gate }, before))
    }

    /// Has come in. Wakes the next only where there is room for one more: who finds
    /// none waits again, behind all others.
    fn entered(self) {
        let others = self.gate.waiting.fetch_sub(1, Ordering::SeqCst) - 1;
        if others > 0 && self.gate.has_room() {
            self.gate.someone_left.notify_one();
        }
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, Ordering::SeqCst);
        // Someone may have left and woken this place just before it was given up.
        self.gate.someone_left.notify_one();
    }
}
