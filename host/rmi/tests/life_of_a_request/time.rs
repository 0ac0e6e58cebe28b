//! Times to live and deadlines, on a clock that stands still.

use std::time::Duration;

use odeon_protocol::{Code, Fault};
use odeon_rmi::{CancelReason, Final, NewRequest};
use tokio::time::Instant;

use crate::fixture::{accept, new, requests, success, told};

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
