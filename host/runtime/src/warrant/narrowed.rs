//! What is left of a plugin's grants for one chain of others.
//!
//! Owns the meeting, and remembers a bounded number of them by the very grants
//! that met: when any of those is replaced, it does not count any more.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Behalf, Granted, Warrant};

/// The most meetings of one plugin that are remembered.
const MOST: usize = 64;

/// The meetings that are remembered, the newest last.
#[derive(Default)]
pub(super) struct Narrowed(Mutex<VecDeque<Met>>);

struct Met {
    /// What met: the plugin's own grants, and those of whom it works for. Weak,
    /// so that nothing of a plugin that is gone is kept.
    of: Vec<Weak<Granted>>,
    left: Arc<Granted>,
}

impl Met {
    fn is_of(&self, own: &Arc<Granted>, others: &[Arc<Granted>]) -> bool {
        let met = std::iter::once(own).chain(others);
        self.of.len() == others.len().saturating_add(1)
            && self
                .of
                .iter()
                .zip(met)
                .all(|(met, now)| std::ptr::eq(met.as_ptr(), &**now))
    }

    fn is_over(&self) -> bool {
        self.of.iter().any(|met| met.strong_count() == 0)
    }
}

impl Warrant {
    /// What it may use on behalf of these.
    pub(super) fn on_behalf(&self, behalf: &Behalf) -> Arc<Granted> {
        let own = self.now();
        if behalf.is_nobody() {
            return own;
        }
        if behalf.is_unknown() {
            return Arc::new(super::Grants::default().into());
        }
        let others: Vec<Arc<Granted>> = behalf
            .units()
            .iter()
            .filter(|other| !own.acts_for(&other.spec.name))
            .map(|other| other.warrant.now())
            .collect();
        if others.is_empty() {
            return own;
        }
        self.narrowed.of(&own, &others)
    }
}

impl Narrowed {
    /// What is left of `own` beside `others`, remembered or not.
    fn of(&self, own: &Arc<Granted>, others: &[Arc<Granted>]) -> Arc<Granted> {
        let mut met = self.0.lock();
        if let Some(known) = met.iter().find(|met| met.is_of(own, others)) {
            return known.left.clone();
        }
        let left = Arc::new(meet(own, others));
        met.retain(|met| !met.is_over());
        if met.len() >= MOST {
            met.pop_front();
        }
        met.push_back(Met {
            of: std::iter::once(own).chain(others).map(Arc::downgrade).collect(),
            left: left.clone(),
        });
        left
    }
}

fn meet(own: &Granted, others: &[Arc<Granted>]) -> Granted {
    let set = others
        .iter()
        .fold(own.set().clone(), |left, other| left.on_behalf_of(other.set()));
    let env = own.env.iter();
    Granted {
        may: set.into(),
        env: env
            .filter(|(name, _)| others.iter().all(|other| other.env.contains_key(*name)))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        acts_for: Vec::new(),
        sides: None,
    }
}

#[cfg(test)]
mod tests;
