//! The life of one request: every transition, what its caller sees of it, and
//! that it always has exactly one end.

#![allow(
    clippy::disallowed_methods,
    reason = "the tests are the only owners of their tasks"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

use std::{sync::Arc, time::Duration};

use odeon_protocol::{Code, Fault, Generation, MAX_PRINCIPAL, MAX_TARGET, Serial};
use odeon_rmi::{
    Account, Answer, CancelOutcome, CancelReason, Event, Final, IfAbandoned, NewRequest, OpenState, Outcome,
    Progress, ProgressError, RequestLimits, Requests, Ticket, Watcher,
};
use tokio::time::Instant;

fn requests() -> Requests {
    Requests::new(RequestLimits::default())
}

fn new() -> NewRequest {
    NewRequest::new("calc/add", "uid:1000")
}

fn accept(requests: &Requests) -> (Ticket, Watcher) {
    requests.accept(new()).unwrap()
}

fn success() -> Outcome {
    Outcome::Succeeded(Answer {
        body: vec![1, 2],
        generation: Generation(3),
        elapsed: Duration::from_micros(4),
    })
}

/// Everything that is still to be seen; the request must have ended.
async fn rest(mut watcher: Watcher) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(status) = watcher.next().await {
        events.push(status.event);
    }
    events
}

/// The codes of all that is seen, in words.
async fn told(watcher: Watcher) -> String {
    let words = rest(watcher).await.into_iter().map(|event| match event {
        Event::Accepted => "accepted".to_owned(),
        Event::Started => "started".to_owned(),
        Event::Progress(progress) => format!("progress {}", progress.completed),
        Event::Final(outcome) => match outcome.code() {
            None => outcome.kind().as_str().to_owned(),
            Some(code) => format!("{} {code}", outcome.kind().as_str()),
        },
    });
    words.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_request_is_accepted_started_and_succeeds() {
    let requests = requests();
    let (ticket, mut watcher) = accept(&requests);
    assert_eq!(requests.totals().pending, 1);
    assert_eq!(watcher.next().await.unwrap().event, Event::Accepted);
    let running = ticket.start().unwrap();
    assert_eq!((requests.totals().pending, requests.totals().running), (0, 1));
    assert_eq!(watcher.next().await.unwrap().event, Event::Started);
    running.progress(1, Some(2), "half").unwrap();
    let half = Progress {
        completed: 1,
        total: Some(2),
        details: "half".into(),
    };
    assert_eq!(watcher.next().await.unwrap().event, Event::Progress(half));
    running.finish(success());
    assert_eq!(watcher.next().await.unwrap().event, Event::Final(success()));
    assert_eq!(watcher.next().await, None);
    assert_eq!(watcher.outcome().await, None);
    let totals = requests.totals();
    assert_eq!((totals.pending, totals.running, totals.succeeded), (0, 0, 1));
}

#[tokio::test]
async fn every_status_carries_the_serial_and_the_callers_data() {
    let requests = requests();
    let serial = Serial::new();
    let data: Arc<str> = r#"{"row":7}"#.into();
    let request = NewRequest {
        serial: Some(serial),
        user_data: Some(data.clone()),
        ..new()
    };
    let (ticket, mut watcher) = requests.accept(request).unwrap();
    assert_eq!((ticket.serial(), ticket.user_data()), (serial, Some(&data)));
    ticket.start().unwrap().finish(success());
    let mut count = 0;
    while let Some(status) = watcher.next().await {
        assert_eq!((status.serial, status.user_data.as_ref()), (serial, Some(&data)));
        count += 1;
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn every_way_to_an_end_is_told_once_and_in_order() {
    let requests = requests();
    let fault = || Fault::new(Code::GuestError, "no");

    let (ticket, watcher) = accept(&requests);
    ticket.start().unwrap().finish(Outcome::Failed {
        fault: fault(),
        answer: Some(Answer::default()),
    });
    assert_eq!(told(watcher).await, "accepted, started, failed ODN-1010");

    let (ticket, watcher) = accept(&requests);
    ticket.reject(Fault::new(Code::PluginNotFound, "no such plugin"));
    assert_eq!(told(watcher).await, "accepted, rejected ODN-1001");

    let (ticket, watcher) = accept(&requests);
    drop(ticket);
    assert_eq!(told(watcher).await, "accepted, failed ODN-9001");

    let (ticket, watcher) = accept(&requests);
    drop(ticket.start().unwrap());
    assert_eq!(told(watcher).await, "accepted, started, failed ODN-9001");

    let (ticket, watcher) = accept(&requests);
    let running = ticket.start().unwrap();
    requests.cancel(&running.serial(), CancelReason::Caller).unwrap();
    drop(running);
    assert_eq!(told(watcher).await, "accepted, started, cancelled ODN-1009");

    let totals = requests.totals();
    assert_eq!(
        (totals.succeeded, totals.failed, totals.rejected, totals.cancelled),
        (0, 3, 1, 1)
    );
    assert!(requests.open().is_empty());
}

#[tokio::test]
async fn a_pending_request_that_is_cancelled_ends_at_once_and_never_starts() {
    for (reason, expected) in [
        (CancelReason::Caller, "accepted, cancelled ODN-1009"),
        (CancelReason::Operator, "accepted, cancelled ODN-1009"),
        (CancelReason::Disconnected, "accepted, cancelled ODN-1009"),
        (CancelReason::Deadline, "accepted, cancelled ODN-1007"),
        (CancelReason::Unloaded, "accepted, rejected ODN-1011"),
        (CancelReason::Shutdown, "accepted, rejected ODN-1011"),
    ] {
        let requests = requests();
        let (ticket, watcher) = accept(&requests);
        assert_eq!(
            requests.cancel(&ticket.serial(), reason),
            Ok(CancelOutcome::Withdrawn)
        );
        assert_eq!(told(watcher).await, expected, "{reason:?}");
        let fault = ticket.start().unwrap_err();
        assert!(expected.ends_with(fault.code.as_str()), "{fault}");
        assert_eq!(fault.details.unwrap()["reason"], reason.as_str());
        assert_eq!(requests.finished().len(), 1, "one end, whatever the ticket does");
    }
}

#[tokio::test]
async fn a_running_request_hears_why_it_is_to_end() {
    for (reason, code) in [
        (CancelReason::Caller, Code::Cancelled),
        (CancelReason::Operator, Code::Cancelled),
        (CancelReason::Deadline, Code::WaitEnded),
        (CancelReason::Unloaded, Code::Unloaded),
        (CancelReason::Shutdown, Code::Cancelled),
        (CancelReason::Disconnected, Code::Cancelled),
    ] {
        let requests = requests();
        let (ticket, mut watcher) = accept(&requests);
        let running = ticket.start().unwrap();
        let signal = running.signal();
        assert!(!signal.is_cancelled() && signal.reason().is_none());
        let heard = tokio::spawn(async move { signal.cancelled().await });
        tokio::task::yield_now().await;
        let serial = running.serial();
        assert_eq!(requests.cancel(&serial, reason), Ok(CancelOutcome::Signalled));
        assert_eq!(
            requests.cancel(&serial, CancelReason::Operator),
            Ok(CancelOutcome::AlreadySignalled)
        );
        assert_eq!(heard.await.unwrap(), reason, "the first reason counts");
        assert!(running.signal().is_cancelled() && watcher.signal().is_cancelled());
        assert_eq!(requests.open()[0].state, OpenState::Cancelling(reason));
        drop(running);
        assert_eq!(watcher.outcome().await, Some(Outcome::Cancelled(reason.fault())));
        assert_eq!(reason.fault().code, code);
    }
}

#[tokio::test]
async fn a_request_that_succeeds_after_its_cancel_has_succeeded() {
    let requests = requests();
    let (ticket, mut watcher) = accept(&requests);
    let running = ticket.start().unwrap();
    requests.cancel(&running.serial(), CancelReason::Caller).unwrap();
    running.finish(success());
    assert_eq!(watcher.outcome().await, Some(success()));
}

#[tokio::test]
async fn what_is_not_open_cannot_be_cancelled() {
    let requests = requests();
    let unknown = requests.cancel(&Serial::new(), CancelReason::Caller).unwrap_err();
    assert_eq!(unknown.code, Code::RequestNotFound);
    let (ticket, _watcher) = accept(&requests);
    let serial = ticket.serial();
    ticket.start().unwrap().finish(success());
    let ended = requests.cancel(&serial, CancelReason::Caller).unwrap_err();
    assert_eq!(ended.code, Code::RequestNotFound);
    assert!(ended.message.contains("ended already") && unknown.message.contains("no request"));
}

#[tokio::test]
async fn a_slow_watcher_sees_the_newest_progress_and_nothing_else_is_lost() {
    let requests = requests();
    let (ticket, watcher) = accept(&requests);
    let running = ticket.start().unwrap();
    for completed in 0..100 {
        running.progress(completed, Some(100), "some").unwrap();
    }
    assert_eq!(requests.open()[0].progress, Some((99, Some(100))));
    running.finish(success());
    assert_eq!(told(watcher).await, "accepted, started, progress 99, succeeded");
}

#[tokio::test]
async fn who_waits_for_the_end_alone_is_woken_for_the_end_alone() {
    let requests = requests();
    let (ticket, mut watcher) = accept(&requests);
    let (looked, mut looks) = tokio::sync::mpsc::channel(64);
    let waiting = tokio::spawn(async move {
        let mut end = std::pin::pin!(watcher.outcome());
        std::future::poll_fn(|cx| {
            looked.try_send(()).unwrap();
            end.as_mut().poll(cx)
        })
        .await
    });
    looks.recv().await.unwrap();
    let running = ticket.start().unwrap();
    for completed in 0..10 {
        running.progress(completed, None, "").unwrap();
        tokio::task::yield_now().await;
    }
    assert!(looks.try_recv().is_err(), "nothing but the end wakes");
    running.finish(success());
    assert_eq!(waiting.await.unwrap(), Some(success()));
}

#[tokio::test]
async fn a_task_that_panics_or_is_aborted_leaves_an_end() {
    let requests = requests();

    let (ticket, mut watcher) = accept(&requests);
    let signal = watcher.signal();
    let task = tokio::spawn(async move {
        let _running = ticket.start().unwrap();
        signal.cancelled().await;
        panic!("on purpose");
    });
    while requests.totals().running == 0 {
        tokio::task::yield_now().await;
    }
    requests.cancel(&watcher.serial(), CancelReason::Caller).unwrap();
    assert!(task.await.unwrap_err().is_panic());
    let end = watcher.outcome().await.unwrap();
    assert_eq!(
        end.code(),
        Some(Code::Internal),
        "a panic is a fault of the host, cancelled or not"
    );

    for started in [false, true] {
        let (ticket, mut watcher) = accept(&requests);
        let task = tokio::spawn(async move {
            let _held = if started {
                (None, Some(ticket.start().unwrap()))
            } else {
                (Some(ticket), None)
            };
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(
            watcher.outcome().await.unwrap().code(),
            Some(Code::Internal),
            "started: {started}"
        );
    }
    assert_eq!(requests.totals().failed, 3);
}

#[tokio::test]
async fn a_caller_that_vanishes_cancels_its_request_if_it_said_so() {
    let requests = requests();
    let tied = || NewRequest {
        if_abandoned: IfAbandoned::Cancel,
        ..new()
    };

    let (ticket, watcher) = requests.accept(tied()).unwrap();
    drop(watcher);
    assert_eq!(ticket.start().unwrap_err().code, Code::Cancelled);

    let (ticket, watcher) = requests.accept(tied()).unwrap();
    let running = ticket.start().unwrap();
    drop(watcher);
    assert_eq!(running.signal().cancelled().await, CancelReason::Disconnected);
    drop(running);

    let (ticket, watcher) = accept(&requests);
    drop(watcher);
    let running = ticket.start().unwrap();
    assert!(!running.signal().is_cancelled());
    running.progress(1, None, "nobody looks").unwrap();
    running.finish(success());

    let ends: Vec<Final> = requests.finished().iter().map(|row| row.end).collect();
    assert_eq!(
        ends,
        [Final::Succeeded, Final::Cancelled, Final::Cancelled],
        "newest first"
    );
}

#[tokio::test]
async fn the_table_takes_as_many_as_it_may_and_one_more_when_one_has_ended() {
    let requests = Requests::new(RequestLimits {
        max_open: 3,
        ..RequestLimits::default()
    });
    let mut open: Vec<_> = (0..3).map(|_| accept(&requests)).collect();
    let fault = requests.accept(new()).unwrap_err();
    assert_eq!(fault.code, Code::Overloaded);
    assert!(fault.message.contains('3'), "{fault}");
    assert_eq!((requests.open().len(), requests.totals().refused), (3, 1));
    open.pop();
    drop(accept(&requests));
}

#[tokio::test]
async fn a_serial_is_taken_once_while_it_is_remembered() {
    let requests = Requests::new(RequestLimits {
        keep_finished: 2,
        ..RequestLimits::default()
    });
    let serial = Serial::new();
    let same = || NewRequest {
        serial: Some(serial),
        ..new()
    };
    let (ticket, _watcher) = requests.accept(same()).unwrap();
    assert_eq!(
        requests.accept(same()).unwrap_err().code,
        Code::ProtocolViolation,
        "open"
    );
    assert_eq!(
        requests.cancel(&serial, CancelReason::Caller),
        Ok(CancelOutcome::Withdrawn),
        "the first one"
    );
    drop(ticket);
    assert_eq!(
        requests.accept(same()).unwrap_err().code,
        Code::ProtocolViolation,
        "ended"
    );
    drop(accept(&requests));
    assert!(requests.accept(same()).is_err(), "two are remembered");
    drop(accept(&requests));
    assert_eq!(requests.finished().len(), 2);
    assert!(requests.accept(same()).is_ok(), "and a third is not");

    let forgetful = Requests::new(RequestLimits {
        keep_finished: 0,
        ..RequestLimits::default()
    });
    drop(forgetful.accept(same()).unwrap());
    assert!(forgetful.finished().is_empty());
    drop(forgetful.accept(same()).unwrap());
    assert_eq!(forgetful.totals().failed, 2);
}

/// Enforced by `within` in `Requests::accept`, and by the total beside it.
#[tokio::test]
async fn texts_are_taken_at_their_limits_and_refused_one_byte_later() {
    let limits = RequestLimits {
        max_user_data: 10,
        max_user_data_total: 25,
        ..RequestLimits::default()
    };
    let requests = Requests::new(limits);
    let text = |length: usize| Arc::<str>::from("t".repeat(length));
    let code = |request: NewRequest| requests.accept(request).map(drop).map_err(|fault| fault.code);
    let too_long = Err(Code::MessageTooLarge);
    assert_eq!(
        code(NewRequest {
            target: text(MAX_TARGET),
            ..new()
        }),
        Ok(())
    );
    assert_eq!(
        code(NewRequest {
            target: text(MAX_TARGET + 1),
            ..new()
        }),
        too_long
    );
    assert_eq!(
        code(NewRequest {
            principal: text(MAX_PRINCIPAL),
            ..new()
        }),
        Ok(())
    );
    assert_eq!(
        code(NewRequest {
            principal: text(MAX_PRINCIPAL + 1),
            ..new()
        }),
        too_long
    );
    let with_data = |length| NewRequest {
        user_data: Some(text(length)),
        ..new()
    };
    assert_eq!(code(with_data(10)), Ok(()));
    assert_eq!(code(with_data(11)), too_long);

    let kept = [
        requests.accept(with_data(10)).unwrap(),
        requests.accept(with_data(10)).unwrap(),
    ];
    assert_eq!(code(with_data(6)), Err(Code::Overloaded), "all of it together");
    assert_eq!(code(with_data(5)), Ok(()));
    drop(kept);
    assert_eq!(code(with_data(10)), Ok(()), "what has ended does not count");
}

#[tokio::test]
async fn progress_is_taken_at_its_limits_and_refused_one_later() {
    let limits = RequestLimits {
        max_details: 4,
        max_progress_per_request: 3,
        ..RequestLimits::default()
    };
    let requests = Requests::new(limits);
    let (ticket, watcher) = accept(&requests);
    let running = ticket.start().unwrap();
    assert_eq!(
        running.progress(1, None, "12345"),
        Err(ProgressError::TooLarge { max: 4 })
    );
    for completed in 1..=3 {
        assert_eq!(running.progress(completed, None, "1234"), Ok(()));
    }
    assert_eq!(
        running.progress(4, None, ""),
        Err(ProgressError::TooMany { max: 3 })
    );
    running.finish(success());
    assert_eq!(told(watcher).await, "accepted, started, progress 3, succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_pending_request_does_not_outlive_its_time_though_nobody_starts_it() {
    let requests = requests();
    let sweeper = tokio::spawn(requests.clone().run_sweeper());
    let begun = Instant::now();
    let (late, mut late_watcher) = requests
        .accept(NewRequest {
            ttl: Some(Duration::from_secs(5)),
            ..new()
        })
        .unwrap();
    // An earlier one, accepted when the sweeper sleeps for the later one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (early, mut early_watcher) = requests
        .accept(NewRequest {
            ttl: Some(Duration::from_secs(2)),
            ..new()
        })
        .unwrap();
    let (_waiting, mut deadline_watcher) = requests
        .accept(NewRequest {
            deadline: Some(begun + Duration::from_secs(7)),
            ..new()
        })
        .unwrap();

    let end = early_watcher.outcome().await.unwrap();
    assert_eq!((end.kind(), end.code()), (Final::Rejected, Some(Code::Expired)));
    assert!(begun.elapsed() >= Duration::from_secs(3) && begun.elapsed() < Duration::from_millis(3_050));
    late_watcher.outcome().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(5) && begun.elapsed() < Duration::from_millis(5_050));
    let end = deadline_watcher.outcome().await.unwrap();
    assert_eq!(
        (end.kind(), end.code()),
        (Final::Cancelled, Some(Code::WaitEnded))
    );
    assert!(begun.elapsed() >= Duration::from_secs(7) && begun.elapsed() < Duration::from_millis(7_050));

    assert_eq!(early.start().unwrap_err().code, Code::Expired);
    assert_eq!(late.start().unwrap_err().code, Code::Expired);
    assert_eq!(requests.totals().rejected, 2);
    sweeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_ticket_knows_its_time_without_a_sweeper() {
    let requests = requests();
    let ttl = Duration::from_millis(100);
    let timed = || {
        requests
            .accept(NewRequest {
                ttl: Some(ttl),
                ..new()
            })
            .unwrap()
    };
    let (in_time, _watcher) = timed();
    let (too_late, watcher) = timed();
    tokio::time::advance(ttl - Duration::from_millis(1)).await;
    let running = in_time.start().unwrap();
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(too_late.start().unwrap_err().code, Code::Expired);
    assert_eq!(told(watcher).await, "accepted, rejected ODN-1008");
    tokio::time::advance(ttl).await;
    requests.expire_due();
    assert!(
        !running.signal().is_cancelled(),
        "what was started in time has no time to live"
    );

    let past = NewRequest {
        deadline: Some(Instant::now()),
        ..new()
    };
    let (ticket, watcher) = requests.accept(past).unwrap();
    assert_eq!(ticket.start().unwrap_err().code, Code::WaitEnded);
    assert_eq!(told(watcher).await, "accepted, cancelled ODN-1007");
    let endless = NewRequest {
        ttl: Some(Duration::MAX),
        ..new()
    };
    requests
        .accept(endless)
        .unwrap()
        .0
        .start()
        .unwrap()
        .finish(success());
}

#[tokio::test(start_paused = true)]
async fn a_running_request_is_signalled_at_its_deadline() {
    let requests = requests();
    let sweeper = tokio::spawn(requests.clone().run_sweeper());
    let deadline = Instant::now() + Duration::from_secs(90);
    let (ticket, mut watcher) = requests
        .accept(NewRequest {
            deadline: Some(deadline),
            ttl: Some(Duration::from_secs(1)),
            ..new()
        })
        .unwrap();
    let running = ticket.start().unwrap();
    assert_eq!(running.signal().cancelled().await, CancelReason::Deadline);
    assert!(Instant::now() >= deadline && Instant::now() < deadline + Duration::from_millis(50));
    drop(running);
    assert_eq!(watcher.outcome().await.unwrap().code(), Some(Code::WaitEnded));
    sweeper.abort();
}

#[tokio::test(start_paused = true)]
async fn the_open_requests_are_shown_oldest_first() {
    let requests = requests();
    let (_old, _old_watcher) = accept(&requests);
    tokio::time::advance(Duration::from_secs(2)).await;
    let (young, _young_watcher) = accept(&requests);
    tokio::time::advance(Duration::from_secs(1)).await;
    let running = young.start().unwrap();
    let rows = requests.open();
    let shown: Vec<_> = rows.iter().map(|row| (row.state, row.age.as_secs())).collect();
    assert_eq!(shown, [(OpenState::Pending, 3), (OpenState::Running, 1)]);
    assert_eq!((&*rows[0].target, &*rows[0].principal), ("calc/add", "uid:1000"));
    running.finish(success());
    let ended = &requests.finished()[0];
    assert_eq!(
        (ended.end, ended.code, ended.took.as_secs()),
        (Final::Succeeded, None, 1)
    );
}

#[tokio::test]
async fn a_host_that_stops_takes_no_more_and_waits_for_the_rest() {
    let requests = requests();
    requests.idle().await;
    let (ticket, _watcher) = accept(&requests);
    let (other, mut other_watcher) = requests.accept(NewRequest::new("other/go", "uid:1000")).unwrap();
    let running = ticket.start().unwrap();
    requests.close();
    assert_eq!(requests.accept(new()).unwrap_err().code, Code::Draining);

    let which = |row: &odeon_rmi::OpenRow| row.target.starts_with("other/");
    assert_eq!(requests.cancel_matching(CancelReason::Shutdown, which), 1);
    assert_eq!(
        other_watcher.outcome().await.unwrap().code(),
        Some(Code::Draining)
    );
    drop(other);

    let idle = tokio::spawn({
        let requests = requests.clone();
        async move { requests.idle().await }
    });
    tokio::task::yield_now().await;
    assert!(!idle.is_finished());
    running.finish(success());
    idle.await.unwrap();
}

fn held_up_to(max_bytes_total: usize) -> Requests {
    Requests::new(RequestLimits {
        max_bytes_total,
        ..RequestLimits::default()
    })
}

const KIB: usize = 1024;

#[tokio::test]
async fn arguments_are_held_up_to_the_limit_of_bytes_and_until_the_end() {
    let requests = held_up_to(10 * KIB);
    let of = |bytes| requests.accept(NewRequest { bytes, ..new() });
    // 4 KiB of each do not count.
    let (ticket, _watcher) = of(14 * KIB).unwrap();
    assert_eq!(requests.held(), 10 * KIB);
    let refused = of(4 * KIB + 1).unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(refused.message.contains("10240"), "{refused}");
    assert_eq!(requests.totals().refused, 1);
    let (_small, _watches) = of(4 * KIB).expect("what is small is always taken");
    ticket.reject(Fault::new(Code::Overloaded, "no room"));
    assert_eq!(requests.held(), 0, "the end gives it back, fetched or not");
    drop(of(14 * KIB).unwrap());
    assert_eq!(requests.held(), 0);
}

#[tokio::test]
async fn results_are_held_until_they_are_fetched_and_dropped_when_there_is_no_room() {
    let requests = held_up_to(10 * KIB);
    let ended = |length: usize| {
        let (ticket, watcher) = accept(&requests);
        ticket.start().unwrap().finish(Outcome::Succeeded(Answer {
            body: vec![0; length],
            ..Answer::default()
        }));
        watcher
    };
    let mut first = ended(14 * KIB);
    assert_eq!(requests.held(), 10 * KIB);
    let lost = ended(4 * KIB + 1).outcome().await.unwrap();
    assert!(matches!(&lost, Outcome::Failed { answer: None, .. }), "{lost:?}");
    assert_eq!(lost.code(), Some(Code::ResultTooLarge));
    assert_eq!(requests.finished()[0].code, Some(Code::ResultTooLarge));
    assert!(ended(4 * KIB).outcome().await.unwrap().code().is_none());
    assert!(first.outcome().await.unwrap().code().is_none());
    assert_eq!(requests.held(), 0);
    drop(ended(14 * KIB));
    assert_eq!(requests.held(), 0, "nobody will fetch it");
}

#[tokio::test]
async fn a_share_of_the_bytes_grows_shrinks_and_is_given_back() {
    let requests = held_up_to(15 * KIB);
    let mut share = requests.account().share();
    share.hold(14 * KIB).unwrap();
    assert_eq!(share.hold(14 * KIB + 1).unwrap_err().code, Code::Overloaded);
    assert_eq!(requests.held(), 10 * KIB, "it holds what it held");
    share.hold(5 * KIB).unwrap();
    assert_eq!(requests.held(), KIB);
    drop(share);
    assert_eq!(requests.held(), 0);
}

#[tokio::test]
async fn a_peer_holds_no_more_than_twice_what_he_leaves_to_the_others() {
    let requests = held_up_to(81 * KIB);
    let greedy = requests.account();
    let of = |bytes, account: &Account| {
        requests.accept(NewRequest {
            bytes: bytes + 4 * KIB,
            account: Some(account.clone()),
            ..new()
        })
    };
    let (ticket, watcher) = of(50 * KIB, &greedy).unwrap();
    let (_queued, _watches) = of(4 * KIB, &greedy).expect("two thirds of it are his");
    let refused = of(2, &greedy).unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(refused.message.contains("left to others"), "{refused}");
    assert!(greedy.share().hold(4 * KIB + 2).is_err(), "messages count too");

    let other = requests.account();
    let (_second, _waits) = of(18 * KIB, &other).expect("two thirds of the rest are for the next");
    assert!(of(2, &other).is_err());
    let (_third, _waits_too) = of(6 * KIB, &requests.account()).expect("there is always some left");

    // A result is held where the arguments were.
    ticket.start().unwrap().finish(Outcome::Succeeded(Answer {
        body: vec![0; 9 * KIB],
        ..Answer::default()
    }));
    assert_eq!(requests.held(), (4 + 18 + 6 + 5) * KIB);
    drop(watcher);
    assert_eq!(requests.held(), (4 + 18 + 6) * KIB);
}

/// Of two shares that fit one after the other only one at a time, never both.
#[test]
fn shares_that_a_peer_takes_at_once_leave_as_much_as_one_after_the_other() {
    let requests = held_up_to(81 * KIB);
    let greedy = requests.account();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..50_000 {
                    let mut share = greedy.share();
                    if share.hold(34 * KIB).is_ok() {
                        let held = requests.held();
                        assert!(held <= 54 * KIB, "{held} bytes");
                    }
                }
            });
        }
    });
    assert_eq!(requests.held(), 0);
}

/// The result of a call that was executed is not lost to what was never held.
#[test]
fn a_share_that_is_refused_keeps_no_other_out() {
    let requests = held_up_to(81 * KIB);
    let account = requests.account();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..50_000 {
                assert!(account.share().hold(64 * KIB).is_err());
            }
        });
        for _ in 0..50_000 {
            account.share().hold(14 * KIB).expect("there is room for it");
        }
    });
}

#[tokio::test]
async fn a_request_whose_wait_ends_in_a_queue_is_cancelled_and_was_not_executed() {
    let requests = requests();
    let (ticket, watcher) = accept(&requests);
    ticket.withdraw(Fault::new(Code::WaitEnded, "not started"));
    assert_eq!(told(watcher).await, "accepted, cancelled ODN-1007");

    let late = NewRequest {
        deadline: Some(Instant::now()),
        ..new()
    };
    let (ticket, mut watcher) = requests.accept(late).unwrap();
    assert_eq!(ticket.start().unwrap_err().code, Code::WaitEnded);
    let fault = watcher.outcome().await.unwrap().fault().unwrap().clone();
    assert_eq!(fault.details.unwrap()["executed"], false);
}
