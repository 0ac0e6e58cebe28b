//! What a client is told when a plugin gives no good answer.

use odeon::LimitsPatch;
use odeon_authority::TimeSpan;

use crate::stage::Stage;

/// For those that never answer. All others have time enough, wherever a core stands
/// still for a second.
fn impatient() -> LimitsPatch {
    LimitsPatch {
        deadline: Some(TimeSpan::millis(1_500)),
        ..LimitsPatch::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_without_an_answer_is_a_bad_gateway() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    for (path, status, code) in [
        ("/w/nothing", 502, "ODN-2014"),
        ("/w/error", 502, "ODN-1010"),
        ("/w/trap", 502, "ODN-2001"),
        ("/w/status?101", 502, "ODN-2014"),
        ("/w/status?100", 502, "ODN-2014"),
    ] {
        let answer = client.get(path).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
        let text = answer.text();
        assert!(!text.contains("secret") && !text.contains("details"), "{text}");
    }
    stage.quiet().await;
    stage.works().await;
}

/// Enforced by `Answered::give`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_header_byte_more_than_may_be_answered_is_refused() {
    let limits = LimitsPatch {
        header_bytes: Some(odeon_authority::ByteSize::kib(1)),
        ..LimitsPatch::default()
    };
    let stage = Stage::with(odeon::HostLimits::default(), limits).await;
    // With the name, `x-long`.
    assert_eq!(stage.get("/w/header?1018").await.status, 200);
    let answer = stage.get("/w/header?1019").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "ODN-2014"));
    assert_eq!(stage.hits("header-bytes"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_plugin_that_takes_too_long_is_a_gateway_timeout() {
    let stage = Stage::with(odeon::HostLimits::default(), impatient()).await;
    for path in ["/w/sleep", "/w/spin"] {
        let answer = stage.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (504, "ODN-2004"),
            "{path}"
        );
    }
    stage.quiet().await;
    stage.works().await;
}

/// Enforced by `GuestBody`, for which a body is whole when its call ended well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_what_a_guest_broke_off_does_not_look_whole() {
    let stage = Stage::with(odeon::HostLimits::default(), impatient()).await;
    for path in [
        "/w/trap-in-body?5000",
        "/w/spin-in-body?5000",
        "/w/drip?20",
        "/w/short",
    ] {
        let mut client = stage.client().await;
        assert!(client.get(path).await.is_err(), "{path}");
    }
    stage.quiet().await;
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_run_and_wait_are_told_to_come_again() {
    let limits = LimitsPatch {
        calls_in_flight: Some(1),
        queue: Some(1),
        ..LimitsPatch::default()
    };
    let stage = Stage::with(odeon::HostLimits::default(), limits).await;
    let mut running = stage.client().await;
    let mut waiting = stage.client().await;
    for client in [&mut running, &mut waiting] {
        client
            .send(b"GET /w/sleep HTTP/1.1\r\nHost: test\r\n\r\n")
            .await
            .unwrap();
    }
    crate::stage::soon("one runs and one waits", || {
        let row = stage.host.list().remove(0);
        (row.in_flight, row.waiting) == (1, 1)
    })
    .await;
    let answer = stage.get("/w/version").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "ODN-1006"));
    assert_eq!(answer.field("retry-after"), Some("1"));
    drop((running, waiting));
    stage.quiet().await;
    stage.works().await;
}
