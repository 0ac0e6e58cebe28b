//! When what was refused for a reason that passes is tried again. Knows no
//! descriptor and no clock.

use std::time::{Duration, Instant};

/// When what was refused for a reason that passes is tried again.
pub(super) struct Retry {
    /// Nothing was, or has been tried since.
    at: Option<Instant>,
    /// After how long. Doubles each time.
    pause: Duration,
}

impl Retry {
    const FIRST: Duration = Duration::from_secs(2);
    const LONGEST: Duration = Duration::from_secs(600);

    pub(super) fn new() -> Self {
        Retry {
            at: None,
            pause: Self::FIRST,
        }
    }

    /// Takes in whether something is refused for such a reason.
    pub(super) fn note(&mut self, is_refused: bool, now: Instant) {
        match (is_refused, self.at) {
            (false, _) => *self = Self::new(),
            (true, Some(_)) => {}
            (true, None) => {
                self.at = now.checked_add(self.pause);
                self.pause = self.pause.saturating_mul(2).min(Self::LONGEST);
            }
        }
    }

    /// Whether it is time. It is once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }
}
