//! Clients that take their time.

use std::time::{Duration, Instant};

use odeon::{HostLimits, LimitsPatch};
use odeon_authority::TimeSpan;
use odeon_tests::stall::{Stalls, Took};
use odeon_tests::web::{Client, chunk};

use crate::stage::{Stage, short};

/// The head of a request whose body comes in pieces.
const CHUNKED: &[u8] = b"POST /w/length HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A client that has sent this.
async fn begun(stage: &Stage, bytes: &[u8]) -> Client {
    let mut client = stage.client().await;
    client.send(bytes).await.unwrap();
    client
}

/// Sends a byte every so often until nobody takes them. Gives how long that was.
async fn drip(client: &mut Client, byte: &[u8], every: Duration) -> Took {
    let stalls = Stalls::watch();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if client.send(byte).await.is_err() {
            break;
        }
        let mut piece = [0; 1024];
        match client.stream().try_read(&mut piece) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        tokio::time::sleep(every).await;
    }
    stalls.since(began)
}

/// Fails unless it took longer than that, and not much longer than a few of the
/// short times, but for what the cores stood still.
#[track_caller]
fn assert_soon(took: Took, least: Duration) {
    assert!(
        took.wall >= least && took.own() < Duration::from_secs(3),
        "{took:?}"
    );
}

/// Enforced by `Paced::is_late`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_head_that_never_ends_is_not_waited_for() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let (mut slow, mut sent) = (Vec::new(), Instant::now());
    for _ in 0..20 {
        sent = Instant::now();
        slow.push(begun(&stage, b"GET /w/version HTTP/1.1\r\nHost: test\r\n").await);
    }
    // Meanwhile others are served.
    stage.works().await;
    let mut last = slow.pop().unwrap();
    let took = drip(&mut last, b"X-A: b\r\n", Duration::from_millis(50)).await;
    assert_soon(took, Duration::ZERO);
    assert!(sent.elapsed() >= Duration::from_millis(400), "it has its time");
    for mut client in slow {
        assert_eq!(client.closed().await.unwrap(), b"");
    }
    assert_eq!(stage.host.list().remove(0).calls, 1);
}

/// Enforced by `Paced::is_late`, which counts anew when a request begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_connection_without_requests_is_closed_and_one_with_some_is_not() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let mut silent = stage.client().await;
    let mut kept = stage.client().await;
    let began = Instant::now();
    // So often that a second without anything is none too many.
    while began.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(kept.get("/w/version").await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(silent.closed().await.unwrap(), b"");
    let stalls = Stalls::watch();
    let began = Instant::now();
    assert_eq!(kept.closed().await.unwrap(), b"");
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(5), "{took:?}");
    // A request that takes longer than all of these times is nobody's fault.
    assert_eq!(stage.get("/w/slow-version?2000").await.status, 200);
}

/// Enforced by `LimitedBody` and `Patience`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_body_that_drips_is_not_waited_for() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let mut client = begun(&stage, CHUNKED).await;
    let took = drip(&mut client, &chunk(b"x"), Duration::from_millis(50)).await;
    assert_soon(took, Duration::from_millis(200));
    stage.quiet().await;
    // One that says nothing at all is told, if it listens.
    let answer = stage
        .raw(b"POST /w/length HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n")
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "ODN-5003"));
    // A guest that goes on asking gets nothing, and its own time ends it.
    stage.quiet().await;
    stage.works().await;
}

/// Enforced by `Patience`: what comes earns time. Its client may stand still for
/// longer than a second at once, and takes three times as long in all as one that
/// sends nothing may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_body_that_comes_fast_enough_is_taken_however_long_it_takes() {
    let limits = HostLimits {
        http_stall_time: TimeSpan::millis(1_500),
        ..short()
    };
    let stage = Stage::with(limits, LimitsPatch::default()).await;
    let mut client = begun(&stage, CHUNKED).await;
    for _ in 0..45 {
        client.send(&chunk(&[b'x'; 1024])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.send(b"0\r\n\r\n").await.unwrap();
    assert_eq!(client.answer().await.unwrap().text(), "46080");
}

/// Enforced by `Paced::stalled`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_client_that_does_not_read_is_not_waited_for() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(begun(&stage, b"GET /w/flood HTTP/1.1\r\nHost: test\r\n\r\n").await);
    }
    let stalls = Stalls::watch();
    let began = Instant::now();
    crate::stage::soon("they are being answered", || {
        stage.host.list().remove(0).in_flight == 5
    })
    .await;
    // Long before the plugin's deadline of half a minute.
    stage.quiet().await;
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(8), "{took:?}");
    stage.works().await;
}
