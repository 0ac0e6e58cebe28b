//! Whether a new generation does better than the one before it.
//!
//! Owns the measure: how many calls of a new generation trapped within its
//! health window. Counts decide, never times, so that a slow machine brings
//! nothing back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::registry::Loaded;

/// How often the counts are looked at.
const EVERY: Duration = Duration::from_millis(10);

/// Fewer traps than this are no storm.
const TRAPS: u64 = 3;

/// Above this share of its calls a new generation is bad, if it also traps more
/// often than the one before it did: in percent.
const SHARE: u64 = 5;

/// A new generation that is watched.
pub(crate) struct Health {
    after: Arc<Loaded>,
    /// The share of calls that trapped in the generation before, in percent.
    usual: u64,
    until: Instant,
}

impl Health {
    pub(crate) fn new(before: &Loaded, after: &Arc<Loaded>, window: Duration) -> Self {
        let stats = before.plugin.stats();
        let now = Instant::now();
        Health {
            after: after.clone(),
            usual: percent(stats.traps, stats.calls),
            until: now.checked_add(window).unwrap_or(now),
        }
    }

    /// Watches to the end of the window. Cancellation safe.
    ///
    /// # Errors
    ///
    /// In words, why the generation is bad.
    pub(crate) async fn watch(&self) -> Result<(), String> {
        // One that is replaced or unloaded has nothing to prove any more.
        while Instant::now() < self.until && !self.after.is_draining() {
            tokio::time::sleep(EVERY).await;
            let stats = self.after.plugin.stats();
            let most = SHARE.saturating_add(self.usual.saturating_mul(4)).min(99);
            if stats.traps >= TRAPS && percent(stats.traps, stats.calls) > most {
                return Err(format!(
                    "{} of {} calls trapped within the health window, expected at most {most} %",
                    stats.traps, stats.calls
                ));
            }
        }
        Ok(())
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}
