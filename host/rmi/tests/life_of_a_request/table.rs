//! The table of what is open and what has ended, and its end.

use std::time::Duration;

use odeon_protocol::{Code, Serial};
use odeon_rmi::{CancelOutcome, CancelReason, Final, NewRequest, OpenState, RequestLimits, Requests};

use crate::fixture::{accept, new, requests, success};

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
