//! What a host knows about its folder of descriptors, for the watcher and for
//! everybody else.
//!
//! Owns the state that both share, and what others may say about it: look
//! again, a provider came, a plugin was taken out. Does nothing itself; whoever
//! says something wakes the watcher.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odeon_protocol::{Code, DescriptorRow, FolderRow, Generation, PluginName};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::applied::{Applied, FileName, Gone, Problem};
use super::now::now;
use super::plan::{Folder, Now, Plan, plan};
use super::rows;
use super::step::GONE;
use crate::host::Host;
use crate::review::{REVOKED, UNTRUSTED};

/// What a host knows about its folder of descriptors. Empty for a host without
/// one.
#[derive(Default)]
pub(crate) struct Descriptors {
    pub(super) state: Mutex<Option<State>>,
    pub(super) again: Notify,
}

#[derive(Clone)]
pub(super) struct State {
    pub(super) path: PathBuf,
    pub(super) watched: bool,
    /// Why the folder cannot be used.
    pub(super) problem: Option<Problem>,
    pub(super) folder: Arc<Folder>,
    pub(super) applied: Applied,
    pub(super) round: u64,
    /// How often something has come into service.
    pub(super) came: u64,
    /// The files that a load or replace is under way for, and the names that each
    /// is about as far as they are known.
    pub(super) under_way: BTreeMap<FileName, Option<PluginName>>,
    /// Those that were refused for what others are, while others were under way:
    /// tried again when one of those has come into service.
    pub(super) doubtful: BTreeSet<FileName>,
}

impl Descriptors {
    /// Looks at the folder again now, and tries again what was refused. Says
    /// whether there is one.
    pub(crate) fn again(&self) -> bool {
        let mut state = self.state.lock();
        let Some(state) = state.as_mut() else { return false };
        state.round = state.round.saturating_add(1);
        self.again.notify_one();
        true
    }

    /// Whether a change of this file is seen without a word of anybody's.
    pub(crate) fn watches(&self, file: &Path) -> bool {
        let state = self.state.lock();
        let state = state.as_ref().filter(|state| state.watched);
        state.is_some_and(|state| file.parent() == Some(state.path.as_path()))
    }

    /// Says that something serves that was not there before: what was refused
    /// for want of a provider is tried again.
    pub(crate) fn provider_came(&self) {
        let mut state = self.state.lock();
        let Some(state) = state.as_mut().filter(|state| state.watched) else {
            return;
        };
        state.came = state.came.wrapping_add(1);
        let refused = &mut state.applied.refused;
        let before = refused.len();
        refused.retain(|_, refused| refused.problem.code != Code::ProviderMissing);
        if refused.len() < before {
            self.again.notify_one();
        }
    }

    /// Says that somebody takes a plugin out. To be called while its name is
    /// held.
    pub(crate) fn departed(&self, name: &PluginName, generation: Generation, reason: &str) {
        let mut state = self.state.lock();
        let Some(state) = state.as_mut() else { return };
        // A provider may be waiting for whoever would not link to it.
        let refused = &mut state.applied.refused;
        let before = refused.len();
        refused.retain(|_, refused| refused.problem.code != Code::DependantsBroken);
        if state.watched && refused.len() < before {
            self.again.notify_one();
        }
        let gone = match reason {
            // It is no file's any more.
            GONE => {
                state.applied.puts.remove(name);
                return;
            }
            REVOKED | UNTRUSTED => Gone::Denied,
            _ => Gone::ByHand,
        };
        let folder = state.folder.clone();
        state.applied.departed(&folder, name, generation, gone);
    }

    /// The rows of an operator's list.
    pub(crate) fn rows(&self, host: &Host) -> (Option<FolderRow>, Vec<DescriptorRow>) {
        let Some(mut state) = self.state.lock().clone() else {
            return (None, Vec::new());
        };
        // After the copy: what it says was put into service is there by now.
        let mut now = now(host, &state.path);
        let folder = FolderRow {
            path: state.path.display().to_string(),
            watched: state.watched,
            message: state.problem.as_ref().map(|problem| problem.message.clone()),
            code: state.problem.as_ref().map(|problem| problem.code),
        };
        let plan = state.plan(&mut now);
        (Some(folder), rows::rows(&plan.rows))
    }
}

impl State {
    pub(super) fn plan(&mut self, now: &mut Now) -> Plan {
        now.round = self.round;
        now.under_way = self.under_way.clone();
        let folder = self.folder.clone();
        self.applied.observe(&folder, now);
        plan(&folder, &self.applied, now)
    }
}
