//! Profiles of plugins.
//!
//! Owns how long one goes on: for its time, or until an operator ends it, the
//! generation does not serve any more, or the host stops; and where it is kept.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use odeon_authority::{Event, NewFile, Principal};
use odeon_protocol::{Code, Fault, Generation, MAX_PROFILE_TIME, PluginName, ProfileEndReply};
use odeon_runtime::GuestProfile;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{KeepIn, millis, not_observed, within};
use crate::host::Host;
use crate::load::blocking;
use crate::registry::Loaded;

/// The most samples of one profile.
const SAMPLES: u32 = 50_000;

/// How often it is looked whether the generation still serves.
const LOOK: Duration = Duration::from_millis(100);

/// A profile that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileReport {
    /// The plugin.
    pub name: PluginName,
    /// Its generation.
    pub generation: Generation,
    /// Where it is.
    pub file: PathBuf,
    /// Samples in it: one for each tick of a millisecond that found a guest
    /// running.
    pub samples: u32,
    /// Samples that were left out: two guests at a time, a stack of more than 128
    /// functions, more than 50,000 samples, or a million functions in all of them.
    pub left_out: u32,
    /// What the operator should know although it went well.
    pub warnings: Vec<String>,
}

/// A profile that is being made. Dropping it gives it up.
pub struct RunningProfile {
    host: Host,
    loaded: Arc<Loaded>,
    /// Raised by an operator.
    end: Arc<CancellationToken>,
    /// No instance was made before it began.
    from_the_first: bool,
    ended: bool,
}

impl Drop for RunningProfile {
    fn drop(&mut self) {
        // After its end, the next one may have begun.
        if !self.ended {
            drop(self.taken());
            let (plugin, generation) = (self.loaded.name.as_str(), self.loaded.generation.0);
            tracing::info!(plugin, generation, "a profile was given up");
        }
    }
}

/// The profiles that are being made: no more than plugins are observed at a time.
#[derive(Default)]
pub(super) struct Profiles(Mutex<Vec<Being>>);

/// One of them.
struct Being {
    name: PluginName,
    generation: Generation,
    end: Arc<CancellationToken>,
}

impl Profiles {
    fn begun(&self, loaded: &Loaded) -> Arc<CancellationToken> {
        let end = Arc::<CancellationToken>::default();
        self.0.lock().push(Being {
            name: loaded.name.clone(),
            generation: loaded.generation,
            end: end.clone(),
        });
        end
    }

    fn ended(&self, end: &Arc<CancellationToken>) {
        self.0.lock().retain(|being| !Arc::ptr_eq(&being.end, end));
    }

    /// Has those of this plugin end. Says of which generation the last one is.
    fn end(&self, name: &PluginName) -> Option<Generation> {
        let all = self.0.lock();
        let own = all.iter().filter(|being| being.name == *name);
        own.fold(None, |_, being| {
            being.end.cancel();
            Some(being.generation)
        })
    }
}

impl Host {
    /// Makes a profile of a plugin: where its calls were, at every tick of this
    /// time. Ends earlier when [`Host::end_profile`] says so, its generation serves
    /// no more, or the host stops, with what there is. Dropping the future gives it
    /// up. The file is for the Firefox Profiler; it holds names of
    /// functions and times, and nothing of a guest's memory.
    ///
    /// # Errors
    ///
    /// As for [`Host::begin_profile`] and [`RunningProfile::end`].
    pub async fn profile(
        &self,
        name: &PluginName,
        time: Duration,
        principal: &Principal,
    ) -> Result<ProfileReport, Fault> {
        // What nobody has room for is not made.
        let room = self.clone();
        blocking(move || room.folder("profiles")?.has_room(1)).await??;
        let running = self.begin_profile(name, time, principal).await?;
        let over = sleep_until(Instant::now() + time);
        tokio::select! {
            () = over => {}
            () = running.end.cancelled() => {}
            () = running.loses_its_place() => {}
            () = self.inner.tasks.no_loads.cancelled() => {}
        }
        running.end(KeepIn::StateDir).await
    }

    /// Begins a profile that whoever called ends.
    ///
    /// # Errors
    ///
    /// `ODN-1001` when no such plugin is loaded; `ODN-1004` for a time that is too
    /// long; `ODN-5005` when one of it is being made, or two others are observed;
    /// `ODN-4012` when it cannot be recorded.
    pub async fn begin_profile(
        &self,
        name: &PluginName,
        time: Duration,
        principal: &Principal,
    ) -> Result<RunningProfile, Fault> {
        within(time, MAX_PROFILE_TIME)?;
        let loaded = self.inner.registry.get(name)?;
        self.profiled(loaded, time, principal).await
    }

    /// The same of a generation, which may not serve yet. What is refused is not on
    /// record as begun, and what cannot be recorded does not begin.
    pub(super) async fn profiled(
        &self,
        loaded: Arc<Loaded>,
        time: Duration,
        principal: &Principal,
    ) -> Result<RunningProfile, Fault> {
        let begun = Event::Profile {
            name: loaded.name.clone(),
            generation: loaded.generation,
            for_ms: millis(time),
            principal: principal.to_string().into(),
        };
        let host = self.clone();
        blocking(move || {
            let leave = loaded.plugin.admit_profile(SAMPLES)?;
            host.note(begun)?;
            leave.begin(time);
            Ok(RunningProfile {
                end: host.inner.observing.profiles.begun(&loaded),
                host,
                loaded,
                from_the_first: false,
                ended: false,
            })
        })
        .await?
    }

    /// Has the profile of a plugin that is being made end now. Whoever asked for
    /// it gets what there is.
    ///
    /// # Errors
    ///
    /// `ODN-1001` when no such plugin is loaded and none is being made; `ODN-4012`
    /// when it cannot be recorded, and it is so all the same.
    pub async fn end_profile(
        &self,
        name: &PluginName,
        principal: &Principal,
    ) -> Result<ProfileEndReply, Fault> {
        let ended = self.inner.observing.profiles.end(name);
        // Of one that is going on, it need not be the generation that serves.
        let generation = match ended {
            Some(generation) => generation,
            None => self.inner.registry.get(name)?.generation,
        };
        if ended.is_some() {
            let event = Event::Profile {
                name: name.clone(),
                generation,
                for_ms: 0,
                principal: principal.to_string().into(),
            };
            let host = self.clone();
            blocking(move || host.note(event)).await??;
        }
        Ok(ProfileEndReply {
            name: name.clone(),
            generation,
            ended: ended.is_some(),
        })
    }
}

impl RunningProfile {
    /// Ends it and writes it down.
    ///
    /// # Errors
    ///
    /// `ODN-5005` when there is no room for it, or it cannot be written.
    pub async fn end(mut self, to: KeepIn) -> Result<ProfileReport, Fault> {
        blocking(move || {
            let gone = || Fault::new(Code::Internal, "the profile is gone");
            let profile = self.taken().ok_or_else(gone)?;
            let (samples, left_out) = (profile.samples, profile.left_out);
            let (name, generation) = (self.loaded.name.clone(), self.loaded.generation);
            let file = self.keep(profile, to)?;
            tracing::info!(
                plugin = name.as_str(),
                generation = generation.0,
                samples,
                left_out,
                file = %file.display(),
                "a profile was made"
            );
            Ok(ProfileReport {
                name,
                generation,
                file,
                samples,
                left_out,
                warnings: match self.from_the_first {
                    true => Vec::new(),
                    false => not_observed(&self.loaded),
                },
            })
        })
        .await?
    }

    /// Begun before any instance was made.
    pub(super) fn sees_all(mut self) -> Self {
        self.from_the_first = true;
        self
    }

    fn taken(&mut self) -> Option<GuestProfile> {
        self.ended = true;
        self.host.inner.observing.profiles.ended(&self.end);
        self.loaded.plugin.end_profile()
    }

    fn keep(&self, profile: GuestProfile, to: KeepIn) -> Result<PathBuf, Fault> {
        let unwritten = |path: &Path, error: io::Error| {
            Fault::new(
                Code::WrongState,
                format!("the profile cannot be written: {}: {error}", path.display()),
            )
        };
        match to {
            KeepIn::File(path) => {
                let write =
                    || NewFile::beside(&path, 0o600).and_then(|new| write(profile, new)?.replace(&path));
                write().map_err(|error| unwritten(&path, error))?;
                Ok(path)
            }
            KeepIn::StateDir => {
                let folder = self.host.folder("profiles")?;
                let path = folder.new_path(&self.loaded.name, self.loaded.generation, None, "profile.json");
                let wrong = |error| unwritten(&path, error);
                let new = folder
                    .new_file()
                    .and_then(|new| write(profile, new))
                    .map_err(wrong)?;
                // It is there by now, and counted with the others.
                folder.has_room(0)?;
                new.create(&path).map_err(wrong)?;
                Ok(path)
            }
        }
    }

    /// Waits until another generation serves, or none.
    async fn loses_its_place(&self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let registry = &self.host.inner.registry;
        let serves = || {
            registry
                .get(&self.loaded.name)
                .is_ok_and(|now| Arc::ptr_eq(&now, &self.loaded))
        };
        while serves() {
            looks.tick().await;
        }
    }
}

fn write(profile: GuestProfile, new: NewFile) -> io::Result<NewFile> {
    let mut buffered = BufWriter::new(new);
    profile.write(&mut buffered)?;
    let new = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    new.sync()?;
    Ok(new)
}
