//! The steps that take long, side by side.
//!
//! Owns how many there are at a time, and their end. Each is a task that has its
//! file, and the name that it is about, until it has ended; the plan begins no
//! other for either. Decides nothing.
//!
//! **Invariant:** what only takes something out is never here, so that no load
//! and no hand-over keeps it waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use odeon_authority::GrantSet;
use odeon_protocol::PluginName;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::applied::FileName;
use super::doer::Doer;
use super::plan::{Folder, Seen, Step};
use super::step::Done;
use crate::remember::AT_ONCE;

/// The loads and replaces that are under way.
pub(super) struct UnderWay {
    doer: Arc<Doer>,
    steps: JoinSet<Done>,
    files: BTreeMap<FileName, Task>,
}

struct Task {
    id: Id,
    handle: AbortHandle,
    is_load: bool,
    name: Option<PluginName>,
    /// What its file allowed when it was begun.
    said: Option<GrantSet>,
}

impl UnderWay {
    pub(super) fn new(doer: Arc<Doer>) -> Self {
        UnderWay {
            doer,
            steps: JoinSet::new(),
            files: BTreeMap::new(),
        }
    }

    /// Whether there are as many as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.files.len() >= AT_ONCE
    }

    /// Begins a step of a plan that was made of this folder in this round.
    pub(super) fn begin(&mut self, step: Step, folder: &Arc<Folder>, round: u64) {
        let (file, name, is_load) = match &step {
            Step::Load { file } => (file.clone(), self.name_of(file, folder), true),
            Step::Replace { name, file } => (file.clone(), Some(name.clone()), false),
            // Nobody waits for these.
            Step::Take { .. } | Step::Adopt { .. } | Step::Unload { .. } => return,
        };
        self.doer
            .change_state(|state| state.under_way.insert(file.clone(), name.clone()));
        let said = said(folder, &file).cloned();
        let (doer, folder) = (self.doer.clone(), folder.clone());
        let tasks = &self.doer.host.inner.tasks;
        let work = async move { doer.take(step, &folder, round).await };
        let handle = self
            .steps
            .spawn_on(tasks.tracker.track_future(work), &tasks.handle);
        let id = handle.id();
        let task = Task {
            id,
            handle,
            is_load,
            name,
            said,
        };
        self.files.insert(file, task);
    }

    /// The name that a load is about, as far as it can be known beforehand.
    fn name_of(&self, file: &FileName, folder: &Folder) -> Option<PluginName> {
        let said = match folder.files.get(file) {
            Some(Seen::Wants(want)) => want.name.clone(),
            Some(Seen::Unsettled | Seen::Broken(_) | Seen::Lacking(..)) | None => None,
        };
        said.or_else(|| self.doer.change(|applied| applied.name_of(file).cloned()))
    }

    /// Drops the loads of files that are not there any more, or allow less by now:
    /// nobody wants what they would come to. What would come in the place of
    /// something is given up with that, or here, where its file allows less.
    pub(super) fn give_up(&self, folder: &Folder) {
        for (file, task) in &self.files {
            let is_there = folder.files.contains_key(file);
            let now = said(folder, file);
            let is_less = task
                .said
                .as_ref()
                .zip(now)
                .is_some_and(|(said, now)| said.is_cut_by(now));
            match &task.name {
                _ if task.is_load && (!is_there || is_less) => task.handle.abort(),
                Some(name) if is_less => self.doer.host.inner.registry.unwanted(name),
                _ => {}
            }
        }
    }

    /// Waits until one of them has ended. Never, if there is none. Cancellation
    /// safe.
    pub(super) async fn ended(&mut self) -> Done {
        match self.steps.join_next_with_id().await {
            Some(ended) => self.take_off(ended),
            None => std::future::pending().await,
        }
    }

    /// One that has ended, if any has.
    pub(super) fn has_ended(&mut self) -> Option<Done> {
        let ended = self.steps.try_join_next_with_id()?;
        Some(self.take_off(ended))
    }

    fn take_off(&mut self, ended: Result<(Id, Done), JoinError>) -> Done {
        let (id, done) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => {
                tracing::error!("a step for the folder of descriptors broke off in the host");
                (error.id(), Done::Later)
            }
            // It was dropped, and what is left to do is seen at the next look.
            Err(error) => (error.id(), Done::Settled),
        };
        self.files.retain(|_, task| task.id != id);
        let files = &self.files;
        self.doer.change_state(|state| {
            state.under_way.retain(|file, _| files.contains_key(file));
            if state.under_way.is_empty() {
                state.doubtful.clear();
            }
        });
        done
    }

    /// Drops all of them, and waits until none is left.
    pub(super) async fn end(mut self) {
        self.steps.shutdown().await;
        self.doer.change_state(|state| {
            state.under_way.clear();
            state.doubtful.clear();
        });
    }
}

/// What a file allows, as far as that is known.
fn said<'a>(folder: &'a Folder, file: &FileName) -> Option<&'a GrantSet> {
    match folder.files.get(file)? {
        Seen::Wants(want) => Some(&want.descriptor.grants),
        Seen::Lacking(_, descriptor) => Some(&descriptor.grants),
        Seen::Unsettled | Seen::Broken(_) => None,
    }
}
