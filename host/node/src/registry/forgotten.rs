//! Names that nothing is loaded under.
//!
//! Owns how many of them are kept, with the numbers of their last generations,
//! and where a name begins that is not kept: above every number that was ever
//! given to one of those, so that no name's numbers go back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use odeon_protocol::PluginName;

use super::Place;

/// The most names that are kept although nothing is loaded under them and nobody
/// holds them.
pub(super) const MOST_FREE: usize = 4096;

/// What is left of names that were dropped. Changed under the lock of the slots
/// alone.
pub(super) struct Forgotten {
    /// The highest number that one of them had.
    highest: AtomicU64,
    /// When there are as many names, some may be dropped.
    at: AtomicUsize,
}

impl Forgotten {
    pub(super) fn new() -> Self {
        Forgotten {
            highest: AtomicU64::new(0),
            at: AtomicUsize::new(MOST_FREE),
        }
    }

    /// The number after which a name begins that is not kept.
    pub(super) fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    /// Drops the names that are free, if there may be too many of them: all at
    /// once, so that not every load has to look at all of them.
    pub(super) fn make_room(&self, slots: &mut BTreeMap<PluginName, Place>) {
        if slots.len() < self.at.load(Ordering::Relaxed) {
            return;
        }
        slots.retain(|_, place| {
            let is_kept = place.is_held();
            if !is_kept {
                let last = place.slot.last.load(Ordering::Relaxed);
                self.highest.fetch_max(last, Ordering::Relaxed);
            }
            is_kept
        });
        self.at
            .store(slots.len().saturating_add(MOST_FREE), Ordering::Relaxed);
    }
}

impl Place {
    /// Whether something is loaded under it, or somebody may come to need it: a
    /// handle finds by it what is loaded under the name later.
    fn is_held(&self) -> bool {
        self.claimed.is_some() || self.slot.current.load().is_some() || Arc::strong_count(&self.slot) > 1
    }
}
