//! Waiting until others are done with names. Takes none, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use odeon_protocol::{Generation, PluginName};

use super::{Claim, Loaded, Registry};

impl Registry {
    /// Waits until nothing is being loaded or replaced. Cancellation safe.
    pub(crate) async fn loads_over(&self) {
        self.until_none_is(Claim::Load).await;
        self.until_none_is(Claim::Replace).await;
    }

    /// Waits until nothing is being unloaded. Cancellation safe.
    pub(crate) async fn unloads_over(&self) {
        self.until_none_is(Claim::Unload).await;
    }

    /// Waits until nobody unloads this generation any more, and says whether it
    /// is out of service: an unload that broke off leaves it there. Cancellation
    /// safe.
    pub(crate) async fn gone(&self, name: &PluginName, generation: Generation) -> bool {
        let same = |loaded: &Arc<Loaded>| loaded.generation == generation;
        loop {
            let given_back = self.given_back.notified();
            tokio::pin!(given_back);
            // Registered before looking, so that it is not missed in between.
            given_back.as_mut().enable();
            if !self.leaving(name).as_ref().is_some_and(same) {
                return !self.get(name).as_ref().is_ok_and(same);
            }
            given_back.await;
        }
    }

    async fn until_none_is(&self, claim: Claim) {
        loop {
            let given_back = self.given_back.notified();
            tokio::pin!(given_back);
            // Registered before looking, so that none is missed in between.
            given_back.as_mut().enable();
            let any = self
                .slots
                .lock()
                .values()
                .any(|place| place.claimed == Some(claim));
            if !any {
                return;
            }
            given_back.await;
        }
    }

    /// Waits until somebody is done with a name, or a generation that was
    /// replaced is gone, but no longer than this.
    pub(crate) async fn something_given_back(&self, most: Duration) {
        let either = async {
            tokio::select! {
                () = self.given_back.notified() => {}
                () = self.gone.notified() => {}
            }
        };
        // What was given back just before is noticed when the time is over.
        if tokio::time::timeout(most, either).await.is_err() {
            tracing::trace!("nothing was given back");
        }
    }

    /// Waits until fewer than `most` generations of this name are leaving.
    /// Cancellation safe.
    pub(crate) async fn fewer_replaced(&self, name: &PluginName, most: usize) {
        self.until_gone(|| self.replaced_of(name) < most).await;
    }

    /// Waits until every generation that was replaced is gone. Cancellation
    /// safe.
    pub(crate) async fn none_replaced(&self) {
        self.until_gone(|| self.replaced.lock().is_empty()).await;
    }

    /// Waits until nobody is replacing what this name stands for. Cancellation
    /// safe.
    pub(crate) async fn replace_over(&self, name: &PluginName) {
        loop {
            let given_back = self.given_back.notified();
            tokio::pin!(given_back);
            given_back.as_mut().enable();
            if !self.is_being_replaced(name) {
                return;
            }
            given_back.await;
        }
    }

    async fn until_gone(&self, done: impl Fn() -> bool) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if done() {
                return;
            }
            gone.await;
        }
    }
}
