//! What all generations of one name have done.
//!
//! Owns the sum: a generation that is gone is added to it, in the same step in
//! which it stops to be looked at by itself.
//!
//! **Invariant:** no count in it ever goes down, whatever is replaced, rolled
//! back or dropped meanwhile. What is now (memory, instances, calls) may.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::gate::Gate;
use crate::plugin::PluginStats;
use crate::unit::Unit;

/// The counts of one name, over its generations.
#[derive(Default)]
pub struct Totals(Mutex<Held>);

#[derive(Default)]
struct Held {
    gone: PluginStats,
    living: Vec<Counted>,
}

/// What counts for one generation that lives.
#[derive(Clone)]
struct Counted {
    unit: Arc<Unit>,
    gate: Arc<Gate>,
}

impl Totals {
    /// The sum over all generations, those that are gone included.
    pub fn read(&self) -> PluginStats {
        let held = self.0.lock();
        let mut sum = held.gone.clone();
        for living in &held.living {
            sum.add(&living.unit.stats(&living.gate));
        }
        sum
    }

    /// Another generation counts.
    pub(crate) fn join(&self, unit: &Arc<Unit>, gate: &Arc<Gate>) {
        self.0.lock().living.push(Counted {
            unit: unit.clone(),
            gate: gate.clone(),
        });
    }

    /// A generation is gone, and nobody calls it any more.
    pub(crate) fn leave(&self, unit: &Arc<Unit>) {
        let mut held = self.0.lock();
        let same = |living: &Counted| Arc::ptr_eq(&living.unit, unit);
        let Some(at) = held.living.iter().position(same) else {
            return;
        };
        let left = held.living.swap_remove(at);
        let last = left.unit.stats(&left.gate).counts();
        held.gone.add(&last);
    }
}
