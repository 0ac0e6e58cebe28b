//! Core dumps and profiles of plugins, when an operator asks.
//!
//! Owns who may be asked for what, and for how long, that it is on record before
//! it begins, and what came of it. Where guests are observed and what of them is
//! the runtime's matter; where the files lie is `keep`'s.
//!
//! **Invariant:** what is left behind is told to operators alone: no caller, and
//! no plugin, learns of a core dump.

mod first;
mod keep;
mod profile;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use odeon_authority::{Event, Principal};
use odeon_protocol::{Code, DumpReply, DumpsArmed, Fault, MAX_DUMP_TIME, MAX_DUMPS, PluginName};
use odeon_runtime::{DumpOrder, InstanceModel};
use parking_lot::Mutex;

pub use self::first::Observation;
pub use self::keep::KeepIn;
pub(crate) use self::keep::sweep_in;
use self::keep::{Dumps, Folder};
use self::profile::Profiles;
pub use self::profile::{ProfileReport, RunningProfile};
use crate::host::Host;
use crate::load::blocking;
use crate::registry::Loaded;

/// What an operator wants of the calls of a plugin that trap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpRequest {
    /// How many of them leave a core dump: 1 to 16.
    pub traps: u32,
    /// For how long: up to 24 hours.
    pub time: Duration,
    /// Where it is kept.
    pub to: KeepIn,
}

impl DumpRequest {
    fn check(&self) -> Result<(), Fault> {
        if !(1..=MAX_DUMPS).contains(&self.traps) {
            return Err(invalid(format!(
                "traps expected from 1 to {MAX_DUMPS}, found {}",
                self.traps
            )));
        }
        within(self.time, MAX_DUMP_TIME)
    }
}

/// What came of the last order for each plugin that is loaded, and the profiles
/// that are being made.
#[derive(Default)]
pub(crate) struct Observing {
    dumps: Mutex<HashMap<PluginName, Arc<Dumps>>>,
    profiles: Profiles,
}

impl Host {
    /// Has the next calls of a plugin that trap leave a core dump each, in the
    /// place of what was ordered before. That holds for the generation that
    /// serves now, and ends with it. Instances that a resident plugin has by now
    /// are not observed. A call counts also when it leaves none: because a secret
    /// was shown to it, because it is too large, or because there is no room.
    ///
    /// # Errors
    ///
    /// `ODN-1001` when no such plugin is loaded; `ODN-1004` for a number or time
    /// that is too high; `ODN-5005` when two others are observed, there is no room
    /// for a dump, or the host has no state directory; `ODN-4012` when it cannot
    /// be recorded.
    pub async fn order_dumps(
        &self,
        name: &PluginName,
        request: DumpRequest,
        principal: &Principal,
    ) -> Result<DumpReply, Fault> {
        let loaded = self.inner.registry.get(name)?;
        request.check()?;
        let (host, principal) = (self.clone(), principal.clone());
        blocking(move || {
            host.arm(&loaded, &request, &principal)?;
            Ok(host.said_of(&loaded))
        })
        .await?
    }

    /// What is refused is not on record as ordered, and what cannot be recorded
    /// does not begin.
    fn arm(
        &self,
        loaded: &Loaded,
        request: &DumpRequest,
        principal: &Principal,
    ) -> Result<Arc<Dumps>, Fault> {
        let inner = &self.inner;
        let largest = inner.host_limits.dump_size.bytes();
        let place = match &request.to {
            KeepIn::File(path) => Err(path.clone()),
            KeepIn::StateDir => {
                let folder = self.folder("dumps")?;
                folder.has_room(1)?;
                Ok(folder)
            }
        };
        let ordered = Event::DumpOrder {
            name: loaded.name.clone(),
            generation: loaded.generation,
            traps: request.traps,
            for_ms: millis(request.time),
            principal: principal.to_string().into(),
        };
        let leave = loaded.plugin.admit_dumps()?;
        self.note(ordered)?;
        let dumps = Arc::new(Dumps::new(place, inner.recorder.clone()));
        leave.arm(DumpOrder {
            traps: request.traps,
            time: request.time,
            largest,
            sink: dumps.clone(),
        });
        tracing::info!(
            plugin = loaded.name.as_str(),
            generation = loaded.generation.0,
            traps = request.traps,
            seconds = request.time.as_secs(),
            "core dumps are wanted"
        );
        let loading = inner.registry.loading();
        let mut all = inner.observing.dumps.lock();
        all.retain(|name, _| inner.registry.get(name).is_ok() || loading.contains(name));
        all.insert(loaded.name.clone(), dumps.clone());
        Ok(dumps)
    }

    /// From now on no call of a plugin leaves a core dump any more.
    ///
    /// # Errors
    ///
    /// `ODN-1001` when no such plugin is loaded; `ODN-4012` when it cannot be
    /// recorded, and it is so all the same.
    pub async fn end_dumps(&self, name: &PluginName, principal: &Principal) -> Result<DumpReply, Fault> {
        let loaded = self.inner.registry.get(name)?;
        let ended = loaded.plugin.disarm_dumps();
        self.inner.runtime.dumps_written().await;
        if ended.is_some() {
            let event = Event::DumpOrder {
                name: loaded.name.clone(),
                generation: loaded.generation,
                traps: 0,
                for_ms: 0,
                principal: principal.to_string().into(),
            };
            let host = self.clone();
            blocking(move || host.note(event)).await??;
        }
        Ok(self.said_of(&loaded))
    }

    /// What is left of the last order for core dumps, and what came of it.
    ///
    /// # Errors
    ///
    /// `ODN-1001` when no such plugin is loaded.
    pub fn dumps(&self, name: &PluginName) -> Result<DumpReply, Fault> {
        let loaded = self.inner.registry.get(name)?;
        Ok(self.said_of(&loaded))
    }

    /// Waits until every core dump is written whose call has ended. Cancellation
    /// safe.
    pub async fn dumps_written(&self) {
        self.inner.runtime.dumps_written().await;
    }

    fn said_of(&self, loaded: &Loaded) -> DumpReply {
        let dumps = self.inner.observing.dumps.lock().get(&loaded.name).cloned();
        DumpReply {
            name: loaded.name.clone(),
            generation: loaded.generation,
            armed: loaded.plugin.dumps_armed().map(|left| DumpsArmed {
                traps: left.traps,
                for_ms: millis(left.time),
            }),
            dumps: dumps.map(|dumps| dumps.rows()).unwrap_or_default(),
            warnings: not_observed(loaded),
        }
    }

    /// A folder of the state directory for what is left behind here.
    fn folder(&self, name: &'static str) -> Result<Folder, Fault> {
        let state = self.inner.state_dir.as_deref().ok_or_else(|| {
            Fault::new(
                Code::WrongState,
                "expected a host with a state directory, found one that keeps nothing; name a file",
            )
        })?;
        let limits = &self.inner.host_limits;
        Folder::open(&state.join(name), limits.dumps_size)
    }
}

/// What the operator should know who has a resident plugin observed.
fn not_observed(loaded: &Loaded) -> Vec<String> {
    match loaded.plugin.spec().instances {
        InstanceModel::Fresh => Vec::new(),
        InstanceModel::Resident { .. } => vec![format!(
            "{} is resident: the instances that it has by now stay as they are and are not observed; those are that are \
             made from now on, as after a trap",
            loaded.name
        )],
    }
}

/// A time that is some and not too long.
fn within(time: Duration, most: Duration) -> Result<(), Fault> {
    match time.is_zero() || time > most {
        false => Ok(()),
        true => Err(invalid(format!(
            "the time expected at most {} s and more than none, found {} s",
            most.as_secs(),
            time.as_secs_f64()
        ))),
    }
}

fn invalid(message: String) -> Fault {
    Fault::new(Code::InvalidArguments, message)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
