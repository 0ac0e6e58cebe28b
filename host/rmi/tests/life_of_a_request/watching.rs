//! What a watcher is told, and what it is woken for.

use std::sync::Arc;

use odeon_protocol::Serial;
use odeon_rmi::NewRequest;

use crate::fixture::{accept, new, requests, success, told};

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
