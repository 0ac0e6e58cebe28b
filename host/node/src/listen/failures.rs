//! Connections that could not be accepted.
//!
//! Owns how often the log says so: at once, and then once in a while with how many
//! there were meanwhile. Out of file handles, there are some each second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often the log says that connections cannot be accepted.
const COMPLAINT: Duration = Duration::from_secs(10);

/// What could not be accepted at one address.
#[derive(Default)]
pub(crate) struct Failures {
    ever: AtomicU64,
    unsaid: Mutex<Unsaid>,
}

#[derive(Default)]
struct Unsaid {
    failures: u64,
    /// When it was said last.
    said: Option<Instant>,
}

impl Failures {
    /// One more. Gives how many are to be said now, if that is to be said now.
    pub(crate) fn another(&self) -> Option<u64> {
        self.another_at(Instant::now())
    }

    fn another_at(&self, now: Instant) -> Option<u64> {
        self.ever.fetch_add(1, Ordering::Relaxed);
        let mut unsaid = self.unsaid.lock();
        unsaid.failures = unsaid.failures.saturating_add(1);
        let waited = |at| now.saturating_duration_since(at);
        if unsaid.said.is_some_and(|at| waited(at) < COMPLAINT) {
            return None;
        }
        unsaid.said = Some(now);
        Some(std::mem::take(&mut unsaid.failures))
    }

    /// How many there were ever.
    pub(crate) fn ever(&self) -> u64 {
        self.ever.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enforced by `Failures::another`.
    #[test]
    fn what_cannot_be_accepted_is_said_at_once_and_then_once_in_a_while() {
        let failures = Failures::default();
        let began = Instant::now();
        assert_eq!(failures.another_at(began), Some(1));
        for _ in 0..100 {
            assert_eq!(failures.another_at(began), None);
        }
        let later = began + COMPLAINT;
        assert_eq!(
            failures.another_at(later),
            Some(101),
            "all of them, and each once"
        );
        assert_eq!(failures.another_at(later), None);
        assert_eq!(failures.ever(), 103);
    }
}
