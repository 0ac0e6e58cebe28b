//! How many peers there are at a time.
//!
//! Owns the places: many for everybody, and a few beside them for peers whose
//! first request is an operator's.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{MAX_CONNECTIONS, MAX_OPERATORS};

pub(super) struct Places {
    everybody: Arc<Semaphore>,
    operators: Arc<Semaphore>,
}

/// One peer's place, given back when it is dropped.
pub(super) struct Place {
    /// It is kept for an operator.
    pub(super) reserved: bool,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Self {
        Places {
            everybody: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            operators: Arc::new(Semaphore::new(MAX_OPERATORS)),
        }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        let free = self.everybody.available_permits() + self.operators.available_permits();
        (MAX_CONNECTIONS + MAX_OPERATORS).saturating_sub(free)
    }

    /// A place, as long as there is one.
    pub(super) fn take(&self) -> Option<Place> {
        let take = |places: &Arc<Semaphore>, reserved| {
            let permit = places.clone().try_acquire_owned().ok()?;
            Some(Place {
                reserved,
                _permit: permit,
            })
        };
        take(&self.everybody, false).or_else(|| take(&self.operators, true))
    }
}
