//! Whether a new generation does better than the one before it.
//!
//! Owns the measure: how many calls of a new generation trapped within its
//! health window, and how many instances that were to last had no memory left.
//! Counts decide, never times, so that a slow machine brings nothing back.

use std::sync::Arc;
use std::time::Duration;

use odeon_runtime::{InstanceModel, PluginStats};
use tokio::time::Instant;

use crate::registry::Loaded;

/// How often the counts are looked at.
const EVERY: Duration = Duration::from_millis(10);

/// Fewer traps than this are no storm.
const TRAPS: u64 = 3;

/// Above this share of its calls a new generation is bad, if it also traps more
/// often than the one before it did: in percent.
const SHARE: u64 = 5;

/// Fewer instances than this that had no memory left are no leak.
const LEAKS: u64 = 3;

/// How many times as often as before is more often.
const MORE_OFTEN: u64 = 4;

/// A new generation that is watched.
pub(crate) struct Health {
    after: Arc<Loaded>,
    before: Before,
    until: Instant,
}

/// What the generation before had done when the new one came.
struct Before {
    calls: u64,
    traps: u64,
    out_of_memory: u64,
}

impl Health {
    pub(crate) fn new(before: &Loaded, after: &Arc<Loaded>, window: Duration) -> Self {
        let stats = before.plugin.stats();
        let now = Instant::now();
        Health {
            after: after.clone(),
            before: Before {
                calls: stats.calls,
                traps: stats.traps,
                out_of_memory: stats.out_of_memory,
            },
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
            self.traps_no_more(&stats)?;
            self.leaks_no_more(&stats)?;
        }
        Ok(())
    }

    /// Whether its calls trap no more often than they may.
    fn traps_no_more(&self, stats: &PluginStats) -> Result<(), String> {
        // The share of calls that trapped in the generation before.
        let usual = percent(self.before.traps, self.before.calls);
        let most = SHARE.saturating_add(usual.saturating_mul(MORE_OFTEN)).min(99);
        if stats.traps >= TRAPS && percent(stats.traps, stats.calls) > most {
            return Err(format!(
                "{} of {} calls trapped within the health window, expected at most {most} %",
                stats.traps, stats.calls
            ));
        }
        Ok(())
    }

    /// Whether its instances, which are to last, do. One that keeps a little with
    /// every call traps in one of very many, each time with all of its state.
    fn leaks_no_more(&self, stats: &PluginStats) -> Result<(), String> {
        let spec = self.after.plugin.spec();
        let is_kept = matches!(spec.instances, InstanceModel::Resident { .. });
        if !is_kept || stats.out_of_memory < LEAKS || self.leaked_before(stats) {
            return Ok(());
        }
        Err(format!(
            "{} instances that were kept had used up limits.memory, {}, within the health window, in {} calls; \
             expected fewer than {LEAKS}: it seems to leak",
            stats.out_of_memory, spec.limits.memory, stats.calls
        ))
    }

    /// Whether the generation before had no memory left about as often.
    fn leaked_before(&self, stats: &PluginStats) -> bool {
        let share = |lost: u64, of: u64| u128::from(lost) * u128::from(of);
        let usual = share(self.before.out_of_memory, stats.calls);
        share(stats.out_of_memory, self.before.calls) <= u128::from(MORE_OFTEN) * usual && usual > 0
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}
