//! Who asks for an end, what the request hears of it, and how it then ends.

use odeon_protocol::{Code, Serial};
use odeon_rmi::{CancelOutcome, CancelReason, Final, IfAbandoned, NewRequest, OpenState, Outcome};

use crate::fixture::{accept, new, requests, success, told};

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
