//! What the host's own log says of a collector.
//!
//! Owns how often: of each kind the first at once, and then one in a while, so
//! that a collector that is away for long is no flood. What is said of losses
//! has all of them since the one before.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::json::Partial;
use super::queue::Counts;

/// How often the log says the same.
const EVERY: Duration = Duration::from_secs(60);

/// What is said of one kind of things.
pub(super) struct Complaints {
    address: SocketAddr,
    signal: &'static str,
    trouble: Complaint,
    part: Complaint,
    losses: Complaint,
    /// The losses that were said: those without room, and those not taken.
    said: (u64, u64),
}

/// When something was said last.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    /// Whether it is time to say it again; if so, it is said.
    fn is_due(&mut self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|at| now.saturating_duration_since(at) >= EVERY);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

impl Complaints {
    /// About this collector, and what is told of this kind.
    pub(super) fn new(address: SocketAddr, signal: &'static str) -> Self {
        Complaints {
            address,
            signal,
            trouble: Complaint::default(),
            part: Complaint::default(),
            losses: Complaint::default(),
            said: (0, 0),
        }
    }

    /// It does not take a message.
    pub(super) fn not_taken(&mut self, why: &str) {
        if self.trouble.is_due() {
            let (address, signal) = (self.address, self.signal);
            tracing::warn!(%address, signal, why, "the collector does not take what it is told");
        }
    }

    /// It took a message, and had something to say about it.
    pub(super) fn taken_in_part(&mut self, part: &Partial) {
        if !part.is_nothing() && self.part.is_due() {
            let (address, signal) = (self.address, self.signal);
            let (rejected, said) = (part.rejected, &*part.said);
            tracing::warn!(%address, signal, rejected, said, "the collector has something against a message");
        }
    }

    /// So much was lost so far. It is said now and then, and at the end.
    pub(super) fn lost(&mut self, counts: &Counts, is_end: bool) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let now = (of(&counts.full), of(&counts.untaken));
        if now == self.said || !(self.losses.is_due() || is_end) {
            return;
        }
        let without_room = now.0.saturating_sub(self.said.0);
        let untaken = now.1.saturating_sub(self.said.1);
        self.said = now;
        let (address, signal) = (self.address, self.signal);
        tracing::warn!(%address, signal, without_room, untaken, "what the collector was to be told was lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enforced by `Complaint::is_due_at`.
    #[test]
    fn the_same_is_said_once_in_a_while() {
        let mut complaint = Complaint::default();
        let begin = Instant::now();
        let late = begin + EVERY;
        for (now, due) in [
            (begin, true),
            (begin, false),
            (late - Duration::from_millis(1), false),
            (late, true),
            (late, false),
            (late + EVERY, true),
        ] {
            assert_eq!(complaint.is_due_at(now), due);
        }
    }
}
