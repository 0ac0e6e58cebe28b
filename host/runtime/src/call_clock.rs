//! How much processor time one call has used, and whether it is computing.
//!
//! Owns the count, and the word that a call's time is over. Time is taken from
//! the thread's own processor clock, so that neither waiting nor other programs
//! count, and host functions do. A call that ends within its first tick never
//! reads that clock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;
use rustix::time::{ClockId, clock_gettime};

use crate::ticker::TICK;

/// What a turn costs besides the time that is counted in it, in microseconds:
/// taking the call up and putting it away. A call that gives its thread back
/// again and again would have that for nothing.
const TURN_COST: u64 = 1;

/// The processor time of one call, and whether it goes on: its time may be
/// over, and whoever runs it is woken to hear that. The time is written by
/// whoever runs the call, on one thread at a time, and read from others.
#[derive(Debug, Default)]
pub(crate) struct CallClock {
    /// Ticks at which the guest was found running.
    ticks: AtomicU32,
    /// The thread's clock when it was looked at last, in microseconds; 0 while
    /// the call does not run or has not been looked at yet.
    mark: AtomicU64,
    spent: AtomicU64,
    /// The guest gave its thread away at a tick and for no other reason: it
    /// goes on by itself.
    yielded: AtomicBool,
    /// The call's time is over.
    over: AtomicBool,
    /// Of whoever runs the call, while it waits.
    waiting: AtomicWaker,
}

impl CallClock {
    /// A tick found the guest running. Gives the microseconds spent so far. The
    /// first is charged as a whole tick: nobody knows when the call began.
    pub(crate) fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        let now = thread_micros();
        let more = match self.mark.swap(now, Ordering::Relaxed) {
            0 => TICK.as_micros() as u64,
            mark => now.saturating_sub(mark),
        };
        self.spent.fetch_add(more, Ordering::Relaxed) + more
    }

    /// A tick has the guest give its thread away.
    pub(crate) fn yields(&self) {
        self.yielded.store(true, Ordering::Relaxed);
    }

    /// Whether the guest computes, rather than waiting inside a host call. To
    /// be asked when it has just given its thread away.
    pub(crate) fn computes(&self) -> bool {
        self.yielded.load(Ordering::Relaxed)
    }

    /// The call waits inside a host call; whoever runs it is to be woken when
    /// its time is over.
    pub(crate) fn waits(&self, runner: &Waker) {
        self.waiting.register(runner);
    }

    /// The call's time is over: a guest that computes is stopped at the next
    /// tick, and one that waits is not waited for.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.waiting.wake();
    }

    /// Whether the call's time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// The call goes on, on this thread.
    pub(crate) fn resume(&self) {
        self.yielded.store(false, Ordering::Relaxed);
        if self.ticks.load(Ordering::Relaxed) > 0 {
            self.mark.store(thread_micros(), Ordering::Relaxed);
        }
    }

    /// The call waits or yields. To be said on the thread it ran on.
    pub(crate) fn pause(&self) {
        let mark = self.mark.swap(0, Ordering::Relaxed);
        if mark > 0 {
            let more = thread_micros().saturating_sub(mark) + TURN_COST;
            self.spent.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Whether the call has computed for as long as `ticks` ticks.
    pub(crate) fn has_used(&self, ticks: u32) -> bool {
        self.ticks.load(Ordering::Relaxed) >= ticks
            || self.spent.load(Ordering::Relaxed) >= u64::from(ticks) * TICK.as_micros() as u64
    }
}

/// Never 0, which stands for "not running".
fn thread_micros() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    (seconds * 1_000_000 + nanos / 1_000).max(1)
}
