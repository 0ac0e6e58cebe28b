//! What is counted under a name, over its generations.
//!
//! Owns which names are counted in rows of their own: as many as
//! [`MOST_ROWS`], in the order in which they came. A name keeps what it got
//! until it is free again, so that no sum ever loses what it had.

use std::sync::Arc;

use odeon_protocol::{Generation, PluginName};
use odeon_runtime::{PluginStats, Totals};

use super::{Registry, Reservation};

/// The most names that have rows of their own; all others share one.
const MOST_ROWS: usize = 1000;

/// What is counted under one name.
#[derive(Clone)]
pub(crate) struct Tally {
    pub(crate) totals: Arc<Totals>,
    /// It is not summed up with others.
    pub(crate) own_row: bool,
}

impl Reservation {
    /// What is counted under this name.
    pub(crate) fn totals(&self) -> Arc<Totals> {
        let mut slots = self.registry.slots.lock();
        let rows = slots
            .values()
            .filter(|place| place.tally.as_ref().is_some_and(|tally| tally.own_row))
            .count();
        let Some(place) = slots.get_mut(&self.slot.name) else {
            return Arc::default();
        };
        let tally = place.tally.get_or_insert_with(|| Tally {
            totals: Arc::default(),
            own_row: rows < MOST_ROWS,
        });
        tally.totals.clone()
    }
}

impl Registry {
    /// What is counted under each name that something is loaded under, and what
    /// was counted under those without rows of their own that are free again.
    pub(crate) fn tallies(&self) -> (Vec<(PluginName, Generation, Tally)>, PluginStats) {
        let slots = self.slots.lock();
        let rows = slots.iter().filter_map(|(name, place)| {
            let serving = place.slot.current.load().as_ref()?.generation;
            Some((name.clone(), serving, place.tally.clone()?))
        });
        (rows.collect(), self.counted.lock().clone())
    }

    /// A name is free. Said under the lock of the slots, so that nobody sees it
    /// both here and there, or in neither place.
    pub(super) fn keep(&self, tally: &Tally) {
        if !tally.own_row {
            self.counted.lock().add(&tally.totals.read().counts());
        }
    }
}
