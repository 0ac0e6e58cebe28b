//! What is loaded, by name.
//!
//! Owns the slots: one per plugin name, with the generation that serves it and
//! the number of its last one. Whoever calls reads a snapshot without a lock;
//! whoever loads or unloads holds a [`Reservation`] of the name meanwhile, so
//! that two of them never meet.
//!
//! **Invariant:** a generation is in the snapshot exactly while its slot holds
//! it, and its number is higher than that of any before it under its name.

mod loaded;
mod origin;
mod readying;
mod routes;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use hashbrown::HashMap;
use odeon_protocol::{Code, Fault, Generation, PluginName};
use odeon_runtime::PluginStats;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::loaded::{Loaded, MethodEntry, bad_arguments};
pub(crate) use self::origin::Origin;
pub(crate) use self::readying::Readying;
pub(crate) use self::routes::{Routes, ServedAt};
pub(crate) use self::tally::Tally;

/// The generations that serve calls, by name.
pub(crate) type Names = HashMap<Box<str>, Arc<Loaded>>;

/// Every slot of a host.
pub(crate) struct Registry {
    names: ArcSwap<Names>,
    routes: ArcSwap<Routes>,
    slots: Mutex<BTreeMap<PluginName, Place>>,
    /// A reservation was given back.
    given_back: Notify,
    /// The longest message that anything loaded so far takes, in bytes.
    longest_message: AtomicUsize,
    /// Generations that are not in service yet, and run their own code.
    readying: Mutex<Vec<Arc<Loaded>>>,
    /// Generations that were replaced and are not gone yet.
    replaced: Mutex<Vec<Arc<Loaded>>>,
    /// One of them is gone.
    gone: Notify,
    /// What names counted that are free again and had no row of their own.
    counted: Mutex<PluginStats>,
}

/// One name. Outlives what is loaded under it.
pub(crate) struct Slot {
    pub(crate) name: PluginName,
    current: ArcSwapOption<Loaded>,
    last: AtomicU64,
}

struct Place {
    slot: Arc<Slot>,
    claimed: Option<Claim>,
    /// Of the reservation that there is.
    unwanted: CancellationToken,
    /// From the first load of the name until it is free again.
    tally: Option<Tally>,
}

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
    registry: Arc<Registry>,
    slot: Arc<Slot>,
    /// Somebody wants to unload what it is about to replace.
    unwanted: CancellationToken,
}

impl Slot {
    /// The generation that serves calls now.
    #[inline]
    pub(crate) fn current(&self) -> Guard<Option<Arc<Loaded>>> {
        self.current.load()
    }
}

impl Registry {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Registry {
            names: ArcSwap::from_pointee(Names::default()),
            routes: ArcSwap::from_pointee(Routes::default()),
            slots: Mutex::default(),
            given_back: Notify::new(),
            longest_message: AtomicUsize::new(0),
            readying: Mutex::default(),
            replaced: Mutex::default(),
            gone: Notify::new(),
            counted: Mutex::default(),
        })
    }

    /// What serves calls now.
    #[inline]
    pub(crate) fn names(&self) -> Guard<Arc<Names>> {
        self.names.load()
    }

    /// What is served over HTTP now, and where.
    #[inline]
    pub(crate) fn routes(&self) -> Guard<Arc<Routes>> {
        self.routes.load()
    }

    /// Every loaded generation, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Loaded>> {
        let mut all: Vec<Arc<Loaded>> = self.names().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The generation that serves this name.
    pub(crate) fn get(&self, name: &PluginName) -> Result<Arc<Loaded>, Fault> {
        self.names()
            .get(name.as_str())
            .cloned()
            .ok_or_else(|| not_loaded(name.as_str()))
    }

    /// The slot of a name that something is loaded under.
    pub(crate) fn slot(&self, name: &PluginName) -> Result<Arc<Slot>, Fault> {
        let slots = self.slots.lock();
        let place = slots
            .get(name)
            .filter(|place| place.slot.current.load().is_some());
        place
            .map(|place| place.slot.clone())
            .ok_or_else(|| not_loaded(name.as_str()))
    }

    /// The names that are being loaded and serve nothing yet.
    pub(crate) fn loading(&self) -> Vec<PluginName> {
        let slots = self.slots.lock();
        let loading = slots
            .iter()
            .filter(|(_, place)| place.claimed == Some(Claim::Load));
        loading.map(|(name, _)| name.clone()).collect()
    }

    /// The longest message that anything loaded so far takes, in bytes.
    pub(crate) fn longest_message(&self) -> usize {
        self.longest_message.load(Ordering::Relaxed)
    }

    /// Waits until nothing is being loaded or replaced. Cancellation safe.
    pub(crate) async fn loads_over(&self) {
        self.until_none_is(Claim::Load).await;
        self.until_none_is(Claim::Replace).await;
    }

    /// Waits until nothing is being unloaded. Cancellation safe.
    pub(crate) async fn unloads_over(&self) {
        self.until_none_is(Claim::Unload).await;
    }

    /// What is being unloaded under this name by somebody.
    pub(crate) fn leaving(&self, name: &PluginName) -> Option<Arc<Loaded>> {
        let slots = self.slots.lock();
        let place = slots
            .get(name)
            .filter(|place| place.claimed == Some(Claim::Unload))?;
        place.slot.current.load_full()
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

    /// Takes a free name to load something under it.
    pub(crate) fn reserve(self: &Arc<Self>, name: &PluginName) -> Result<Reservation, Fault> {
        let mut slots = self.slots.lock();
        let place = slots.entry(name.clone()).or_insert_with(|| Place {
            slot: Arc::new(Slot {
                name: name.clone(),
                current: ArcSwapOption::empty(),
                last: AtomicU64::new(0),
            }),
            claimed: None,
            unwanted: CancellationToken::new(),
            tally: None,
        });
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

    /// The names that somebody is about to change.
    pub(crate) fn busy(&self) -> BTreeSet<PluginName> {
        let slots = self.slots.lock();
        let busy = slots.iter().filter(|(_, place)| place.claimed.is_some());
        busy.map(|(name, _)| name.clone()).collect()
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

    /// Whether something is about to come in the place of what serves.
    pub(crate) fn is_being_replaced(&self, name: &PluginName) -> bool {
        let slots = self.slots.lock();
        slots
            .get(name)
            .is_some_and(|place| place.claimed == Some(Claim::Replace))
    }

    /// Generations that were replaced and still have calls, or may come back.
    pub(crate) fn replaced(&self) -> Vec<Arc<Loaded>> {
        self.replaced.lock().clone()
    }

    /// How many of them this name has.
    pub(crate) fn replaced_of(&self, name: &PluginName) -> usize {
        self.replaced
            .lock()
            .iter()
            .filter(|loaded| loaded.name == *name)
            .count()
    }

    /// A generation that was replaced is gone.
    pub(crate) fn let_go(&self, gone: &Arc<Loaded>) {
        self.replaced.lock().retain(|loaded| !Arc::ptr_eq(loaded, gone));
        self.gone.notify_waiters();
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

    fn change(&self, change: impl FnOnce(&mut Names)) {
        // Writers hold the lock of the slots, so no change is lost.
        let mut names = Names::clone(&self.names.load());
        change(&mut names);
        let served = |names: &Names| names.values().any(|loaded| loaded.route.is_some());
        if served(&names) || served(&self.names.load()) {
            self.routes.store(Arc::new(Routes::of(&names)));
        }
        self.names.store(Arc::new(names));
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
        if self.slot.last.load(Ordering::Relaxed) == 0 {
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
    let loading = fault.details.as_ref().and_then(|details| details.get(LOADING));
    fault.code == Code::NameTaken && loading.and_then(serde_json::Value::as_str) == Some(name.as_str())
}

#[cold]
pub(crate) fn not_loaded(name: &str) -> Fault {
    let name: String = name.chars().take(PluginName::MAX).collect();
    Fault::new(
        Code::PluginNotFound,
        format!("no plugin named {name:?} is loaded here; see `odeon list`"),
    )
}

#[cfg(test)]
mod tests;
