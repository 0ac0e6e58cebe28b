//! One step of the watcher.
//!
//! Owns how a plan becomes loads, replaces and unloads of the host, and what is
//! kept in mind of each.

use std::time::Duration;

use odeon_authority::Principal;
use odeon_protocol::{Code, Fault, Generation, PluginName};

use super::applied::{FileName, Put, Refused, Want};
use super::doer::Doer;
use super::plan::{Folder, Running, Seen, Step};
use crate::host::Host;
use crate::load::{LoadRequest, blocking};
use crate::registry::{Claim, is_of_a_load};
use crate::replace::{ReplaceRequest, Terms};
use crate::unload::UnloadMode;

/// What the audit says about a plugin whose descriptor is gone.
pub(super) const GONE: &str = "its descriptor is gone";

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It is done, or refused: either way not to be tried again as it is.
    Settled,
    /// Somebody else was at the same plugin. It is looked at again.
    Later,
}

/// When something was tried.
#[derive(Clone, Copy)]
struct Tried {
    round: u64,
    /// How often something had come into service by then.
    came: u64,
}

impl Step {
    /// Whether it lets something in, of which there is only so much in a minute.
    pub(super) fn lets_in(&self) -> bool {
        matches!(self, Step::Load { .. } | Step::Replace { .. })
    }
}

impl Doer {
    /// Does one step of a plan that was made of this folder in this round.
    pub(super) async fn take(&self, step: Step, folder: &Folder, round: u64) -> Done {
        let tried = Tried {
            round,
            came: self.change_state(|state| state.came),
        };
        match step {
            Step::Load { file } => {
                let Some(want) = wanted(folder, &file) else {
                    return Done::Later;
                };
                let loading = self.host.load_uncounted(self.request(&file));
                let loaded = loading.await.map(|report| (report.name, report.generation));
                self.let_in(file, want, want.name.as_ref(), tried, loaded)
            }
            Step::Take { name, file } => self.take_undescribed(&name, &file, folder).await,
            Step::Replace { name, file } => {
                let Some(want) = wanted(folder, &file) else {
                    return Done::Later;
                };
                let descriptor = &want.descriptor;
                let terms = Terms {
                    drain: descriptor.drain.map_or(self.drain, |time| time.duration()),
                    window: descriptor
                        .health_window
                        .map_or(ReplaceRequest::HEALTH_WINDOW, |time| time.duration()),
                    break_links: false,
                };
                let request = self.request(&file);
                let replacing = self.host.replace_by(&name, terms, |_| Ok(request));
                let replaced = replacing.await;
                let loaded = replaced.map(|report| (report.loaded.name, report.loaded.generation));
                self.let_in(file, want, None, tried, loaded)
            }
            Step::Adopt { name, file } => {
                let Some(want) = wanted(folder, &file) else {
                    return Done::Later;
                };
                let Ok(running) = self.host.inner.registry.get(&name) else {
                    return Done::Later;
                };
                // What somebody put in its place since is not this file's.
                let runs = Running::of(&running, &self.path).want;
                let known = match runs.is_some_and(|runs| runs.runs_as(want)) {
                    true => None,
                    false => self.change(|applied| applied.puts.get(&name).map(|put| put.generation)),
                };
                let put = Put {
                    file,
                    want: want.clone(),
                    generation: known.unwrap_or(running.generation),
                    gone: None,
                };
                self.change(|applied| applied.put(name, put));
                Done::Settled
            }
            Step::Unload { name } => self.take_out(&name),
        }
    }

    /// Takes from what runs what its file does not allow any more.
    async fn take_undescribed(&self, name: &PluginName, file: &FileName, folder: &Folder) -> Done {
        let said = match folder.files.get(file) {
            Some(Seen::Wants(want)) => want.descriptor.clone(),
            Some(Seen::Lacking(_, descriptor)) => descriptor.clone(),
            Some(Seen::Unsettled | Seen::Broken(_)) | None => return Done::Later,
        };
        let Ok(running) = self.host.inner.registry.get(name) else {
            return Done::Later;
        };
        if Running::of(&running, &self.path).file.is_none() {
            // Somebody has put something else there since.
            return Done::Later;
        }
        let host = self.host.clone();
        let taking = blocking(move || host.take_undescribed(&running, &said.grants, &Principal::Host));
        if let Err(fault) = taking.await.and_then(|taken| taken) {
            tracing::error!(
                plugin = name.as_str(), %fault,
                "what its descriptor does not allow any more is gone, and that is not on record"
            );
        }
        Done::Settled
    }

    fn request(&self, file: &FileName) -> LoadRequest {
        LoadRequest::of_folder(self.path.join(file))
    }

    /// Keeps in mind what became of a load. `name` is one that somebody else may
    /// have taken meanwhile.
    fn let_in(
        &self,
        file: FileName,
        want: &Want,
        name: Option<&PluginName>,
        tried: Tried,
        loaded: Result<(PluginName, Generation), Fault>,
    ) -> Done {
        let want = want.clone();
        match loaded {
            Ok((name, generation)) => {
                let put = Put {
                    file,
                    want: self.in_force(&name, generation, want),
                    generation,
                    gone: None,
                };
                self.change_state(|state| {
                    state.came = state.came.wrapping_add(1);
                    state.applied.put(name, put);
                    // What would have succeeded after this one.
                    let doubtful = std::mem::take(&mut state.doubtful);
                    let refused = &mut state.applied.refused;
                    refused.retain(|file, _| !doubtful.contains(file));
                });
                Done::Settled
            }
            Err(fault) if is_meanwhile(&self.host, &fault, name) => Done::Later,
            // What has come meanwhile may be what it lacks.
            Err(fault) if is_about_others(&fault) && self.change_state(|state| state.came) != tried.came => {
                Done::Later
            }
            Err(fault) => {
                let is_about_others = is_about_others(&fault);
                let refused = Refused {
                    want,
                    round: tried.round,
                    problem: fault.into(),
                };
                self.change_state(|state| {
                    if is_about_others && state.under_way.len() > 1 {
                        state.doubtful.insert(file.clone());
                    }
                    state.applied.refused.insert(file, refused);
                });
                Done::Settled
            }
        }
    }

    /// What has come into service where this was wanted: a file can come to say
    /// something else between the look at it and the load.
    fn in_force(&self, name: &PluginName, generation: Generation, want: Want) -> Want {
        let loaded = self.host.inner.registry.get(name).ok();
        let runs = loaded
            .filter(|loaded| loaded.generation == generation)
            .and_then(|loaded| Running::of(&loaded, &self.path).want);
        runs.filter(|runs| !runs.runs_as(&want)).unwrap_or(want)
    }

    /// Begins to take out what no file describes. Its calls may go on for as
    /// long as its descriptor said; nothing else waits for them.
    fn take_out(&self, name: &PluginName) -> Done {
        let (reservation, loaded) = match self.host.inner.registry.claim(name) {
            Ok(claimed) => claimed,
            Err(taken) => {
                if taken.by == Some(Claim::Replace) {
                    // Nobody waits for what would come in its place.
                    self.host.inner.registry.unwanted(name);
                }
                return Done::Later;
            }
        };
        loaded.set_draining();
        let said = self.change(|applied| applied.puts.remove(name));
        let said = said.and_then(|put| put.want.descriptor.drain);
        let drain = said.map_or(self.drain, |time: odeon_authority::Patience| time.duration());
        let host = self.host.clone();
        self.host.inner.tasks.spawn(async move {
            let name = loaded.name.clone();
            let mode = UnloadMode::Drain(drain);
            let leaving = host.take_out(reservation, loaded, mode, &Principal::Host, GONE);
            if let Err(fault) = leaving.await {
                tracing::error!(plugin = name.as_str(), %fault, "a plugin whose descriptor is gone was not unloaded as it should be");
            }
        });
        Done::Settled
    }
}

fn wanted<'a>(folder: &'a Folder, file: &FileName) -> Option<&'a Want> {
    match folder.files.get(file)? {
        Seen::Wants(want) => Some(want),
        Seen::Unsettled | Seen::Broken(_) | Seen::Lacking(..) => None,
    }
}

/// Whether a refusal is about other plugins as much as about its own file.
fn is_about_others(fault: &Fault) -> bool {
    matches!(
        fault.code,
        Code::ProviderMissing | Code::DependantsBroken | Code::LinkFailed | Code::RouteTaken
    )
}

/// Whether a refusal is about what somebody else does at this moment, and says
/// nothing about the file.
fn is_meanwhile(host: &Host, fault: &Fault, name: Option<&PluginName>) -> bool {
    match fault.code {
        Code::Draining | Code::PluginNotFound => true,
        Code::NameTaken => {
            let registry = &host.inner.registry;
            let has_it = |name| registry.get(name).is_ok() || registry.busy().contains(name);
            is_of_a_load(fault) || name.is_some_and(has_it)
        }
        _ => false,
    }
}

/// How long the watcher rests when it has nothing to do.
pub(super) const EVERY: Duration = Duration::from_secs(2);
