//! What a generation hands to the one that takes its place.
//!
//! Owns the time in which neither of them may be called: from the last call of
//! the old one until the new one has its state, callers wait at the old one.
//! Must not put anything into service; the replace does.
//!
//! **Invariant:** whatever goes wrong before the new generation serves, or if
//! nobody waits for it any more, the old one goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault};
use odeon_runtime::{InstanceModel, Plugin};

use crate::host::Host;
use crate::registry::Loaded;

/// A generation that takes no calls for now. Dropping it lets them in again,
/// those first who waited.
pub(crate) struct Held {
    loaded: Arc<Loaded>,
    since: Instant,
    replaced: bool,
}

impl Held {
    fn new(loaded: Arc<Loaded>) -> Self {
        loaded.plugin.hold();
        Held {
            loaded,
            since: Instant::now(),
            replaced: false,
        }
    }

    /// Another serves in its place. Says how long nobody took calls.
    pub(crate) fn replaced(mut self) -> Duration {
        self.replaced = true;
        self.since.elapsed()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.replaced {
            self.loaded.plugin.open();
        }
    }
}

impl Host {
    /// Hands the state of one generation to the next, if they both can.
    ///
    /// # Errors
    ///
    /// `ODN-3018` when they can and it did not work: state is never dropped
    /// without a word.
    pub(crate) async fn hand_over(
        &self,
        before: &Arc<Loaded>,
        next: &Plugin,
        drain: Duration,
    ) -> Result<Option<Held>, Fault> {
        let old = &before.plugin;
        if !old.hands_over() || !next.hands_over() {
            return Ok(None);
        }
        let held = Held::new(before.clone());
        let tasks = &self.inner.tasks;
        let drained = tokio::time::timeout(drain, old.drained());
        if tasks.unless_stopping(drained).await?.is_err() {
            let stats = old.stats();
            return Err(not_handed_over(format!(
                "{} calls of {} were not over within {} ms, and its state changes as long as they run; try again with \
                 a longer drain",
                stats.in_flight,
                before.name,
                drain.as_millis()
            )));
        }
        let saved = tasks.unless_stopping(old.save()).await?;
        let saved = saved.map_err(|error| not_handed_over(error.to_string()))?;
        let restored = tasks.unless_stopping(next.restore(saved)).await?;
        restored.map_err(|error| not_handed_over(error.to_string()))?;
        Ok(Some(held))
    }
}

/// What the operator should know whose plugin keeps a state that ends with it.
pub(crate) fn left_behind(before: &Plugin, next: &Plugin) -> Option<String> {
    if !matches!(before.spec().instances, InstanceModel::Resident { .. }) {
        return None;
    }
    let why = match (before.hands_over(), next.hands_over()) {
        (true, true) => return None,
        (true, false) => "the new generation",
        (false, _) => "the old generation",
    };
    Some(format!(
        "what the plugin kept between calls is not handed over: {why} does not export odeon:plugin/state, or is not \
         resident with one worker"
    ))
}

fn not_handed_over(why: String) -> Fault {
    Fault::new(
        Code::StateHandover,
        format!("the state was not handed over, and the old generation serves on: {why}"),
    )
}
