//! The places that open connections take.
//!
//! Owns the count of one plugin's connections over all its instances. A place
//! is given back when what holds it is dropped, and in no other way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::unit::Unit;

/// A place among the connections a plugin may have open.
pub(crate) struct Slot(Arc<Unit>);

impl Slot {
    /// Takes a place if one is free.
    pub(super) fn take(unit: &Arc<Unit>) -> Option<Self> {
        let limit = usize::try_from(unit.spec.limits.connections).unwrap_or(usize::MAX);
        let taken = unit
            .counters
            .connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < limit).then(|| open.saturating_add(1))
            });
        taken.ok().map(|_| Slot(unit.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.counters.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The places of the sockets a guest holds, by the number of their handle.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashMap<u32, Slot>>);

impl Slots {
    /// The socket with this handle takes the place.
    pub(crate) fn keep(&self, handle: u32, slot: Slot) {
        self.0.lock().insert(handle, slot);
    }

    /// The socket with this handle is gone.
    pub(crate) fn release(&self, handle: u32) {
        self.0.lock().remove(&handle);
    }
}
