//! What is counted of the time in which a client is waited for.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::Instant;

use super::{ASK, Patience};

/// Enforced by `Patience::waited`: a guest that does something else for long does
/// not make its client slow.
#[test]
fn time_in_which_nobody_asks_is_not_waited() {
    let most = 5 * ASK;
    let mut patience = Patience::new(most);
    let mut now = Instant::now();
    for asks in 0..4 {
        assert_eq!(patience.ask(now), most - asks * ASK);
        // It asked, and then it did not for longer than all of that.
        now += most + ASK;
    }
    assert_eq!(patience.ask(now), ASK, "four asks of five are used up");
    assert_eq!(patience.ask(now + ASK), Duration::ZERO);
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
