//! What was let in and is not in service yet.
//!
//! Owns the list of generations whose own code may run by then, their `load` or
//! `restore`, so that whoever takes something away reaches them too. Nothing of
//! it can be called.

use std::sync::Arc;

use super::{Loaded, Registry};

/// A generation that is being made ready. Dropping it takes it off the list: it
/// serves by then, or never will.
pub(crate) struct Readying {
    registry: Arc<Registry>,
    loaded: Arc<Loaded>,
}

impl Registry {
    /// From now on this generation is reached by a review.
    pub(crate) fn make_ready(self: &Arc<Self>, loaded: &Arc<Loaded>) -> Readying {
        self.readying.lock().push(loaded.clone());
        Readying {
            registry: self.clone(),
            loaded: loaded.clone(),
        }
    }

    /// Generations that are being made ready.
    pub(crate) fn readying(&self) -> Vec<Arc<Loaded>> {
        self.readying.lock().clone()
    }
}

impl Drop for Readying {
    fn drop(&mut self) {
        let mut readying = self.registry.readying.lock();
        readying.retain(|loaded| !Arc::ptr_eq(loaded, &self.loaded));
    }
}
