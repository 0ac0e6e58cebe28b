//! Clients that take their time.

use std::time::{Duration, Instant};

use odeon::LimitsPatch;
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
async fn drip(client: &mut Client, byte: &[u8], every: Duration) -> Duration {
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
    began.elapsed()
}

/// Enforced by `Paced::is_late`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_head_that_never_ends_is_not_waited_for() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(begun(&stage, b"GET /w/version HTTP/1.1\r\nHost: test\r\n").await);
    }
    // Meanwhile others are served.
    stage.works().await;
    let mut first = slow.pop().unwrap();
    let took = drip(&mut first, b"X-A: b\r\n", Duration::from_millis(50)).await;
    assert!(
        (Duration::from_millis(100)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
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
    while began.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(kept.get("/w/version").await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert_eq!(silent.closed().await.unwrap(), b"");
    let began = Instant::now();
    assert_eq!(kept.closed().await.unwrap(), b"");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // A request that takes longer than all of these times is nobody's fault.
    assert_eq!(stage.get("/w/slow-version?2000").await.status, 200);
}

/// Enforced by `LimitedBody` and `Patience`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_body_that_drips_is_not_waited_for() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let mut client = begun(&stage, CHUNKED).await;
    let took = drip(&mut client, &chunk(b"x"), Duration::from_millis(50)).await;
    assert!(
        (Duration::from_millis(200)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
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

/// Enforced by `Patience`: what comes earns time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_body_that_comes_fast_enough_is_taken_however_long_it_takes() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let mut client = begun(&stage, CHUNKED).await;
    for _ in 0..20 {
        client.send(&chunk(&[b'x'; 1024])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.send(b"0\r\n\r\n").await.unwrap();
    assert_eq!(client.answer().await.unwrap().text(), "20480");
}

/// Enforced by `Paced::stalled`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_client_that_does_not_read_is_not_waited_for() {
    let stage = Stage::with(short(), LimitsPatch::default()).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(begun(&stage, b"GET /w/flood HTTP/1.1\r\nHost: test\r\n\r\n").await);
    }
    let began = Instant::now();
    crate::stage::soon("they are being answered", || {
        stage.host.list().remove(0).in_flight == 5
    })
    .await;
    // Long before the plugin's deadline of half a minute.
    stage.quiet().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    stage.works().await;
}
