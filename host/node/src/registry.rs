//! What is loaded, by name.
//!
//! Owns the slots: one per plugin name, with the generation that serves it and
//! the number of its last one. Whoever calls reads a snapshot without a lock;
//! whoever loads or unloads holds a [`Reservation`] of the name meanwhile, so
//! that two of them never meet.
//!
//! **Invariant:** a generation is in the snapshot exactly while its slot holds
//! it, and its number is higher than that of any before it under its name.

mod forgotten;
mod loaded;
mod origin;
mod readying;
mod reservation;
mod routes;
mod tally;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use hashbrown::HashMap;
use odeon_protocol::{Code, Fault, PluginName};
use odeon_runtime::PluginStats;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::forgotten::Forgotten;
pub(crate) use self::loaded::{Loaded, MethodEntry, bad_arguments};
pub(crate) use self::origin::Origin;
pub(crate) use self::readying::Readying;
pub(crate) use self::reservation::{Claim, Reservation, Taken, is_being_loaded, is_of_a_load};
pub(crate) use self::routes::{Routes, ServedAt};
pub(crate) use self::tally::Tally;

/// The generations that serve calls, by name.
pub(crate) type Names = HashMap<Box<str>, Arc<Loaded>>;

/// Every slot of a host.
pub(crate) struct Registry {
    names: ArcSwap<Names>,
    routes: ArcSwap<Routes>,
    slots: Mutex<BTreeMap<PluginName, Place>>,
    forgotten: Forgotten,
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
    /// The number after which it began.
    began: u64,
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
            forgotten: Forgotten::new(),
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

    /// What is being unloaded under this name by somebody.
    pub(crate) fn leaving(&self, name: &PluginName) -> Option<Arc<Loaded>> {
        let slots = self.slots.lock();
        let place = slots
            .get(name)
            .filter(|place| place.claimed == Some(Claim::Unload))?;
        place.slot.current.load_full()
    }

    /// The names that somebody is about to change.
    pub(crate) fn busy(&self) -> BTreeSet<PluginName> {
        let slots = self.slots.lock();
        let busy = slots.iter().filter(|(_, place)| place.claimed.is_some());
        busy.map(|(name, _)| name.clone()).collect()
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
