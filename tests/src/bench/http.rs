//! `http-hello`: requests a second over 64 connections that stay open, each
//! request answered by a fresh instance, beside the same component behind the
//! engine's own proxy handler, on the same threads, with the host's settings of
//! the HTTP library. `http-hello-bare`: beside the leanest way that the engine's
//! documentation shows, which looks after nothing and nobody.

mod bare;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use odeon::{Host, ListenerConfig, LoadRequest, WebListener};
use tokio::task::JoinSet;

use super::host::Stage;
use super::measure::{Effort, median};
use super::{Row, row};
use crate::guests;
use crate::web::Client;

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 12;

/// How long requests are counted in one sample, and how long they are under way
/// before.
const SAMPLE: Duration = Duration::from_millis(400);
const SETTLE: Duration = Duration::from_millis(50);

/// The component, and what it is asked for.
const GUEST: &str = "sample-web-hello";
const PATH: &str = "/hello?Ann";
const ANSWER: &[u8] = b"Hello, Ann!\n";

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::new(2);
    let numbers = stage.tokio.block_on(async {
        let listener = serve(&stage.host).await;
        let handler = bare::Server::handler().await;
        let documented = bare::Server::documented().await;
        let addresses = [listener.address(), handler.address(), documented.address()];
        let mut clients = Vec::new();
        for address in addresses {
            clients.push(connect(address).await);
        }
        let mut samples = [(); 3].map(|()| Vec::new());
        for round in 0..effort.rounds(ROUNDS) + 1 {
            // Whoever comes later finds the machine as the one before left it: each
            // has each place in turn.
            for step in 0..addresses.len() {
                let side = (round + step) % addresses.len();
                let answered = sample(&mut clients[side]).await;
                // The first round makes what the others find.
                if round > 0 {
                    samples[side].push(answered);
                }
            }
        }
        drop(clients);
        listener.close(Duration::from_secs(5)).await;
        samples.map(median)
    });
    let [host, handler, documented] = numbers;
    vec![
        row(
            "http-hello",
            "1/s",
            (host, handler),
            "wasmtime-wasi-http's ProxyHandler, fresh instances",
        ),
        row(
            "http-hello-bare",
            "1/s",
            (host, documented),
            "the server of its documentation, fresh instances",
        ),
    ]
}

/// The plugin, at a listener of the host.
async fn serve(host: &Host) -> WebListener {
    let config = ListenerConfig::plain(
        "web".parse().expect("a name"),
        "127.0.0.1:0".parse().expect("an address"),
    );
    let listener = host.listen(&config.expect("a listener")).await;
    let load = LoadRequest::component(guests::component(GUEST))
        .named("hello".parse().expect("a name"))
        .served_at("web/hello".parse().expect("a route"))
        .allow_unsigned();
    host.load(load).await.expect("the sample is loaded");
    listener.expect("a listener")
}

async fn connect(address: SocketAddr) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(address).await);
    }
    clients
}

/// Requests a second.
async fn sample(clients: &mut Vec<Client>) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut asking = JoinSet::new();
    for mut client in clients.drain(..) {
        let (stop, count) = (stop.clone(), count.clone());
        asking.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = client.get(PATH).await.expect("an answer");
                assert_eq!((answer.status, answer.body.as_slice()), (200, ANSWER));
                count.fetch_add(1, Ordering::Relaxed);
            }
            client
        });
    }
    tokio::time::sleep(SETTLE).await;
    let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(SAMPLE).await;
    let (took, after) = (began.elapsed(), count.load(Ordering::Relaxed));
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = asking.join_next().await {
        clients.push(done.expect("every request has its answer"));
    }
    #[expect(clippy::cast_precision_loss, reason = "requests of less than a second")]
    let answered = (after - before) as f64;
    answered / took.as_secs_f64()
}
