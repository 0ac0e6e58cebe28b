//! What is counted of the time in which a client is waited for.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{ASK, Patience};

/// Enforced by `Waiting::counts`: a guest that does something else for long does
/// not make its client slow.
#[tokio::test]
async fn time_in_which_nobody_asks_is_not_waited() {
    let most = 5 * ASK;
    let mut patience = Patience::new(most);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..4 {
        assert_eq!(patience.poll_wait(&mut cx), Poll::Pending);
        // It asked, and then it did not for longer than all of that.
        std::thread::sleep(most + ASK);
    }
    assert_eq!(
        patience.poll_wait(&mut cx),
        Poll::Pending,
        "four asks of five are used up"
    );
    std::thread::sleep(ASK);
    assert_eq!(patience.poll_wait(&mut cx), Poll::Ready(()));
}

/// Enforced by `Patience::poll_wait`, which wakes whoever waits in time.
#[tokio::test]
async fn whoever_waits_has_waited_when_it_is_over() {
    let began = std::time::Instant::now();
    let most = 3 * ASK + Duration::from_millis(50);
    let mut patience = Patience::new(most);
    let waited = poll_fn(|cx| patience.poll_wait(cx));
    tokio::time::timeout(Duration::from_secs(20), waited)
        .await
        .expect("it is woken");
    assert!(began.elapsed() >= most, "{:?}", began.elapsed());
}
