//! Looking at a plugin's calls more closely, for a while.
//!
//! Owns the place where observed guests run: engines like those of a worker,
//! which also keep what a core dump is made of. New instances of an observed
//! plugin are made there; those that a resident plugin has stay where they are,
//! with their state, and are not observed. Nobody else pays more than one look
//! at a flag for each new instance.
//!
//! **Invariant:** observing ends by itself: after its time, or its number of
//! core dumps. Nothing of it is in what a caller is told.

mod confidence;
mod dump;
mod place;
mod profile;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault, PluginName};
use parking_lot::Mutex;
use wasmtime::StoreContextMut;
use wasmtime::component::Component;

pub(crate) use self::confidence::Confidence;
pub(crate) use self::dump::Job;
use self::dump::{Armed, Ticket, Writing};
pub use self::dump::{CoreDump, DumpOrder, DumpSink, DumpsLeft, LeftOut, StoppedCall};
use self::place::Held;
pub use self::place::{DumpPlace, ObservedFor, ProfilePlace};
pub use self::profile::{GuestProfile, ProfileOrder};
use crate::engine::{Capture, PoolSize};
use crate::shard::Shard;
use crate::state::HostState;
use crate::ticker::Ticker;
use crate::unit::Unit;

/// Plugins that one runtime observes at a time. Each may have half of a
/// worker's pool, and that is how large the one here is.
pub const MAX_OBSERVED: usize = 2;

/// Why a plugin is not observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Others are.
    #[error("{}", place::taken(.0))]
    Taken(Vec<(PluginName, ObservedFor)>),
    /// A profile of it is being made.
    #[error(
        "a profile of this plugin is being made, and there is one at a time; wait until it is there, or end \
             it with odeon profile NAME --off"
    )]
    Profiled,
    /// The engine fails for a reason of its own.
    #[error("the plugin cannot be observed: {0}")]
    Engine(String),
}

impl From<ObserveError> for Fault {
    fn from(error: ObserveError) -> Fault {
        let code = match error {
            ObserveError::Taken(_) | ObserveError::Profiled => Code::WrongState,
            ObserveError::Engine(_) => Code::Internal,
        };
        Fault::new(code, error.to_string())
    }
}

/// What of one generation is observed.
#[derive(Default)]
pub(crate) struct Observer {
    /// Whether new instances are made where they are observed.
    on: AtomicBool,
    sampling: AtomicBool,
    /// Samples that were not taken because another one was being taken.
    busy: AtomicU32,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    dumps: Option<Armed>,
    profile: Option<Profiled>,
    /// Orders for core dumps that have their place and were not begun.
    held_dumps: u32,
    /// The same of a profile, of which there is one at a time.
    held_profile: bool,
}

struct Profiled {
    profile: GuestProfile,
    until: Instant,
}

impl Observer {
    /// Whether a new instance is to be made where it is observed.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed) && self.goes_on()
    }

    /// Ends what has had its time.
    #[cold]
    fn goes_on(&self) -> bool {
        let mut now = self.now.lock();
        self.look(&mut now);
        self.on.load(Ordering::Relaxed)
    }

    fn look(&self, now: &mut Now) {
        let at = Instant::now();
        now.dumps.take_if(|armed| armed.until() <= at);
        // One whose time is over waits for whoever asked for it.
        let sampling = now.profile.as_ref().is_some_and(|profiled| at < profiled.until);
        self.sampling.store(sampling, Ordering::Relaxed);
        self.on.store(now.dumps.is_some() || sampling, Ordering::Relaxed);
    }

    /// Keeps a place for what is about to begin.
    fn hold(&self, what: ObservedFor) -> Result<(), ObserveError> {
        let mut now = self.now.lock();
        if what.profile {
            if now.profile.is_some() || now.held_profile {
                return Err(ObserveError::Profiled);
            }
            now.held_profile = true;
        }
        if what.dumps {
            now.held_dumps = now.held_dumps.saturating_add(1);
        }
        Ok(())
    }

    /// Gives it back, whether it was begun or not.
    fn let_go(&self, what: ObservedFor) {
        let mut now = self.now.lock();
        if what.profile {
            now.held_profile = false;
        }
        if what.dumps {
            now.held_dumps = now.held_dumps.saturating_sub(1);
        }
    }

    /// What it is observed for, or is about to be.
    fn what(&self) -> ObservedFor {
        let mut now = self.now.lock();
        self.look(&mut now);
        ObservedFor {
            dumps: now.dumps.is_some() || now.held_dumps > 0,
            profile: now.held_profile || self.is_sampling(),
        }
    }

    /// From now on calls that trap leave a core dump.
    pub(crate) fn arm(&self, order: DumpOrder) {
        let mut now = self.now.lock();
        now.dumps = Some(Armed::new(order));
        self.look(&mut now);
    }

    /// Ends that. Says what was left of it.
    pub(crate) fn disarm(&self) -> Option<DumpsLeft> {
        let mut now = self.now.lock();
        self.look(&mut now);
        let left = now.dumps.take().map(|armed| armed.left());
        self.look(&mut now);
        left
    }

    /// What is left of it.
    pub(crate) fn armed(&self) -> Option<DumpsLeft> {
        let mut now = self.now.lock();
        self.look(&mut now);
        now.dumps.as_ref().map(Armed::left)
    }

    /// Leave for one core dump, if one is wanted.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        let mut now = self.now.lock();
        self.look(&mut now);
        let ticket = now.dumps.as_mut()?.ticket();
        now.dumps.take_if(|armed| armed.is_used_up());
        self.look(&mut now);
        Some(ticket)
    }

    /// From now on samples are taken, for so long.
    fn begin_profile(&self, profile: GuestProfile, time: Duration) {
        let mut now = self.now.lock();
        let began = Instant::now();
        self.busy.store(0, Ordering::Relaxed);
        now.profile = Some(Profiled {
            profile,
            until: began.checked_add(time).unwrap_or(began),
        });
        self.look(&mut now);
    }

    /// Ends that, and gives what there is.
    pub(crate) fn end_profile(&self) -> Option<GuestProfile> {
        let mut now = self.now.lock();
        let mut profile = now.profile.take()?.profile;
        self.look(&mut now);
        profile.left_out = profile.left_out.saturating_add(self.busy.load(Ordering::Relaxed));
        Some(profile)
    }

    /// Whether the tick is to look where the guest is.
    #[inline]
    pub(crate) fn is_sampling(&self) -> bool {
        self.sampling.load(Ordering::Relaxed)
    }

    /// Notes where the guest is, unless another guest is being looked at: none
    /// waits for that.
    #[cold]
    pub(crate) fn sample(&self, store: &StoreContextMut<'_, HostState>) {
        let Some(mut now) = self.now.try_lock() else {
            self.busy.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.look(&mut now);
        if self.is_sampling()
            && let Some(profiled) = &mut now.profile
        {
            profiled.profile.sample(store);
        }
    }
}

/// Where observed guests run, and who is observed.
pub(crate) struct Observatory {
    shard: Shard,
    observed: Mutex<Vec<Weak<Unit>>>,
    writing: Writing,
}

impl Observatory {
    pub(crate) fn new(pool: PoolSize, ticker: Ticker) -> Self {
        Observatory {
            shard: Shard::new(pool, Capture::CoreDump, ticker),
            observed: Mutex::default(),
            writing: Writing::default(),
        }
    }

    /// Its engines, made when a plugin is first observed.
    pub(crate) fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Leave to have core dumps of it made, if there is room for one more.
    pub(crate) fn admit_dumps(&self, unit: &Arc<Unit>) -> Result<DumpPlace, ObserveError> {
        self.admit(unit, ObservedFor::DUMPS).map(DumpPlace)
    }

    /// Leave to make a profile of it, of so many samples. This is its component
    /// where it is observed.
    pub(crate) fn admit_profile(
        &self,
        unit: &Arc<Unit>,
        component: &Component,
        samples: u32,
    ) -> Result<ProfilePlace, ObserveError> {
        let held = self.admit(unit, ObservedFor::PROFILE)?;
        let profile = GuestProfile::begin(unit.spec.name.as_str(), component, samples)
            .map_err(|error| ObserveError::Engine(format!("{error:#}")))?;
        Ok(ProfilePlace { held, profile })
    }

    fn admit(&self, unit: &Arc<Unit>, what: ObservedFor) -> Result<Held, ObserveError> {
        let mut observed = self.observed.lock();
        let none = ObservedFor::default();
        observed.retain(|one| one.upgrade().is_some_and(|one| one.observer.what() != none));
        let others: Vec<Arc<Unit>> = observed.iter().filter_map(Weak::upgrade).collect();
        let is_in = others.iter().any(|one| Arc::ptr_eq(one, unit));
        if !is_in && others.len() >= MAX_OBSERVED {
            let by = others
                .iter()
                .map(|one| (one.spec.name.clone(), one.observer.what()));
            return Err(ObserveError::Taken(by.collect()));
        }
        let held = Held::new(unit, what)?;
        if !is_in {
            observed.push(Arc::downgrade(unit));
        }
        Ok(held)
    }

    /// Has a core dump written soon. Never blocks.
    pub(crate) fn write(&self, job: Job) {
        self.writing.hand_over(job);
    }

    /// Waits until all of them are written. Cancellation safe.
    pub(crate) async fn dumps_written(&self) {
        self.writing.over().await;
    }
}
