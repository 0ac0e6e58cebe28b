//! Kept log lines are bounded in number and bytes, and a follower that is behind learns what it missed.

use super::{FOLLOWER_BEHIND, KEPT_BYTES, KEPT_LINES, Logs};

#[test]
fn so_many_lines_are_kept_and_not_one_more() {
    let logs = Logs::new(None, None);
    for number in 0..=KEPT_LINES {
        logs.host_line("info", &number.to_string());
    }
    let kept = logs.tail(None, usize::MAX);
    assert_eq!(kept.len(), KEPT_LINES);
    assert_eq!(kept[0].text, "1", "the oldest goes first");
}

#[test]
fn so_many_bytes_are_kept_and_not_more() {
    let logs = Logs::new(None, None);
    let line = "x".repeat(KEPT_BYTES / 8);
    for _ in 0..100 {
        logs.host_line("info", &line);
    }
    assert_eq!(
        logs.tail(None, usize::MAX).len(),
        7,
        "eight would be a little too many"
    );
}

#[tokio::test]
async fn a_follower_that_is_behind_learns_how_many_lines_it_missed() {
    let logs = Logs::new(None, None);
    logs.host_line("info", "before");
    let (past, mut follower) = logs.follow(None, 10);
    assert_eq!(past.len(), 1);
    for number in 0..FOLLOWER_BEHIND + 5 {
        logs.host_line("info", &number.to_string());
    }
    let next = follower.next().await.unwrap();
    assert_eq!((next.text.as_str(), next.dropped), ("5", 5));
    drop(logs);
    for _ in 0..FOLLOWER_BEHIND - 1 {
        follower.next().await.unwrap();
    }
    assert!(follower.next().await.is_none(), "the host is gone");
}
