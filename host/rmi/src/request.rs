//! One request: the state that its two ends share.
//!
//! Owns the transitions. Each happens under the request's own lock, which is
//! held for a few instructions and never while a guest runs or a waker is
//! called.
//!
//! **Invariant:** locks are taken in the order request, table. `Stage` only
//! moves forward, and the step to `Finished` is the one place that issues a
//! final status.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use odeon_protocol::{Code, Fault, Serial};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    budget::{Account, Share},
    cancel::{CancelOutcome, CancelReason, CancelSwitch},
    outcome::Outcome,
    requests::{IfAbandoned, OpenRow, OpenState, Shared},
    ticket::ProgressError,
    watcher::{Event, Progress},
};

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) serial: Serial,
    pub(crate) target: Arc<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) user_data: Option<Arc<str>>,
    pub(crate) accepted_at: Instant,
    pub(crate) start_by: Option<Instant>,
    pub(crate) finish_by: Option<Instant>,
    pub(crate) if_abandoned: IfAbandoned,
    /// In whose name its bytes are held.
    account: Account,
    pub(crate) cancel: CancelSwitch,
    /// What the sweeper may read without the lock: it holds the table's.
    started: AtomicBool,
    life: Mutex<Life>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Life {
    stage: Stage,
    /// What the watcher has not seen yet.
    accepted: bool,
    started: bool,
    progress: Option<Progress>,
    outcome: Option<Outcome>,
    /// What the arguments hold until the end.
    arguments: Option<Share>,
    /// What the result holds until it is fetched.
    result: Option<Share>,
    /// There is somebody to see it.
    watched: bool,
    /// Who watches waits for the end alone.
    only_final: bool,
    waker: Option<Waker>,
    reports: u32,
    latest: Option<(u64, Option<u64>)>,
    /// Why the request was finished before anybody started it.
    withdrawn: Option<Box<Fault>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Pending,
    Running,
    Finished,
}

/// What a request is accepted with, checked.
pub(crate) struct Accepted {
    pub(crate) serial: Serial,
    pub(crate) target: Arc<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) user_data: Option<Arc<str>>,
    pub(crate) start_by: Option<Instant>,
    pub(crate) finish_by: Option<Instant>,
    pub(crate) if_abandoned: IfAbandoned,
    pub(crate) account: Account,
    pub(crate) arguments: Share,
}

impl Request {
    pub(crate) fn new(accepted: Accepted, now: Instant, shared: Arc<Shared>) -> Self {
        let Accepted {
            serial,
            target,
            principal,
            user_data,
            start_by,
            finish_by,
            if_abandoned,
            account,
            arguments,
        } = accepted;
        Request {
            serial,
            target,
            principal,
            user_data,
            accepted_at: now,
            start_by,
            finish_by,
            if_abandoned,
            account,
            cancel: CancelSwitch::default(),
            started: AtomicBool::new(false),
            life: Mutex::new(Life {
                stage: Stage::Pending,
                accepted: true,
                started: false,
                progress: None,
                outcome: None,
                arguments: Some(arguments),
                result: None,
                watched: true,
                only_final: false,
                waker: None,
                reports: 0,
                latest: None,
                withdrawn: None,
            }),
            shared,
        }
    }

    /// When the sweeper has to look at this request. Needs no lock of its own.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.cancel.is_set() {
            return None;
        }
        if self.started.load(Ordering::Relaxed) {
            return self.finish_by;
        }
        [self.start_by, self.finish_by].into_iter().flatten().min()
    }

    /// `Pending` to `Running`, unless its time is over or it was withdrawn.
    pub(crate) fn start(&self) -> Result<(), Fault> {
        let timed = self.start_by.is_some() || self.finish_by.is_some();
        let now = timed.then(Instant::now);
        let mut life = self.life.lock();
        if life.stage == Stage::Pending
            && let Some(outcome) = now.and_then(|now| self.overdue(now))
        {
            self.withdraw(&mut life, outcome);
        }
        if life.stage != Stage::Pending {
            let waker = life.waker.take();
            let fault = life.withdrawn.take();
            drop(life);
            wake(waker);
            return Err(fault.map_or_else(lost, |fault| *fault));
        }
        life.stage = Stage::Running;
        self.started.store(true, Ordering::Relaxed);
        self.shared.started();
        life.started = life.watched;
        let waker = if life.only_final { None } else { life.waker.take() };
        drop(life);
        wake(waker);
        Ok(())
    }

    pub(crate) fn report(
        &self,
        completed: u64,
        total: Option<u64>,
        details: &str,
    ) -> Result<(), ProgressError> {
        let limits = &self.shared.limits;
        if details.len() > limits.max_details {
            return Err(ProgressError::TooLarge {
                max: limits.max_details,
            });
        }
        let mut life = self.life.lock();
        if life.reports >= limits.max_progress_per_request {
            return Err(ProgressError::TooMany {
                max: limits.max_progress_per_request,
            });
        }
        life.reports = life.reports.saturating_add(1);
        life.latest = Some((completed, total));
        if !life.watched || life.only_final {
            return Ok(());
        }
        // The place of a report that nobody has seen is used again, memory
        // included.
        let unseen = life.progress.get_or_insert_default();
        unseen.completed = completed;
        unseen.total = total;
        unseen.details.clear();
        unseen.details.push_str(details);
        let waker = life.waker.take();
        drop(life);
        wake(waker);
        Ok(())
    }

    /// Issues the final status, if none has been issued. `false` if one has.
    pub(crate) fn finish(&self, outcome: impl FnOnce() -> Outcome) -> bool {
        let mut life = self.life.lock();
        if life.stage == Stage::Finished {
            return false;
        }
        self.conclude(&mut life, outcome());
        let waker = life.waker.take();
        drop(life);
        wake(waker);
        true
    }

    /// `None` if the request is finished.
    pub(crate) fn cancel(&self, reason: CancelReason) -> Option<CancelOutcome> {
        let mut life = self.life.lock();
        match life.stage {
            Stage::Finished => None,
            Stage::Running => {
                // Under the lock, so that no end passes between look and set.
                let first = self.cancel.set(reason);
                drop(life);
                if !first {
                    return Some(CancelOutcome::AlreadySignalled);
                }
                self.cancel.announce();
                Some(CancelOutcome::Signalled)
            }
            Stage::Pending => {
                self.cancel.set(reason);
                self.withdraw(&mut life, reason.withdrawn());
                let waker = life.waker.take();
                drop(life);
                wake(waker);
                self.cancel.announce();
                Some(CancelOutcome::Withdrawn)
            }
        }
    }

    /// Does what the time that has come demands. Returns when the request is
    /// due again: it may have been started since it was found to be due.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut life = self.life.lock();
        match life.stage {
            Stage::Finished => None,
            Stage::Running if self.finish_by.is_some_and(|by| by <= now) => {
                let first = self.cancel.set(CancelReason::Deadline);
                drop(life);
                if first {
                    self.cancel.announce();
                }
                None
            }
            Stage::Running => self.due(),
            Stage::Pending => match self.overdue(now) {
                Some(outcome) => {
                    self.withdraw(&mut life, outcome);
                    let waker = life.waker.take();
                    drop(life);
                    wake(waker);
                    None
                }
                None => self.due(),
            },
        }
    }

    pub(crate) fn row(&self, now: Instant) -> Option<OpenRow> {
        let life = self.life.lock();
        let state = match (life.stage, self.cancel.reason()) {
            (Stage::Finished, _) => return None,
            (Stage::Pending, _) => OpenState::Pending,
            (Stage::Running, None) => OpenState::Running,
            (Stage::Running, Some(reason)) => OpenState::Cancelling(reason),
        };
        Some(OpenRow {
            serial: self.serial,
            target: self.target.clone(),
            principal: self.principal.clone(),
            state,
            age: now.saturating_duration_since(self.accepted_at),
            progress: life.latest,
        })
    }

    /// The next thing the watcher has not seen.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut life = self.life.lock();
        life.only_final = false;
        let event = if std::mem::take(&mut life.accepted) {
            Event::Accepted
        } else if std::mem::take(&mut life.started) {
            Event::Started
        } else if let Some(progress) = life.progress.take() {
            Event::Progress(progress)
        } else if let Some(outcome) = life.fetch() {
            Event::Final(outcome)
        } else if life.stage == Stage::Finished {
            return Poll::Ready(None);
        } else {
            remember(&mut life.waker, cx);
            return Poll::Pending;
        };
        Poll::Ready(Some(event))
    }

    /// The end, passing over what comes before it.
    pub(crate) fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let mut life = self.life.lock();
        if life.stage == Stage::Finished {
            life.accepted = false;
            life.started = false;
            life.progress = None;
            return Poll::Ready(life.fetch());
        }
        life.only_final = true;
        remember(&mut life.waker, cx);
        Poll::Pending
    }

    /// The watcher goes.
    pub(crate) fn abandon(&self) {
        let mut life = self.life.lock();
        life.watched = false;
        let finished = life.stage == Stage::Finished;
        let unseen = (life.progress.take(), life.fetch(), life.waker.take());
        drop(life);
        // Large results are freed here, not under the lock.
        drop(unseen);
        if !finished && self.if_abandoned == IfAbandoned::Cancel {
            self.cancel(CancelReason::Disconnected);
        }
    }

    /// What time has made of a pending request.
    fn overdue(&self, now: Instant) -> Option<Outcome> {
        if self.start_by.is_some_and(|by| by <= now) {
            return Some(Outcome::Rejected(Fault::new(
                Code::Expired,
                "the request's time to live ended before it was started; nothing was executed",
            )));
        }
        let late = self.finish_by.is_some_and(|by| by <= now);
        late.then(|| CancelReason::Deadline.withdrawn())
    }

    /// Finishes a request that nobody has started, keeping the reason for
    /// whoever tries to.
    fn withdraw(&self, life: &mut Life, outcome: Outcome) {
        life.withdrawn = outcome.fault().cloned().map(Box::new);
        self.conclude(life, outcome);
    }

    /// The outcome with its result, if there is room to hold that until it is
    /// fetched.
    fn keep(&self, life: &mut Life, outcome: Outcome) -> Outcome {
        let Some(answer) = outcome.answer() else {
            return outcome;
        };
        let mut share = self.account.share();
        if share.hold(answer.body.len()).is_ok() {
            life.result = Some(share);
            return outcome;
        }
        Outcome::failed(Fault::new(
            Code::ResultTooLarge,
            format!(
                "the call was executed and its result of {} bytes was dropped, because as many bytes of requests and \
                 results are held for its caller, or for all, as may be; fetch results sooner, or ask for smaller ones",
                answer.body.len()
            ),
        ))
    }

    fn conclude(&self, life: &mut Life, outcome: Outcome) {
        let was_running = life.stage == Stage::Running;
        life.stage = Stage::Finished;
        life.arguments = None;
        let outcome = if life.watched {
            self.keep(life, outcome)
        } else {
            outcome
        };
        self.shared.retire(self, was_running, &outcome);
        if life.watched {
            life.outcome = Some(outcome);
        }
    }
}

impl Life {
    /// The end, to be shown once.
    fn fetch(&mut self) -> Option<Outcome> {
        self.result = None;
        self.outcome.take()
    }
}

/// The fault of a request whose executing side went away without an end.
pub(crate) fn lost() -> Fault {
    Fault::new(
        Code::Internal,
        "the host lost the request before it ended; it may have been executed in part",
    )
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn remember(place: &mut Option<Waker>, cx: &mut Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}
