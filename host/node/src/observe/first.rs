//! Observing a plugin from its first instance on.
//!
//! Owns the order that comes with a load, and what came of it, for as long as
//! whoever asked holds it: a load that fails in the plugin's own `load` leaves no
//! plugin that could be asked.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use odeon_protocol::{DumpRow, Fault, MAX_PROFILE_TIME};
use parking_lot::Mutex;

use super::keep::Dumps;
use super::{DumpRequest, RunningProfile, within};
use crate::host::Host;
use crate::load::blocking;
use crate::registry::Loaded;

/// What is observed of a plugin before any instance of it is made: its own `load`
/// and all that comes after. Given to a load; cheap to clone, and all clones are of
/// one order.
#[derive(Clone)]
pub struct Observation(Arc<Order>);

struct Order {
    dumps: Option<DumpRequest>,
    profile: Option<Duration>,
    ordered: OnceLock<Arc<Dumps>>,
    running: Mutex<Option<RunningProfile>>,
}

impl Observation {
    /// Calls that trap leave core dumps, if that is wanted; and a profile is made,
    /// for so long, if that is.
    pub fn new(dumps: Option<DumpRequest>, profile: Option<Duration>) -> Self {
        Observation(Arc::new(Order {
            dumps,
            profile,
            ordered: OnceLock::new(),
            running: Mutex::default(),
        }))
    }

    /// The calls that trapped so far; none where core dumps were not wanted, or the
    /// load did not come so far. Those that are being written are not there yet
    /// ([`Host::dumps_written`]).
    pub fn dumps(&self) -> Option<Vec<DumpRow>> {
        self.0.ordered.get().map(|dumps| dumps.rows())
    }

    /// The profile that is being made, once.
    pub fn profile(&self) -> Option<RunningProfile> {
        self.0.running.lock().take()
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("dumps", &self.0.dumps)
            .field("profile", &self.0.profile)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Observation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Host {
    /// Begins what was ordered with a load, of a generation that has no instance
    /// yet.
    pub(crate) async fn observe_first(
        &self,
        observation: &Observation,
        loaded: &Arc<Loaded>,
    ) -> Result<(), Fault> {
        let order = &observation.0;
        let principal = &loaded.origin.principal;
        if let Some(request) = order.dumps.clone() {
            request.check()?;
            let (host, loaded, principal) = (self.clone(), loaded.clone(), principal.clone());
            let dumps = blocking(move || host.arm(&loaded, &request, &principal)).await??;
            // A second load with the same order has rows of its own, which nobody sees.
            order.ordered.get_or_init(|| dumps);
        }
        if let Some(time) = order.profile {
            within(time, MAX_PROFILE_TIME)?;
            let running = self.profiled(loaded.clone(), time, principal).await?;
            *order.running.lock() = Some(running.sees_all());
        }
        Ok(())
    }
}
