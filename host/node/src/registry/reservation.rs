//! The right to change what a name stands for, and what is done with it.
//!
//! Owns who has a name, and that publishing, switching and removing are seen by
//! every caller at once. Waits for nobody: a name that somebody has is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use odeon_protocol::{Code, Fault, Generation, PluginName};
use tokio_util::sync::CancellationToken;

use super::{Loaded, Place, Registry, Slot, not_loaded};

/// What is being done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Load,
    Replace,
    Unload,
}

/// Why a loaded name cannot be taken.
#[derive(Debug)]
pub(crate) struct Taken {
    /// What somebody does with it; nothing if nothing is loaded under it.
    pub(crate) by: Option<Claim>,
    pub(crate) fault: Fault,
}

impl From<Taken> for Fault {
    fn from(taken: Taken) -> Self {
        taken.fault
    }
}

/// The right to change what a name stands for. Dropping it gives it back.
pub(crate) struct Reservation {
    pub(super) registry: Arc<Registry>,
    pub(super) slot: Arc<Slot>,
    /// Somebody wants to unload what it is about to replace.
    unwanted: CancellationToken,
}

impl Registry {
    /// Takes a free name to load something under it.
    pub(crate) fn reserve(self: &Arc<Self>, name: &PluginName) -> Result<Reservation, Fault> {
        let mut slots = self.slots.lock();
        if !slots.contains_key(name) {
            self.forgotten.make_room(&mut slots);
        }
        let place = slots
            .entry(name.clone())
            .or_insert_with(|| Place::new(name, self.forgotten.highest()));
        let taken = match place.claimed {
            Some(Claim::Load) => Some("is being loaded by somebody else"),
            Some(Claim::Replace) => Some("is being replaced"),
            Some(Claim::Unload) => Some("is being unloaded"),
            None => place.slot.current.load().is_some().then_some("is loaded"),
        };
        if let Some(how) = taken {
            let fault = Fault::new(
                Code::NameTaken,
                format!("a plugin named {name} {how}; unload it first, or load this one under another name"),
            );
            return Err(match place.claimed {
                // Who waits for that load to end knows by this which it is.
                Some(Claim::Load) => fault.with_details(serde_json::json!({ LOADING: name.as_str() })),
                _ => fault,
            });
        }
        Ok(self.give(place, Claim::Load))
    }

    /// Takes a loaded name to unload what is there.
    pub(crate) fn claim(self: &Arc<Self>, name: &PluginName) -> Result<(Reservation, Arc<Loaded>), Taken> {
        self.claim_for(Claim::Unload, name)
    }

    /// Takes a loaded name to put another generation in the place of the one
    /// that serves.
    pub(crate) fn claim_to_replace(
        self: &Arc<Self>,
        name: &PluginName,
    ) -> Result<(Reservation, Arc<Loaded>), Taken> {
        self.claim_for(Claim::Replace, name)
    }

    fn give(self: &Arc<Self>, place: &mut Place, claim: Claim) -> Reservation {
        place.claimed = Some(claim);
        place.unwanted = CancellationToken::new();
        Reservation {
            registry: self.clone(),
            slot: place.slot.clone(),
            unwanted: place.unwanted.clone(),
        }
    }

    /// Says that what this name stands for is to be unloaded: a replace of it
    /// that is not done yet is given up.
    pub(crate) fn unwanted(&self, name: &PluginName) {
        let slots = self.slots.lock();
        if let Some(place) = slots
            .get(name)
            .filter(|place| place.claimed == Some(Claim::Replace))
        {
            place.unwanted.cancel();
        }
    }

    fn claim_for(
        self: &Arc<Self>,
        claim: Claim,
        name: &PluginName,
    ) -> Result<(Reservation, Arc<Loaded>), Taken> {
        let absent = || Taken {
            by: None,
            fault: not_loaded(name.as_str()),
        };
        let mut slots = self.slots.lock();
        let place = slots.get_mut(name).ok_or_else(absent)?;
        let loaded = place.slot.current.load_full().ok_or_else(absent)?;
        let words = match place.claimed {
            None => return Ok((self.give(place, claim), loaded)),
            Some(Claim::Replace) => format!("{name} is being replaced; try again when that is done"),
            Some(Claim::Load | Claim::Unload) => {
                format!("{name} is being unloaded already; to stop the calls that it waits for, say --now")
            }
        };
        Err(Taken {
            by: place.claimed,
            fault: Fault::new(Code::Draining, words),
        })
    }
}

impl Place {
    fn new(name: &PluginName, began: u64) -> Self {
        Place {
            slot: Arc::new(Slot {
                name: name.clone(),
                current: ArcSwapOption::empty(),
                began,
                last: AtomicU64::new(began),
            }),
            claimed: None,
            unwanted: CancellationToken::new(),
            tally: None,
        }
    }
}

impl Reservation {
    /// Cancelled when somebody wants to unload what it is about to replace.
    pub(crate) fn is_unwanted(&self) -> CancellationToken {
        self.unwanted.clone()
    }

    /// The number of the generation that is loaded under this reservation.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.slot.last.load(Ordering::Relaxed).saturating_add(1))
    }

    /// Puts a generation into service, for every caller at once.
    pub(crate) fn publish(self, loaded: Arc<Loaded>) {
        self.put(loaded);
    }

    fn put(&self, loaded: Arc<Loaded>) {
        let longest = &self.registry.longest_message;
        longest.fetch_max(loaded.limits.max_bytes, Ordering::Relaxed);
        let slots = self.registry.slots.lock();
        self.slot.last.store(loaded.generation.0, Ordering::Relaxed);
        self.slot.current.store(Some(loaded.clone()));
        self.registry.change(|names| {
            names.insert(self.slot.name.as_str().into(), loaded);
        });
        drop(slots);
    }

    /// Puts a generation in the place of the one that serves, which is given
    /// back among those that leave. From here on every call that comes in is
    /// the new one's: it is held until the old one takes no more, and whoever
    /// waited at the old one goes on to it.
    pub(crate) fn switch(self, loaded: Arc<Loaded>, before: &Arc<Loaded>) {
        let registry = self.registry.clone();
        registry.replaced.lock().push(before.clone());
        let (old, new) = (before.plugin.clone(), loaded.plugin.clone());
        new.hold();
        self.put(loaded);
        old.retire();
        new.open();
        // The name is given back only now.
        drop(self);
    }

    /// Takes what is there out of the registry.
    pub(crate) fn remove(self) {
        let slots = self.registry.slots.lock();
        self.slot.current.store(None);
        self.registry.change(|names| {
            names.remove(self.slot.name.as_str());
        });
        drop(slots);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut slots = self.registry.slots.lock();
        if self.slot.last.load(Ordering::Relaxed) == self.slot.began {
            // Nothing was ever loaded under it: there is no number to keep.
            slots.remove(&self.slot.name);
        } else if let Some(place) = slots.get_mut(&self.slot.name) {
            place.claimed = None;
            if place.slot.current.load().is_none()
                && let Some(tally) = place.tally.take()
            {
                self.registry.keep(&tally);
            }
        }
        drop(slots);
        self.registry.given_back.notify_waiters();
    }
}

/// The detail of a refusal that names what is being loaded.
const LOADING: &str = "loading";

/// Whether this is the refusal of a name because it is being loaded.
pub(crate) fn is_being_loaded(fault: &Fault, name: &PluginName) -> bool {
    loading(fault) == Some(name.as_str())
}

/// The same of whichever name.
pub(crate) fn is_of_a_load(fault: &Fault) -> bool {
    loading(fault).is_some()
}

fn loading(fault: &Fault) -> Option<&str> {
    let details = fault.details.as_ref().filter(|_| fault.code == Code::NameTaken)?;
    details.get(LOADING)?.as_str()
}
