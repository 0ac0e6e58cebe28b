//! The folder of descriptors, and that what runs is what it says.
//!
//! Owns the loop: look at the folder, decide what is to be done, do what is done
//! at once, begin what takes long, and wait for that, a hint, the timer or an
//! operator. The parts are files of their own: `scan` looks, `plan` decides,
//! `step` does, `under_way` is what takes long; what others may know and say
//! meanwhile is in `descriptors`.
//!
//! **Invariant:** desired state comes from looking at the folder as a whole,
//! never from a notice about one change in it.
//!
//! **Invariant:** a file that cannot be read, or a folder that cannot, changes
//! nothing that runs.
//!
//! **Invariant:** what is to be taken out waits for nothing that is to come in.

mod applied;
mod begun;
mod content;
mod descriptors;
mod doer;
mod hint;
mod now;
mod plan;
mod rest;
mod retry;
mod rows;
mod scan;
mod step;
mod under_way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use odeon_protocol::{Code, DescriptorState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::applied::{Applied, FileName, Problem, Refused};
pub(crate) use self::begun::Begun;
pub(crate) use self::descriptors::Descriptors;
use self::descriptors::State;
use self::doer::Doer;
use self::hint::Hint;
use self::now::now;
use self::plan::{Folder, Plan, Row, Seen, Step};
use self::rest::Rest;
use self::retry::Retry;
use self::scan::Scan;
use self::step::Done;
use self::under_way::UnderWay;
use crate::host::Host;
use crate::load::{Stamp, blocking};
use crate::remember::StartLoad;

/// Who sees to it that what runs is what the folder says.
pub(crate) struct Watch {
    doer: Arc<Doer>,
    under_way: UnderWay,
    watched: bool,
    /// The folder is to be looked at, and not only what was seen in it.
    looks: bool,
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

/// What the steps of a pass came to.
struct Came {
    /// Something has changed, and there may be more to do.
    done: bool,
    /// Something is left for when others are done.
    later: bool,
}

impl Came {
    fn add(&mut self, done: Done) {
        match done {
            Done::Settled => self.done = true,
            Done::Later => self.later = true,
        }
    }
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
            under_way: BTreeMap::new(),
            doubtful: BTreeSet::new(),
        });
        let doer = Arc::new(Doer {
            host: host.clone(),
            path,
            drain,
        });
        Watch {
            under_way: UnderWay::new(doer.clone()),
            doer,
            watched,
            looks: true,
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

    /// Watches until then. No step is under way any more when it returns.
    pub(crate) async fn run(mut self, until: CancellationToken) {
        until.run_until_cancelled(self.go_on()).await;
        self.under_way.end().await;
    }

    async fn go_on(&mut self) {
        loop {
            let rest = self.pass().await;
            if self.is_stopping() {
                return;
            }
            self.rest(rest).await;
        }
    }

    fn is_stopping(&self) -> bool {
        self.doer.host.inner.stopping.load(Ordering::SeqCst)
    }

    /// The folder as it is now; nothing if that cannot be known.
    async fn look(&mut self, now: Instant, round: u64) -> Option<Arc<Folder>> {
        if !std::mem::replace(&mut self.looks, self.watched) {
            // Nobody has said that it is to be looked at.
            return Some(self.change_state(|state| state.folder.clone()));
        }
        let scan = self.scan.clone();
        let seen = blocking(move || {
            let mut scan = scan.lock();
            let seen = scan.look(now, round);
            (seen, scan.places())
        });
        match seen.await {
            Ok((Ok(folder), places)) => {
                if self.watched {
                    self.hint.watch(&self.doer.path, &places);
                }
                Some(Arc::new(folder))
            }
            Ok((Err(problem), _)) => {
                self.unusable(problem);
                None
            }
            Err(fault) => {
                self.unusable(fault.into());
                None
            }
        }
    }

    /// Looks once, does what is done at once, and begins the rest.
    async fn pass(&mut self) -> Rest {
        self.next_round();
        let round = self.change_state(|state| state.round);
        let looked = Instant::now();
        while self.under_way.has_ended().is_some() {
            self.looks = true;
        }
        let Some(folder) = self.look(looked, round).await else {
            return Rest::Idle;
        };
        if self.told.folder.take().is_some() {
            tracing::info!(path = %self.doer.path.display(), "the folder of descriptors can be used again");
        }
        self.recall_start(&folder, round);
        if self.watched && self.retry.is_due(looked) {
            self.change(|applied| applied.refused.retain(|_, refused| !refused.problem.passes()));
        }
        self.under_way.give_up(&folder);
        let unsettled = folder.files.values().any(|seen| *seen == Seen::Unsettled);
        let plan = self.plan(&folder);
        let mut came = Came {
            done: false,
            later: plan.waits,
        };
        let (long, short): (Vec<_>, Vec<_>) = plan.steps.into_iter().partition(Step::lets_in);
        for step in short {
            if self.is_stopping() {
                return Rest::Idle;
            }
            came.add(self.doer.take(step, &folder, round).await);
        }
        for step in long {
            if self.is_stopping() {
                return Rest::Idle;
            }
            if self.under_way.is_full() {
                // The next look says what they are then: whatever is to be taken
                // out meanwhile waits for none of them.
                came.later = true;
                break;
            }
            match self.has_room() {
                true => self.under_way.begin(step, &folder, round),
                false => came.later = true,
            }
        }
        let passes = |refused: &Refused| refused.problem.passes();
        let is_refused = self.change(|applied| applied.refused.values().any(passes));
        self.retry.note(is_refused, looked);
        self.looks |= unsettled || came.done;
        if came.done {
            // Also so that the log says at once what came of it.
            self.plan(&folder);
            return Rest::None;
        }
        match (unsettled, came.later) {
            (true, _) => Rest::Settling,
            (false, true) => Rest::Busy,
            (false, false) => Rest::Idle,
        }
    }

    /// A new trust policy is a new round.
    fn next_round(&mut self) {
        let policy = self.doer.host.inner.gatekeeper.stamp();
        if std::mem::replace(&mut self.policy, policy) != policy {
            self.change_state(|state| state.round = state.round.saturating_add(1));
        }
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.doer.host.inner.gatekeeper.count_described(Instant::now());
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
        let plan = self.change_state(|state| {
            // With the state held, so that what a step has put there is running by now.
            let mut now = now(&self.doer.host, &self.doer.path);
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
        self.doer.change(change)
    }

    fn change_state<R: Default>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        self.doer.change_state(change)
    }
}

fn file_of(load: &StartLoad) -> Option<FileName> {
    load.path.file_name().map(FileName::from)
}
