//! The folder of descriptors, and that what runs is what it says.
//!
//! Owns the loop: look at the folder, decide what is to be done, do it one step
//! at a time, and wait for a hint, the timer or an operator. The parts are
//! files of their own: `scan` looks, `plan` decides, `step` does; what others
//! may know and say meanwhile is in `descriptors`.
//!
//! **Invariant:** desired state comes from looking at the folder as a whole,
//! never from a notice about one change in it.
//!
//! **Invariant:** a file that cannot be read, or a folder that cannot, changes
//! nothing that runs.

mod applied;
mod begun;
mod content;
mod descriptors;
mod hint;
mod now;
mod plan;
mod retry;
mod rows;
mod scan;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use odeon_protocol::{Code, DescriptorState};
use parking_lot::Mutex;

use self::applied::{Applied, FileName, Problem, Refused};
pub(crate) use self::begun::Begun;
pub(crate) use self::descriptors::Descriptors;
use self::descriptors::State;
use self::hint::Hint;
use self::now::now;
use self::plan::{Folder, Plan, Row, Seen};
use self::retry::Retry;
use self::scan::{SETTLED, Scan};
use self::step::{Done, EVERY};
use crate::host::Host;
use crate::load::{Stamp, blocking};
use crate::remember::StartLoad;

/// How long the watcher goes on with one look at the folder.
const STALE: Duration = Duration::from_millis(500);

/// How long it lets changes gather before it looks.
const GATHER: Duration = Duration::from_millis(50);

/// Who sees to it that what runs is what the folder says.
pub(crate) struct Watch {
    host: Host,
    path: PathBuf,
    watched: bool,
    /// How long calls may go on where a descriptor does not say so.
    drain: Duration,
    scan: Arc<Mutex<Scan>>,
    hint: Hint,
    /// What was refused when the host started, and when that was.
    refused: BTreeMap<FileName, Problem>,
    /// What the log has said about it then.
    said: BTreeSet<FileName>,
    started: Instant,
    /// The trust policy that the round goes by.
    policy: Stamp,
    rows: BTreeMap<FileName, Row>,
    told: Told,
    retry: Retry,
}

/// What the log has said and need not say again.
#[derive(Default)]
struct Told {
    folder: Option<Problem>,
    too_many: bool,
}

/// What to wait for after a pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing: there is more to do.
    None,
    /// That files come to rest.
    Settling,
    /// That somebody is done with a plugin.
    Busy,
    /// That something changes.
    Idle,
}

impl Watch {
    /// Takes over a folder whose descriptors were loaded. `began` is when the
    /// first of them was looked at.
    pub(crate) fn begin(
        host: &Host,
        begun: Begun,
        watched: bool,
        drain: Duration,
        loads: &[StartLoad],
    ) -> Self {
        let Begun { path, scan, started } = begun;
        let policy = host.inner.gatekeeper.stamp();
        let failed = |load: &StartLoad| {
            let fault = load.outcome.as_ref().err()?;
            if fault.code == Code::ProviderMissing {
                // Its provider may have come since.
                return None;
            }
            // Another one's name is not for it to have as long as that runs.
            let file = file_of(load).filter(|_| fault.code != Code::NameTaken)?;
            Some((file, fault.clone().into()))
        };
        *host.inner.descriptors.state.lock() = Some(State {
            path: path.clone(),
            watched,
            problem: None,
            folder: Arc::default(),
            applied: Applied::default(),
            round: 0,
            came: 0,
        });
        Watch {
            host: host.clone(),
            path,
            watched,
            drain,
            scan: Arc::new(Mutex::new(scan)),
            hint: Hint::new(),
            refused: loads.iter().filter_map(failed).collect(),
            said: loads
                .iter()
                .filter(|load| load.outcome.is_err())
                .filter_map(file_of)
                .collect(),
            started,
            policy,
            rows: BTreeMap::new(),
            told: Told::default(),
            retry: Retry::new(),
        }
    }

    /// Watches until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let rest = self.pass().await;
            if self.host.inner.stopping.load(Ordering::SeqCst) {
                return;
            }
            self.rest(rest).await;
        }
    }

    async fn rest(&self, rest: Rest) {
        let descriptors = &self.host.inner.descriptors;
        match rest {
            Rest::None => tokio::task::yield_now().await,
            Rest::Settling => tokio::time::sleep(SETTLED).await,
            Rest::Busy | Rest::Idle => {
                let by_itself = async {
                    match self.watched {
                        true => tokio::select! {
                            () = self.hint.come() => {}
                            () = tokio::time::sleep(EVERY) => {}
                        },
                        false => std::future::pending().await,
                    }
                };
                let given_back = async {
                    match rest {
                        Rest::Busy => self.host.inner.registry.something_given_back(EVERY).await,
                        _ => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = descriptors.again.notified() => {}
                    () = by_itself => {}
                    () = given_back => {}
                }
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// Looks once, and does what is to be done.
    async fn pass(&mut self) -> Rest {
        self.next_round();
        let round = self.change_state(|state| state.round);
        let (scan, looked) = (self.scan.clone(), Instant::now());
        let seen = blocking(move || {
            let mut scan = scan.lock();
            let seen = scan.look(looked, round);
            (seen, scan.places())
        });
        let folder = match seen.await {
            Ok((Ok(folder), places)) => {
                if self.watched {
                    self.hint.watch(&self.path, &places);
                }
                Arc::new(folder)
            }
            Ok((Err(problem), _)) => {
                self.unusable(problem);
                return Rest::Idle;
            }
            Err(fault) => {
                self.unusable(fault.into());
                return Rest::Idle;
            }
        };
        if self.told.folder.take().is_some() {
            tracing::info!(path = %self.path.display(), "the folder of descriptors can be used again");
        }
        self.recall_start(&folder, round);
        if self.watched && self.retry.is_due(looked) {
            self.change(|applied| applied.refused.retain(|_, refused| !refused.problem.passes()));
        }
        let unsettled = folder.files.values().any(|seen| *seen == Seen::Unsettled);
        let plan = self.plan(&folder);
        let mut later = plan.waits;
        let mut done = false;
        for step in plan.steps {
            if self.host.inner.stopping.load(Ordering::SeqCst) {
                return Rest::Idle;
            }
            if step.lets_in() && !self.has_room() {
                later = true;
                continue;
            }
            match self.take(step, &folder, round).await {
                Done::Settled => done = true,
                Done::Later => later = true,
            }
            if looked.elapsed() >= STALE {
                break;
            }
        }
        let passes = |refused: &Refused| refused.problem.passes();
        let is_refused = self.change(|applied| applied.refused.values().any(passes));
        self.retry.note(is_refused, looked);
        if done {
            // Also so that the log says at once what came of it.
            self.plan(&folder);
            return Rest::None;
        }
        match (unsettled, later) {
            (true, _) => Rest::Settling,
            (false, true) => Rest::Busy,
            (false, false) => Rest::Idle,
        }
    }

    /// A new trust policy is a new round.
    fn next_round(&mut self) {
        let policy = self.host.inner.gatekeeper.stamp();
        if std::mem::replace(&mut self.policy, policy) != policy {
            self.change_state(|state| state.round = state.round.saturating_add(1));
        }
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.host.inner.gatekeeper.count_described(Instant::now());
        if !has_room && !std::mem::replace(&mut self.told.too_many, true) {
            tracing::warn!(
                "descriptors change more often than host-limits.loads-per-minute allows; the next are applied when \
                 there is room"
            );
        }
        if has_room {
            self.told.too_many = false;
        }
        has_room
    }

    fn unusable(&mut self, problem: Problem) {
        if self.told.folder.as_ref() != Some(&problem) {
            tracing::error!(
                code = %problem.code, why = problem.message,
                "the descriptors cannot be looked at; what runs stays as it is"
            );
        }
        self.told.folder = Some(problem.clone());
        self.change_state(|state| state.problem = Some(problem));
    }

    /// What was refused when the host started is not tried again if it is as it
    /// was.
    fn recall_start(&mut self, folder: &Folder, round: u64) {
        if self.refused.is_empty() {
            return;
        }
        let scan = self.scan.lock();
        let mut recalled = Vec::new();
        self.refused.retain(|file, problem| match folder.files.get(file) {
            Some(Seen::Unsettled) => true,
            Some(Seen::Wants(want)) if scan.is_since(file, self.started) => {
                let refused = Refused {
                    want: want.clone(),
                    round,
                    problem: problem.clone(),
                };
                recalled.push((file.clone(), refused));
                false
            }
            _ => false,
        });
        drop(scan);
        self.change(|applied| applied.refused.extend(recalled));
    }

    /// Decides, and says what is different from the last time.
    fn plan(&mut self, folder: &Arc<Folder>) -> Plan {
        let mut now = now(&self.host, &self.path);
        let plan = self.change_state(|state| {
            state.problem = None;
            state.folder = folder.clone();
            state.plan(&mut now)
        });
        let mut known = BTreeMap::new();
        for (file, row) in &plan.rows {
            // What waits is told when it has waited, against what it was before.
            if row.state == DescriptorState::Waiting {
                continue;
            }
            if self.said.remove(file) && row.problem.is_some() {
                self.rows.insert(file.clone(), row.clone());
            }
            known.insert(file.clone(), row.clone());
        }
        rows::tell(&self.rows, &plan.rows);
        self.rows.append(&mut known);
        self.rows.retain(|file, _| plan.rows.contains_key(file));
        plan
    }

    fn change<R: Default>(&self, change: impl FnOnce(&mut Applied) -> R) -> R {
        self.change_state(|state| change(&mut state.applied))
    }

    fn change_state<R: Default>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.host.inner.descriptors.state.lock();
        state.as_mut().map(change).unwrap_or_default()
    }
}

fn file_of(load: &StartLoad) -> Option<FileName> {
    load.path.file_name().map(FileName::from)
}
