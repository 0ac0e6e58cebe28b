//! What every step of the watcher needs, and what all of them share.
//!
//! Owns nothing but the way to it: steps run side by side, and what they know of
//! each other is behind one lock that nobody holds while he waits.

use std::path::PathBuf;
use std::time::Duration;

use super::applied::Applied;
use super::descriptors::State;
use crate::host::Host;

/// Who does steps.
pub(super) struct Doer {
    pub(super) host: Host,
    /// The folder.
    pub(super) path: PathBuf,
    /// How long calls may go on where a descriptor does not say so.
    pub(super) drain: Duration,
}

impl Doer {
    pub(super) fn change<R: Default>(&self, change: impl FnOnce(&mut Applied) -> R) -> R {
        self.change_state(|state| change(&mut state.applied))
    }

    pub(super) fn change_state<R: Default>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.host.inner.descriptors.state.lock();
        state.as_mut().map(change).unwrap_or_default()
    }
}
