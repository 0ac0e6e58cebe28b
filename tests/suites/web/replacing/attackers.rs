//! Who sends what is no request, or too much, while what answers is replaced.
//!
//! Owns what each of them meets: the same as ever.

use std::net::SocketAddr;
use std::sync::Arc;

use odeon_tests::web::Client;
use tokio::task::JoinHandle;

use super::load::{Load, PIPELINED};

/// Connections that send half of a head and then nothing, at a time.
const LORISES: usize = 4;

/// Who send requests at once with junk behind them.
pub(super) const PIPELINES: usize = 2;

/// Requests before the junk.
const AT_ONCE: usize = 8;

/// What became of one of them.
#[derive(Default)]
pub(super) struct Made {
    pub(super) times: u64,
    /// Requests among it, which were answered.
    pub(super) answered: u64,
}

type Attack = (&'static str, JoinHandle<Made>);

/// All of them, until the load is over. Those who ask have numbers from `first` on.
pub(super) fn all(address: SocketAddr, load: &Arc<Load>, first: usize) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for _ in 0..LORISES {
        attacks.push(("slow-loris", tokio::spawn(slow_loris(address, load.clone()))));
    }
    for number in 0..PIPELINES {
        let pipelined = pipelined(address, load.clone(), first + number);
        attacks.push(("pipelined junk", tokio::spawn(pipelined)));
    }
    attacks.push(("oversize", tokio::spawn(oversize(address, load.clone()))));
    attacks
}

/// Is disconnected without a word.
async fn slow_loris(address: SocketAddr, load: Arc<Load>) -> Made {
    let mut made = Made::default();
    while load.goes_on() {
        let mut client = Client::connect(address).await;
        client
            .send(b"GET /w/version HTTP/1.1\r\nHost: test\r\nX-Slow: ")
            .await
            .expect("somebody is there");
        let said = client.closed().await.expect("nobody waits for the rest");
        assert_eq!(said, b"", "what is no request has no answer");
        made.times += 1;
    }
    made
}

/// Requests are answered in turn, junk ends that, and nothing behind it is one.
async fn pipelined(address: SocketAddr, load: Arc<Load>, who: usize) -> Made {
    let mut made = Made::default();
    let mut sent = "GET /w/version HTTP/1.1\r\nHost: test\r\n\r\n".repeat(AT_ONCE);
    sent.push_str("this is no request\r\n\r\nGET /w/trap HTTP/1.1\r\nHost: test\r\n\r\n");
    while load.goes_on() {
        let mut client = Client::connect(address).await;
        let before = load.begins(who);
        client.send(sent.as_bytes()).await.expect("somebody is there");
        for _ in 0..AT_ONCE {
            let answer = client.answer().await.expect("no request is lost");
            load.check(PIPELINED, before, &answer);
            made.answered += 1;
        }
        load.ends(who);
        assert_eq!(client.answer().await.expect("a refusal").status, 400);
        assert_eq!(client.closed().await.expect("it is closed"), b"");
        made.times += 1;
    }
    made
}

/// A body that is too long, and too many header fields: nobody is asked.
async fn oversize(address: SocketAddr, load: Arc<Load>) -> Made {
    let mut made = Made::default();
    let long = "x".repeat(2 << 10);
    let heads = [
        (
            "POST /w/length HTTP/1.1\r\nHost: test\r\nContent-Length: 8193\r\n\r\n".to_owned(),
            413,
        ),
        (
            format!("GET /w/version HTTP/1.1\r\nHost: test\r\nX: {long}\r\n\r\n"),
            431,
        ),
    ];
    while load.goes_on() {
        for (head, status) in &heads {
            let mut client = Client::connect(address).await;
            client.send(head.as_bytes()).await.expect("somebody is there");
            let answer = client.answer().await.expect("a refusal");
            assert_eq!(answer.status, *status, "{}", answer.text());
            made.times += 1;
        }
    }
    made
}
