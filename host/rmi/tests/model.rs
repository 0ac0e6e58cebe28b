//! Random operations on many requests, against a model that is a list.

#![allow(clippy::unwrap_used, reason = "a test that meets something else has failed")]

use std::time::Duration;

use odeon_protocol::{Code, Serial};
use odeon_rmi::{
    Answer, CancelOutcome, CancelReason, Event, Final, IfAbandoned, NewRequest, OpenState, Outcome,
    RequestLimits, Requests, Running, Ticket, Watcher,
};
use proptest::prelude::*;
use tokio::time::Instant;

const MAX_OPEN: usize = 4;
const KEPT: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Accept {
        ttl: Option<u64>,
        wait: Option<u64>,
        tied: bool,
    },
    Start(usize),
    Progress(usize),
    Finish(usize),
    DropOwner(usize),
    Reject(usize),
    Cancel(usize),
    DropWatcher(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let time = || prop::option::weighted(0.3, 1_u64..50);
    let which = 0_usize..12;
    prop_oneof![
        4 => (time(), time(), any::<bool>()).prop_map(|(ttl, wait, tied)| Step::Accept { ttl, wait, tied }),
        4 => which.clone().prop_map(Step::Start),
        2 => which.clone().prop_map(Step::Progress),
        2 => which.clone().prop_map(Step::Finish),
        1 => which.clone().prop_map(Step::DropOwner),
        1 => which.clone().prop_map(Step::Reject),
        2 => which.clone().prop_map(Step::Cancel),
        1 => which.prop_map(Step::DropWatcher),
        2 => (1_u64..30).prop_map(Step::Advance),
    ]
}

enum Owner {
    Ticket(Ticket),
    Running(Running),
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Pending,
    Running { signalled: Option<Code> },
    Ended(Final, Option<Code>),
}

/// One request: the real ends of it, and what should be true of it.
struct Case {
    serial: Serial,
    owner: Owner,
    watcher: Option<Watcher>,
    stage: Stage,
    was_started: bool,
    reported: bool,
    start_by: Option<Instant>,
    finish_by: Option<Instant>,
    tied: bool,
}

impl Case {
    fn open(&self) -> bool {
        !matches!(self.stage, Stage::Ended(..))
    }

    fn end(&mut self, end: Final, code: Option<Code>, order: &mut Vec<Serial>) {
        self.stage = Stage::Ended(end, code);
        order.push(self.serial);
    }

    fn overdue(&mut self, now: Instant, order: &mut Vec<Serial>) {
        match self.stage {
            Stage::Pending if self.start_by.is_some_and(|by| by <= now) => {
                self.end(Final::Rejected, Some(Code::Expired), order);
            }
            Stage::Pending if self.finish_by.is_some_and(|by| by <= now) => {
                self.end(Final::Cancelled, Some(Code::WaitEnded), order);
            }
            Stage::Running { signalled: None } if self.finish_by.is_some_and(|by| by <= now) => {
                self.stage = Stage::Running {
                    signalled: Some(Code::WaitEnded),
                };
            }
            _ => {}
        }
    }
}

struct World {
    requests: Requests,
    cases: Vec<Case>,
    /// The requests that have ended, in that order; those that end in one
    /// sweep have none among themselves.
    order: Vec<Serial>,
}

impl World {
    async fn take(&mut self, step: Step) {
        let World {
            requests,
            cases,
            order,
        } = self;
        let now = Instant::now();
        let open = cases.iter().filter(|case| case.open()).count();
        let at = |index: usize, cases: &Vec<Case>| (!cases.is_empty()).then(|| index % cases.len());
        match step {
            Step::Accept { ttl, wait, tied } => {
                let from_now = |ms: Option<u64>| ms.map(|ms| now + Duration::from_millis(ms));
                let request = NewRequest {
                    ttl: ttl.map(Duration::from_millis),
                    deadline: from_now(wait),
                    if_abandoned: if tied {
                        IfAbandoned::Cancel
                    } else {
                        IfAbandoned::LetRun
                    },
                    ..NewRequest::new("calc/add", "uid:1000")
                };
                match requests.accept(request) {
                    Ok((ticket, watcher)) => {
                        assert!(open < MAX_OPEN);
                        cases.push(Case {
                            serial: ticket.serial(),
                            owner: Owner::Ticket(ticket),
                            watcher: Some(watcher),
                            stage: Stage::Pending,
                            was_started: false,
                            reported: false,
                            start_by: from_now(ttl),
                            finish_by: from_now(wait),
                            tied,
                        });
                    }
                    Err(fault) => assert_eq!((fault.code, open), (Code::Overloaded, MAX_OPEN)),
                }
            }
            Step::Start(index) => {
                let Some(case) = at(index, cases).and_then(|index| cases.get_mut(index)) else {
                    return;
                };
                let ticket = match std::mem::replace(&mut case.owner, Owner::Gone) {
                    Owner::Ticket(ticket) => ticket,
                    other => {
                        case.owner = other;
                        return;
                    }
                };
                case.overdue(now, order);
                match (ticket.start(), case.stage) {
                    (Ok(running), Stage::Pending) => {
                        case.owner = Owner::Running(running);
                        case.stage = Stage::Running { signalled: None };
                        case.was_started = true;
                    }
                    (Err(fault), Stage::Ended(_, code)) => assert_eq!(Some(fault.code), code),
                    (started, stage) => unreachable!("{started:?} at {stage:?}"),
                }
            }
            Step::Progress(index) => {
                let Some(case) = at(index, cases).and_then(|index| cases.get_mut(index)) else {
                    return;
                };
                if let Owner::Running(running) = &case.owner {
                    running.progress(1, None, "on").unwrap();
                    case.reported = true;
                }
            }
            Step::Finish(index) => {
                let Some(case) = at(index, cases).and_then(|index| cases.get_mut(index)) else {
                    return;
                };
                if let Owner::Running(running) = std::mem::replace(&mut case.owner, Owner::Gone) {
                    running.finish(Outcome::Succeeded(Answer::default()));
                    case.end(Final::Succeeded, None, order);
                } else if case.open() {
                    // It was a ticket, which the replacement has dropped.
                    case.end(Final::Failed, Some(Code::Internal), order);
                }
            }
            Step::DropOwner(index) => {
                let Some(case) = at(index, cases).and_then(|index| cases.get_mut(index)) else {
                    return;
                };
                case.owner = Owner::Gone;
                match case.stage {
                    Stage::Running {
                        signalled: Some(code),
                    } => case.end(Final::Cancelled, Some(code), order),
                    Stage::Ended(..) => {}
                    _ => case.end(Final::Failed, Some(Code::Internal), order),
                }
            }
            Step::Reject(index) => {
                let Some(case) = at(index, cases).and_then(|index| cases.get_mut(index)) else {
                    return;
                };
                match std::mem::replace(&mut case.owner, Owner::Gone) {
                    Owner::Ticket(ticket) => {
                        ticket.reject(odeon_protocol::Fault::new(Code::PluginNotFound, "none"));
                        if case.open() {
                            case.end(Final::Rejected, Some(Code::PluginNotFound), order);
                        }
                    }
                    other => case.owner = other,
                }
            }
            Step::Cancel(index) => {
                let Some(case) = at(index, cases).and_then(|index| cases.get_mut(index)) else {
                    return;
                };
                let outcome = requests.cancel(&case.serial, CancelReason::Operator);
                match case.stage {
                    Stage::Pending => {
                        assert_eq!(outcome, Ok(CancelOutcome::Withdrawn));
                        case.end(Final::Cancelled, Some(Code::Cancelled), order);
                    }
                    Stage::Running { signalled: None } => {
                        assert_eq!(outcome, Ok(CancelOutcome::Signalled));
                        case.stage = Stage::Running {
                            signalled: Some(Code::Cancelled),
                        };
                    }
                    Stage::Running { .. } => assert_eq!(outcome, Ok(CancelOutcome::AlreadySignalled)),
                    Stage::Ended(..) => assert_eq!(outcome.unwrap_err().code, Code::RequestNotFound),
                }
            }
            Step::DropWatcher(index) => {
                let Some(case) = at(index, cases).and_then(|index| cases.get_mut(index)) else {
                    return;
                };
                if case.watcher.take().is_some() && case.tied {
                    match case.stage {
                        Stage::Pending => case.end(Final::Cancelled, Some(Code::Cancelled), order),
                        Stage::Running { signalled: None } => {
                            case.stage = Stage::Running {
                                signalled: Some(Code::Cancelled),
                            };
                        }
                        _ => {}
                    }
                }
            }
            Step::Advance(ms) => {
                tokio::time::advance(Duration::from_millis(ms)).await;
                requests.expire_due();
                let now = Instant::now();
                cases.iter_mut().for_each(|case| case.overdue(now, order));
            }
        }
    }

    /// What the table shows is what the model says.
    fn check(&self) {
        let rows = self.requests.open();
        let open: Vec<&Case> = self.cases.iter().filter(|case| case.open()).collect();
        assert_eq!(rows.len(), open.len());
        for case in open {
            let row = rows.iter().find(|row| row.serial == case.serial).unwrap();
            let state = match case.stage {
                Stage::Pending => "pending",
                Stage::Running { signalled: None } => "running",
                _ => "cancelling",
            };
            assert_eq!(row.state.as_str(), state);
            assert_eq!(
                row.state == OpenState::Pending,
                row.progress.is_none() && !case.was_started
            );
        }
        let ended = |end| {
            self.cases
                .iter()
                .filter(move |case| matches!(case.stage, Stage::Ended(e, _) if e == end))
        };
        let totals = self.requests.totals();
        assert_eq!(totals.succeeded, ended(Final::Succeeded).count() as u64);
        assert_eq!(totals.failed, ended(Final::Failed).count() as u64);
        assert_eq!(totals.rejected, ended(Final::Rejected).count() as u64);
        assert_eq!(totals.cancelled, ended(Final::Cancelled).count() as u64);
        assert_eq!((totals.pending + totals.running) as usize, rows.len());
        assert_eq!(self.requests.finished().len(), self.order.len().min(KEPT));
    }

    /// Everybody lets go, and every watcher has seen one end, the right one.
    async fn end(mut self) {
        for index in 0..self.cases.len() {
            self.take(Step::DropOwner(index)).await;
        }
        self.check();
        for case in &mut self.cases {
            let Some(mut watcher) = case.watcher.take() else {
                continue;
            };
            let mut seen = Vec::new();
            while let Some(status) = watcher.next().await {
                seen.push(match status.event {
                    Event::Accepted => "accepted".to_owned(),
                    Event::Started => "started".to_owned(),
                    Event::Progress(_) => "progress".to_owned(),
                    Event::Final(outcome) => format!("{:?} {:?}", outcome.kind(), outcome.code()),
                });
            }
            let Stage::Ended(end, code) = case.stage else {
                unreachable!("an open request")
            };
            let mut expected = vec!["accepted".to_owned()];
            expected.extend(case.was_started.then(|| "started".to_owned()));
            expected.extend(case.reported.then(|| "progress".to_owned()));
            expected.push(format!("{end:?} {code:?}"));
            assert_eq!(seen, expected);
        }
    }
}

proptest! {
    #[test]
    fn the_table_does_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let limits = RequestLimits { max_open: MAX_OPEN, keep_finished: KEPT, ..RequestLimits::default() };
            let mut world = World { requests: Requests::new(limits), cases: Vec::new(), order: Vec::new() };
            for step in steps {
                world.take(step).await;
                world.check();
            }
            world.end().await;
        });
    }
}
