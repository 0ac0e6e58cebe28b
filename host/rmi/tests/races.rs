//! What happens at once: both ends, operators and time, from several threads.
//!
//! Each race is run many times with its sides released together; whatever
//! comes first, there is one end and both sides agree on it.

#![allow(
    clippy::disallowed_methods,
    reason = "the tests are the only owners of their tasks"
)]
#![allow(clippy::unwrap_used, reason = "a test that meets something else has failed")]

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use odeon_protocol::Code;
use odeon_rmi::{
    Answer, CancelOutcome, CancelReason, Event, Final, IfAbandoned, NewRequest, Outcome, RequestLimits,
    Requests, Watcher,
};

const ROUNDS: usize = 2_000;

fn requests() -> Requests {
    Requests::new(RequestLimits {
        keep_finished: 16,
        ..RequestLimits::default()
    })
}

fn new() -> NewRequest {
    NewRequest::new("calc/add", "uid:1000")
}

/// Runs both at once and returns what both return.
fn race<A: Send, B: Send>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B + Send) -> (A, B) {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            start.wait();
            other()
        });
        start.wait();
        let one = one();
        (one, other.join().unwrap())
    })
}

/// The ends that a watcher sees; the request must have one.
fn ends(mut watcher: Watcher) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut ends = Vec::new();
        while let Some(status) = watcher.next().await {
            if let Event::Final(outcome) = status.event {
                ends.push(outcome);
            }
        }
        ends
    })
}

#[test]
fn cancel_against_finish() {
    let requests = requests();
    let (mut before, mut after) = (0, 0);
    for _ in 0..ROUNDS {
        let (ticket, watcher) = requests.accept(new()).unwrap();
        let serial = ticket.serial();
        let running = ticket.start().unwrap();
        let (cancelled, ()) = race(
            || requests.cancel(&serial, CancelReason::Caller),
            || running.finish(Outcome::Succeeded(Answer::default())),
        );
        match cancelled {
            Ok(outcome) => {
                assert_eq!(outcome, CancelOutcome::Signalled);
                before += 1;
            }
            Err(fault) => {
                assert_eq!(fault.code, Code::RequestNotFound);
                after += 1;
            }
        }
        assert_eq!(ends(watcher), [Outcome::Succeeded(Answer::default())]);
    }
    assert_eq!(before + after, ROUNDS);
    assert_eq!(requests.totals().succeeded, ROUNDS as u64);
}

#[test]
fn cancel_against_start() {
    let requests = requests();
    for _ in 0..ROUNDS {
        let (ticket, watcher) = requests.accept(new()).unwrap();
        let serial = ticket.serial();
        let (cancelled, started) = race(
            || requests.cancel(&serial, CancelReason::Operator),
            || ticket.start(),
        );
        let ended = match (cancelled.unwrap(), started) {
            (CancelOutcome::Withdrawn, Err(fault)) => fault.code,
            (CancelOutcome::Signalled, Ok(running)) => {
                assert_eq!(running.signal().reason(), Some(CancelReason::Operator));
                drop(running);
                Code::Cancelled
            }
            (cancelled, started) => unreachable!("{cancelled:?} and {started:?}"),
        };
        assert_eq!(ended, Code::Cancelled);
        let ends = ends(watcher);
        assert_eq!(ends.len(), 1);
        assert!(ends.iter().all(|end| end.kind() == Final::Cancelled), "{ends:?}");
    }
    assert!(requests.open().is_empty());
}

#[test]
fn two_cancels_against_a_drop() {
    let requests = requests();
    for _ in 0..ROUNDS {
        let (ticket, watcher) = requests.accept(new()).unwrap();
        let serial = ticket.serial();
        let running = ticket.start().unwrap();
        let ((one, two), ()) = race(
            || {
                race(
                    || requests.cancel(&serial, CancelReason::Caller),
                    || requests.cancel(&serial, CancelReason::Unloaded),
                )
            },
            || drop(running),
        );
        let signalled = |outcome: &Result<CancelOutcome, _>| *outcome == Ok(CancelOutcome::Signalled);
        let ends = ends(watcher);
        let expected = match (signalled(&one), signalled(&two)) {
            (true, true) => unreachable!("two first reasons"),
            (true, false) => Code::Cancelled,
            (false, true) => Code::Unloaded,
            (false, false) => Code::Internal,
        };
        let codes: Vec<_> = ends.iter().map(Outcome::code).collect();
        assert_eq!(codes, [Some(expected)], "{one:?} {two:?}");
    }
}

#[test]
fn a_watcher_that_goes_against_an_end() {
    let requests = requests();
    for _ in 0..ROUNDS {
        let request = NewRequest {
            if_abandoned: IfAbandoned::Cancel,
            ..new()
        };
        let (ticket, watcher) = requests.accept(request).unwrap();
        let running = ticket.start().unwrap();
        race(
            || drop(watcher),
            || running.finish(Outcome::Succeeded(Answer::default())),
        );
    }
    let totals = requests.totals();
    assert_eq!(
        (totals.succeeded, totals.running, totals.pending),
        (ROUNDS as u64, 0, 0)
    );
}

#[test]
fn time_against_start() {
    let requests = requests();
    for round in 0..ROUNDS {
        let ttl = Some(Duration::from_micros(round as u64 % 60));
        let (ticket, watcher) = requests.accept(NewRequest { ttl, ..new() }).unwrap();
        let ((), started) = race(
            || (0..20).for_each(|_| requests.expire_due()),
            || {
                ticket
                    .start()
                    .map(|running| running.finish(Outcome::Succeeded(Answer::default())))
            },
        );
        let expected = match started {
            Ok(()) => None,
            Err(fault) => Some(fault.code),
        };
        let codes: Vec<_> = ends(watcher).iter().map(Outcome::code).collect();
        assert_eq!(codes, [expected]);
        assert!(expected.is_none_or(|code| code == Code::Expired));
    }
    assert!(requests.open().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waiting_ends_hear_of_everything_from_other_threads() {
    let requests = requests();
    let mut tasks = Vec::new();
    for round in 0..ROUNDS {
        let (ticket, mut watcher) = requests.accept(new()).unwrap();
        let canceller = requests.clone();
        let serial = watcher.serial();
        tasks.push(tokio::spawn(async move {
            let running = ticket.start().unwrap();
            running.progress(1, None, "working").unwrap();
            let reason = running.signal().cancelled().await;
            running.finish(Outcome::Cancelled(reason.fault()));
        }));
        tasks.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(status) = watcher.next().await {
                if round % 2 == 0 && status.event == Event::Started {
                    tokio::task::yield_now().await;
                }
                seen.push(status.event);
            }
            assert_eq!(seen.first(), Some(&Event::Accepted));
            assert_eq!(seen.get(1), Some(&Event::Started));
            assert!(
                matches!(seen.last(), Some(Event::Final(Outcome::Cancelled(_)))),
                "{seen:?}"
            );
            assert_eq!(
                seen.iter()
                    .filter(|event| matches!(event, Event::Final(_)))
                    .count(),
                1
            );
        }));
        tasks.push(tokio::spawn(async move {
            // Told until it runs: a pending request would be withdrawn.
            while canceller
                .open()
                .iter()
                .any(|row| row.serial == serial && row.progress.is_none())
            {
                tokio::task::yield_now().await;
            }
            canceller.cancel(&serial, CancelReason::Caller).unwrap();
        }));
        if tasks.len() >= 60 {
            for task in tasks.drain(..) {
                task.await.unwrap();
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    requests.idle().await;
    assert_eq!(requests.totals().cancelled, ROUNDS as u64);
}

#[test]
fn a_snapshot_is_taken_while_everything_moves() {
    let requests = requests();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            let (requests, stop) = (requests.clone(), stop.clone());
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let (ticket, watcher) = requests.accept(new()).unwrap();
                    let running = ticket.start().unwrap();
                    running.progress(1, None, "").unwrap();
                    running.finish(Outcome::Succeeded(Answer::default()));
                    drop(watcher);
                }
            });
        }
        for _ in 0..ROUNDS {
            let totals = requests.totals();
            assert!(totals.pending + totals.running <= 2, "{totals:?}");
            assert!(requests.open().len() <= 2);
            assert!(requests.finished().len() <= 16);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(requests.open().is_empty());
}
