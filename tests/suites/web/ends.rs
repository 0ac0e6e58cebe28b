//! What becomes of requests when a plugin, a listener or a host ends.

use std::time::Duration;

use odeon::UnloadMode;
use odeon_tests::stall::Stalls;
use odeon_tests::web::Client;

use crate::stage::{Stage, soon};

async fn running(stage: &Stage, path: &str) -> Client {
    let mut client = stage.client().await;
    client
        .send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
        .await
        .unwrap();
    soon("it runs", || {
        stage.host.list().iter().any(|row| row.in_flight > 0)
    })
    .await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unload_waits_for_the_request_that_runs() {
    let stage = Stage::new().await;
    let mut client = running(&stage, "/w/slow-version?2000").await;
    let name = "web".parse().unwrap();
    let principal = stage.host.principal().clone();
    let mode = UnloadMode::Drain(Duration::from_secs(10));
    let (unloaded, answer) = tokio::join!(stage.host.unload(&name, mode, &principal), client.answer());
    unloaded.unwrap();
    assert_eq!(answer.unwrap().text(), "answered by version 1");
    assert_eq!(client.get("/w/version").await.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unload_at_once_ends_it_with_a_last_word() {
    let stage = Stage::new().await;
    let mut client = running(&stage, "/w/sleep").await;
    let principal = stage.host.principal().clone();
    let name = "web".parse().unwrap();
    stage
        .host
        .unload(&name, UnloadMode::Now, &principal)
        .await
        .unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "ODN-1015"));
}

/// Enforced by `Abandoned`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_ends_its_request() {
    let stage = Stage::new().await;
    for path in ["/w/sleep", "/w/spin", "/w/drip?10", "/w/flood"] {
        let client = running(&stage, path).await;
        drop(client);
        // Long before its deadline of half a minute.
        stage.quiet().await;
    }
    // In the middle of its own body.
    let mut client = stage.client().await;
    client
        .send(b"POST /w/length HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nabc")
        .await
        .unwrap();
    soon("it runs", || {
        stage.host.list().iter().any(|row| row.in_flight > 0)
    })
    .await;
    drop(client);
    stage.quiet().await;
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_stops_answers_what_it_has_begun_and_nothing_else() {
    let stage = Stage::new().await;
    let mut idle = stage.client().await;
    idle.get("/w/version").await.unwrap();
    let mut client = running(&stage, "/w/slow-version?2000").await;
    let address = stage.address();
    stage.listener.stop();
    let answer = client.answer().await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.closes()),
        ("answered by version 1", true)
    );
    assert_eq!(idle.closed().await.unwrap(), b"");
    stage.listener.close(Duration::from_secs(5)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    // The name is free again.
    stage.host.listen(&crate::stage::config("web")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_listener_that_closes_does_not_wait_for_ever() {
    let stage = Stage::new().await;
    let mut client = running(&stage, "/w/sleep").await;
    let stalls = Stalls::watch();
    let began = std::time::Instant::now();
    stage.listener.close(Duration::from_millis(200)).await;
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(3), "{took:?}");
    assert_eq!(client.closed().await.unwrap(), b"");
}
