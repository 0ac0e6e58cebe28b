//! What is to be done, by what the folder describes and what was made of it.
//!
//! Owns the one decision of the watcher. It is a function: no clock, no files,
//! no registry. What it does not say is not done.
//!
//! - A file that is being written, or cannot be read, changes nothing: what is
//!   there because of it stays, and keeps its name from others.
//! - What a file does not allow any more is taken before anything else is tried,
//!   whatever that waits for and whatever becomes of it.
//! - Of several files of one name the one that runs has it, else the first by
//!   its own name that was not refused.
//! - What was refused, unloaded by hand or superseded is left alone until the
//!   file says something else. What was refused for a reason that passes, such as
//!   a full disk, is tried again after a while.
//! - Nothing is unloaded while a file is unsettled: it may be the same one under
//!   another name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use odeon_authority::Descriptor;
use odeon_protocol::{Code, DescriptorState, Generation, PluginName};

use super::applied::{Applied, FileName, Gone, Problem, Put, Want};

/// What a folder describes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Folder {
    pub(crate) files: BTreeMap<FileName, Seen>,
}

/// What is known of one file. A file that is not there any more has no entry as
/// soon as that is settled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// It changed a moment ago, or is not there since a moment ago.
    Unsettled,
    /// It says nothing.
    Broken(Problem),
    /// It describes something whose component cannot be read.
    Lacking(Problem, Arc<Descriptor>),
    /// It describes this.
    Wants(Want),
}

/// What the host is at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    pub(crate) running: BTreeMap<PluginName, Running>,
    /// The names that somebody is about to change.
    pub(crate) busy: BTreeSet<PluginName>,
    /// In a new round what was refused before is tried again.
    pub(crate) round: u64,
    /// The files for which a step of an earlier plan is under way, and the name
    /// that it is about. Neither gets another one until it has ended.
    pub(crate) under_way: BTreeMap<FileName, Option<PluginName>>,
}

/// What serves under a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Running {
    pub(crate) generation: Generation,
    /// The file of the folder that it was loaded from.
    pub(crate) file: Option<FileName>,
    /// What that file said then, with the grants of now.
    pub(crate) want: Option<Want>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing runs under the name of what this file describes.
    Load { file: FileName },
    /// What runs under this name is allowed more than the file says.
    Take { name: PluginName, file: FileName },
    /// Something runs under this name, and the file describes something else.
    Replace { name: PluginName, file: FileName },
    /// What runs is what this file describes; from now on it is there because
    /// of it.
    Adopt { name: PluginName, file: FileName },
    /// No file describes it any more.
    Unload { name: PluginName },
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) plugin: Option<PluginName>,
    pub(crate) generation: Option<Generation>,
    pub(crate) state: DescriptorState,
    pub(crate) problem: Option<Problem>,
    /// What is to be known where nothing is wrong with the file.
    pub(crate) note: Option<String>,
}

/// What is to be done, and how every file is by now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) rows: BTreeMap<FileName, Row>,
    /// Whether a step waits for what somebody else is doing.
    pub(crate) waits: bool,
}

/// Decides. `applied` has observed `folder` and `now`.
pub(crate) fn plan(folder: &Folder, applied: &Applied, now: &Now) -> Plan {
    let mut planner = Planner {
        folder,
        applied,
        now,
        plan: Plan::default(),
    };
    let mut claims: BTreeMap<&PluginName, Vec<(&FileName, &Want)>> = BTreeMap::new();
    for (file, seen) in &folder.files {
        match seen {
            Seen::Unsettled => planner.row(file, applied.name_of(file), DescriptorState::Waiting, None),
            Seen::Broken(problem) => {
                let name = applied.name_of(file);
                planner.row(file, name, DescriptorState::Broken, Some(problem.clone()));
            }
            Seen::Lacking(problem, descriptor) => {
                let name = applied.name_of(file);
                let is_its_own = |name: &&PluginName| descriptor.name.as_ref().is_none_or(|own| own == *name);
                if let Some(name) = name.filter(is_its_own) {
                    planner.take(name, file, descriptor);
                }
                planner.row(file, name, DescriptorState::Broken, Some(problem.clone()));
            }
            // Where the component does not say it, it is the name of before.
            Seen::Wants(want) => match want.name.as_ref().or_else(|| applied.name_of(file)) {
                Some(name) => claims.entry(name).or_default().push((file, want)),
                None => planner.nameless(file, want),
            },
        }
    }
    let mut claimed = BTreeSet::new();
    for (name, claimants) in claims {
        if planner.claim(name, &claimants) {
            claimed.insert(name);
        }
    }
    for (name, put) in &applied.puts {
        if put.is_live() && !claimed.contains(name) {
            planner.unclaimed(name, put);
        }
    }
    // To take something takes a moment, and a load may take long.
    planner
        .plan
        .steps
        .sort_by_key(|step| !matches!(step, Step::Take { .. }));
    planner.plan
}

struct Planner<'a> {
    folder: &'a Folder,
    applied: &'a Applied,
    now: &'a Now,
    plan: Plan,
}

impl Planner<'_> {
    /// Several files, or one, that want this name. Says whether one of them has
    /// it.
    fn claim(&mut self, name: &PluginName, claimants: &[(&FileName, &Want)]) -> bool {
        let put = self.applied.puts.get(name);
        let holder = put.map(|put| &put.file);
        // A file that says nothing now may still be meant to have it.
        let says_nothing = |file: &&FileName| {
            let seen = self.folder.files.get(*file);
            matches!(seen, Some(Seen::Unsettled | Seen::Broken(_) | Seen::Lacking(..)))
        };
        let keeper = holder.filter(says_nothing);
        let has_it = |(file, _): &&(&FileName, &Want)| holder == Some(*file);
        let has_begun = |(file, _): &&(&FileName, &Want)| {
            let about = self.now.under_way.get(*file);
            about.and_then(Option::as_ref) == Some(name)
        };
        let is_new =
            |(file, want): &&(&FileName, &Want)| self.applied.refusal(file, want, self.now.round).is_none();
        let winner = match keeper {
            Some(_) => None,
            None => {
                let first = claimants.iter().find(has_begun);
                let first = first.or_else(|| claimants.iter().find(is_new));
                let first = first.or_else(|| claimants.first());
                claimants.iter().find(has_it).or(first)
            }
        };
        let owner = keeper.or(winner.map(|(file, _)| *file));
        for (file, _) in claimants {
            if owner != Some(*file) {
                let other = owner.map(|file| file.to_string_lossy().into_owned());
                self.broken(file, name, &taken(name, other.as_deref()));
            }
        }
        if let Some((file, want)) = winner {
            self.settle(name, file, want, put);
        }
        winner.is_some()
    }

    /// The one file that has this name.
    fn settle(&mut self, name: &PluginName, file: &FileName, want: &Want, put: Option<&Put>) {
        let running = self.now.running.get(name);
        match put {
            Some(put) if put.is_live() => {
                let runs = running.and_then(|running| running.want.as_ref());
                let as_put = put.want.runs_as(want) && !has_lost(put, running);
                if as_put || runs.is_some_and(|runs| runs.runs_as(want)) {
                    let is_known = as_put && put.file == *file && put.want == *want;
                    match self.is_under_way(name) {
                        // By what it comes to that may be otherwise.
                        true => self.plan.waits |= !is_known,
                        false if is_known => {}
                        false => self.plan.steps.push(Step::Adopt {
                            name: name.clone(),
                            file: file.clone(),
                        }),
                    }
                    self.serving(name, file, put);
                } else if self.take(name, file, &want.descriptor) {
                    // With less it may be what the file describes.
                    self.row(file, Some(name), DescriptorState::Waiting, None);
                } else if let Some(problem) = self.refusal(file, want) {
                    self.row(file, Some(name), DescriptorState::Refused, Some(problem));
                } else {
                    self.step(
                        name,
                        file,
                        Step::Replace {
                            name: name.clone(),
                            file: file.clone(),
                        },
                    );
                }
            }
            Some(put) if is_held(put, file, want) => {
                let why = format!(
                    "{name} was unloaded by hand; it stays so until this file says something else, or is loaded by hand"
                );
                self.noted(file, name, DescriptorState::Held, why);
            }
            _ if running.is_some() && !self.is_kept(name) => {
                self.broken(file, name, &taken(name, None));
            }
            _ => {
                if let Some(problem) = self.refusal(file, want) {
                    self.row(file, Some(name), DescriptorState::Refused, Some(problem));
                } else {
                    self.step(name, file, Step::Load { file: file.clone() });
                }
            }
        }
    }

    /// Has taken from what runs what its file does not allow any more. That waits
    /// for nobody. Says whether there is something.
    fn take(&mut self, name: &PluginName, file: &FileName, said: &Descriptor) -> bool {
        let put = self.applied.puts.get(name);
        // What somebody put there from elsewhere is not this file's.
        let running = self
            .now
            .running
            .get(name)
            .filter(|running| running.file.is_some());
        let runs = running.and_then(|running| running.want.as_ref());
        let is_more = put.is_some_and(Put::is_live)
            && runs.is_some_and(|runs| runs.descriptor.grants.is_cut_by(&said.grants));
        if is_more {
            self.plan.steps.push(Step::Take {
                name: name.clone(),
                file: file.clone(),
            });
        }
        is_more
    }

    /// A plugin that is there because of a file, and that no file describes.
    fn unclaimed(&mut self, name: &PluginName, put: &Put) {
        let is_over = match self.folder.files.get(&put.file) {
            None => !self.folder.files.values().any(|seen| *seen == Seen::Unsettled),
            // The file describes another one, which is there.
            Some(Seen::Wants(_)) => {
                let mut others = self.applied.puts.iter();
                others.any(|(other, its)| other != name && its.is_live() && its.file == put.file)
            }
            Some(Seen::Unsettled | Seen::Broken(_) | Seen::Lacking(..)) => false,
        };
        if is_over {
            // What is under way there by an earlier plan is given up for it.
            match self.now.busy.contains(name) && !self.is_under_way(name) {
                true => self.plan.waits = true,
                false => self.plan.steps.push(Step::Unload { name: name.clone() }),
            }
        }
    }

    /// A file whose plugin's name cannot be known: to load it says what is wrong.
    fn nameless(&mut self, file: &FileName, want: &Want) {
        match self.refusal(file, want) {
            Some(problem) => self.row(file, None, DescriptorState::Refused, Some(problem)),
            None => {
                match self.now.under_way.contains_key(file) {
                    true => self.plan.waits = true,
                    false => self.plan.steps.push(Step::Load { file: file.clone() }),
                }
                self.row(file, None, DescriptorState::Waiting, None);
            }
        }
    }

    /// Whether a step of an earlier plan is about this name.
    fn is_under_way(&self, name: &PluginName) -> bool {
        let mut about = self.now.under_way.values().flatten();
        about.any(|other| other == name)
    }

    /// Whether a step about this name has to wait.
    fn is_kept(&self, name: &PluginName) -> bool {
        self.now.busy.contains(name) || self.is_under_way(name)
    }

    fn step(&mut self, name: &PluginName, file: &FileName, step: Step) {
        match self.is_kept(name) || self.now.under_way.contains_key(file) {
            true => self.plan.waits = true,
            false => self.plan.steps.push(step),
        }
        self.row(file, Some(name), DescriptorState::Waiting, None);
    }

    fn serving(&mut self, name: &PluginName, file: &FileName, put: &Put) {
        let running = self.now.running.get(name);
        let is_its_own = running.is_none_or(|running| {
            running.generation == put.generation
                || running.want.as_ref().is_some_and(|want| want.runs_as(&put.want))
        });
        if is_its_own {
            self.row(file, Some(name), DescriptorState::Serving, None);
        } else {
            let why = format!(
                "generation {} of {name} was replaced or rolled back; the file is applied again when it or its \
                 component changes",
                put.generation
            );
            self.noted(file, name, DescriptorState::Superseded, why);
        }
    }

    fn refusal(&self, file: &FileName, want: &Want) -> Option<Problem> {
        self.applied.refusal(file, want, self.now.round).cloned()
    }

    fn broken(&mut self, file: &FileName, name: &PluginName, message: &str) {
        let problem = Problem::new(Code::NameTaken, message);
        // What runs under the name is not there because of this file.
        let row = Row {
            plugin: Some(name.clone()),
            generation: None,
            state: DescriptorState::Broken,
            problem: Some(problem),
            note: None,
        };
        self.plan.rows.insert(file.clone(), row);
    }

    fn row(
        &mut self,
        file: &FileName,
        name: Option<&PluginName>,
        state: DescriptorState,
        problem: Option<Problem>,
    ) {
        let live = name.filter(|name| self.applied.puts.get(*name).is_some_and(Put::is_live));
        let running = live.and_then(|name| self.now.running.get(name));
        let row = Row {
            plugin: name.cloned(),
            generation: running.map(|running| running.generation),
            state,
            problem,
            note: None,
        };
        self.plan.rows.insert(file.clone(), row);
    }

    fn noted(&mut self, file: &FileName, name: &PluginName, state: DescriptorState, note: String) {
        self.row(file, Some(name), state, None);
        if let Some(row) = self.plan.rows.get_mut(file) {
            row.note = Some(note);
        }
    }
}

/// Whether it was unloaded by hand and the file still says what it said then.
fn is_held(put: &Put, file: &FileName, want: &Want) -> bool {
    put.gone == Some(Gone::ByHand) && put.file == *file && put.want.descriptor == want.descriptor
}

/// Whether the very generation that was put there is allowed something else by
/// now: a later word of its file took that away, and was then not applied.
fn has_lost(put: &Put, running: Option<&Running>) -> bool {
    let running = running.filter(|running| running.generation == put.generation);
    let runs = running.and_then(|running| running.want.as_ref());
    runs.is_some_and(|runs| put.want.descriptor.grants.is_cut_by(&runs.descriptor.grants))
}

fn taken(name: &PluginName, other: Option<&str>) -> String {
    match other {
        Some(other) => format!(
            "{other} describes a plugin named {name} as well, and has the name; give this one another, or remove one of them"
        ),
        None => format!(
            "a plugin named {name} is loaded that this file did not load; unload it, or give this one another name"
        ),
    }
}

#[cfg(test)]
mod tests;
