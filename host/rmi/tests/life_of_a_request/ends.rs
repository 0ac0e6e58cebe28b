//! From being accepted to the one end, whatever that is.

use odeon_protocol::{Code, Fault};
use odeon_rmi::{Answer, CancelReason, Event, Outcome, Progress};

use crate::fixture::{accept, requests, success, told};

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
