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
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::load::Ready;
use crate::registry::Loaded;
use crate::replace::unwanted;

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
    /// Hands the state of one generation to the next, if they both can. What is
    /// given up ends here, but for a `save` that runs: its instance has the only
    /// copy of the state, and would be dropped with it.
    ///
    /// # Errors
    ///
    /// `ODN-3018` when they can and it did not work: state is never dropped
    /// without a word. `ODN-1011` when it was given up.
    pub(crate) async fn hand_over(
        self,
        before: Arc<Loaded>,
        mut next: Ready,
        drain: Duration,
        given_up: CancellationToken,
    ) -> Result<(Option<Held>, Ready), Fault> {
        next.warn(left_behind(&before, next.plugin()));
        match self.try_hand_over(&before, &next, drain, &given_up).await {
            Ok(held) => Ok((held, next)),
            // What is denied is no source of a state, and no reason to go on
            // with it. A replace that is given up, or a host that stops, is
            // another matter.
            Err(fault) if fault.code == Code::StateHandover && before.is_condemned() => {
                next.warn(Some(DENIED.to_owned()));
                Ok((None, next))
            }
            // Whatever its `restore` came to.
            Err(_) if next.is_condemned() => Err(self.note_denied(&next).await),
            Err(fault) => Err(self.note_not_handed_over(&next, fault).await),
        }
    }

    async fn try_hand_over(
        &self,
        before: &Arc<Loaded>,
        next: &Ready,
        drain: Duration,
        given_up: &CancellationToken,
    ) -> Result<Option<Held>, Fault> {
        let old = &before.plugin;
        // Nor is anything given to what is denied by now; the switch refuses it.
        if before.is_condemned() || next.is_condemned() || !old.hands_over() || !next.plugin().hands_over() {
            return Ok(None);
        }
        let held = Held::new(before.clone());
        let given_up = || given_up.clone().cancelled_owned();
        let tasks = &self.inner.tasks;
        let drained = tokio::select! {
            biased;
            drained = tasks.unless_stopping(tokio::time::timeout(drain, old.drained())) => drained?,
            () = given_up() => return Err(unwanted(&before.name)),
        };
        if drained.is_err() {
            return Err(not_handed_over(format!(
                "{} calls of {} were not over within {} ms, and its state changes as long as they run; try again with \
                 a longer drain",
                old.stats().in_flight,
                before.name,
                drain.as_millis()
            )));
        }
        let saved = old
            .save()
            .await
            .map_err(|error| not_handed_over(error.to_string()))?;
        let restored = tokio::select! {
            biased;
            restored = tasks.unless_stopping(next.plugin().restore(saved)) => restored?,
            () = given_up() => return Err(unwanted(&before.name)),
        };
        restored.map_err(|error| not_handed_over(error.to_string()))?;
        Ok(Some(held))
    }
}

/// What the operator is told when the old generation was denied meanwhile.
const DENIED: &str =
    "what the plugin kept between calls is not handed over: the trust policy denies the old generation";

/// What the operator should know whose plugin keeps a state that ends with it.
fn left_behind(before: &Loaded, next: &Plugin) -> Option<String> {
    let old = &before.plugin;
    if !matches!(old.spec().instances, InstanceModel::Resident { .. }) {
        return None;
    }
    let why = match (old.hands_over(), next.hands_over()) {
        (true, true) if before.is_condemned() => return Some(DENIED.to_owned()),
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
