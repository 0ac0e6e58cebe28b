//! Metrics over HTTP and over the control socket, and peers that are slow or
//! want something else.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use odeon::daemon::{Daemon, DaemonConfig, serve};
use odeon::{Args, CallOptions, Code, Host, HostConfig, MetricsAddress};
use odeon_protocol::{AdminRequest, MetricsReply};
use odeon_tests::stall::Stalls;

use super::exposition::Metrics;
use crate::host::{at, config, fault, load, state};
use crate::peer::Peer;

/// Whichever port is free.
fn anywhere() -> MetricsAddress {
    "127.0.0.1:0".parse().unwrap()
}

fn at_address(address: MetricsAddress) -> DaemonConfig {
    DaemonConfig {
        metrics: Some(address),
        ..config()
    }
}

async fn daemon(host: &Host) -> (Daemon, SocketAddr) {
    let daemon = serve(host.clone(), at_address(anywhere())).await.unwrap();
    let address = daemon.metrics().expect("metrics are served");
    (daemon, address)
}

/// What comes back for these bytes, up to the end of the connection, which has
/// to come.
async fn exchange(address: SocketAddr, request: impl Into<Vec<u8>>) -> String {
    let request = request.into();
    let exchanged = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // Whoever is refused early may not be read to the end.
        drop(stream.write_all(&request));
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        String::from_utf8(answer).unwrap()
    });
    exchanged.await.unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
}

#[track_caller]
fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    body
}

/// Enforced by `endpoint::answer` and the settings of its HTTP/1.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_metrics_and_nothing_else() {
    let folder = state();
    let host = at(folder.path());
    let (daemon, address) = daemon(&host).await;
    load(&host, "wat-version-one", "v").await;
    assert!(address.ip().is_loopback());
    let scraped = get(address, "/metrics").await;
    let metrics = Metrics::read(body(&scraped));
    assert_eq!(metrics.get("odeon_plugin_generation", &[("plugin", "v")]), 1.0);
    assert_eq!(metrics.get("odeon_connections", &[]), 0.0);
    // One request for each connection: there is none that idles.
    assert!(scraped.contains("connection: close"), "{scraped}");
    let twice = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2);
    let answer = exchange(address, twice).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");

    for path in ["/", "/metrics/", "/metrics/v", "/debug"] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    for method in ["POST", "HEAD", "DELETE", "OPTIONS"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        let answer = exchange(address, request).await;
        assert!(
            answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET"),
            "{answer}"
        );
    }
    let long = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65));
    for (what, request) in [("long", long), ("many", many)] {
        let answer = exchange(address, request).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{what}: {answer}");
    }
    for junk in [
        "GET\r\n\r\n",
        "\u{1}\u{2}\u{3}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = exchange(address, junk).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{junk:?}: {answer}");
    }

    // An operator is told the same.
    let mut peer = Peer::greeted(daemon.socket()).await;
    let reply: MetricsReply = peer.admin(&AdminRequest::Metrics {}).await.unwrap();
    let told = Metrics::read(&reply.text);
    assert_eq!(told.get("odeon_plugin_generation", &[("plugin", "v")]), 1.0);
    assert_eq!(told.get("odeon_connections", &[]), 1.0);
}

/// Enforced by `endpoint::bind` and `Endpoint::close`.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_said_and_one_that_was_used_is_free() {
    let folder = state();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = MetricsAddress::try_from(taken.local_addr().unwrap()).unwrap();
    let refused = fault(serve(at(folder.path()), at_address(address)).await.map(|_| ()));
    assert_eq!(refused.code, Code::WrongState);
    assert!(
        refused.message.contains(&address.to_string()),
        "{}",
        refused.message
    );
    drop(taken);

    // The same, at once, by one host after the other.
    for _ in 0..3 {
        let daemon = serve(at(folder.path()), at_address(address)).await.unwrap();
        assert_eq!(daemon.metrics(), Some(address.get()));
        let idle = TcpStream::connect(address.get()).unwrap();
        body(&get(address.get(), "/metrics").await);
        daemon.stop(Some(Duration::ZERO));
        daemon.stopped().await.unwrap();
        assert!(
            TcpStream::connect(address.get()).is_err(),
            "nobody listens any more"
        );
        drop(idle);
    }
}

/// As many as are served at a time, of whom none says what he wants, and one who
/// does not read: they are let go, nobody else waits for longer than that, and
/// calls do not wait at all. Enforced by `PATIENCE` and `MOST_PEERS`.
#[tokio::test(flavor = "multi_thread")]
async fn timed_slow_collectors_are_let_go_and_harm_nobody() {
    const MOST_PEERS: usize = 16;
    let folder = state();
    let host = at(folder.path());
    let (_daemon, address) = daemon(&host).await;
    load(&host, "wat-version-one", "v").await;
    // Fewer than that are in nobody's way.
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 1..MOST_PEERS {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").unwrap();
        slow.push(stream);
    }
    let stalls = Stalls::watch();
    let began = Instant::now();
    body(&get(address, "/metrics").await);
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(2), "{took:?}");
    slow.push(TcpStream::connect(address).unwrap());

    let waiting = tokio::spawn(async move { get(address, "/metrics").await });
    // Each of them goes on and on, a byte at a time.
    let mut dripping = slow
        .iter()
        .map(|stream| stream.try_clone().unwrap())
        .collect::<Vec<_>>();
    let dripped = tokio::task::spawn_blocking(move || {
        let end = Instant::now() + Duration::from_secs(30);
        while !dripping.is_empty() {
            assert!(Instant::now() < end, "{} are still there", dripping.len());
            dripping.retain_mut(|stream| stream.write_all(b"y").is_ok());
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut times = Vec::new();
    while !waiting.is_finished() {
        let called = Instant::now();
        host.call("v/answer", Args::Wave(""), CallOptions::default())
            .await
            .unwrap();
        times.push((called, Instant::now()));
    }
    assert!(!times.is_empty());
    for (called, answered) in times {
        let took = stalls.between(called, answered);
        assert!(took.own() < Duration::from_secs(1), "{took:?}");
    }
    // Whoever found no place was served when one of them had been let go.
    body(&waiting.await.unwrap());
    let gone = slow.iter_mut().any(|stream| {
        stream.set_nonblocking(true).unwrap();
        !matches!(stream.read(&mut [0; 1024]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
    assert!(gone, "one more than may be was served");
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(15), "{took:?}");
    dripped.await.unwrap();
}

/// Nobody is asked who he is there: enforced by `MetricsAddress::try_from`.
#[test]
fn metrics_are_served_on_this_machine_alone() {
    let parse = |address: &str| {
        let text = format!("[telemetry]\nmetrics = \"{address}\"\n");
        HostConfig::parse(&text, std::path::Path::new(""))
    };
    assert_eq!(
        parse("127.0.0.1:9464").unwrap().metrics.unwrap().to_string(),
        "127.0.0.1:9464"
    );
    for local in ["127.0.0.1:9464", "127.9.9.9:1", "[::1]:9464", "127.0.0.1:0"] {
        assert!(parse(local).is_ok(), "{local}");
    }
    for other in [
        "0.0.0.0:9464",
        "[::]:9464",
        "10.0.0.1:9464",
        "[::ffff:127.0.0.1]:9464",
        "localhost:9464",
        "127.0.0.1",
        "9464",
        "",
    ] {
        let error = parse(other).unwrap_err();
        for said in [
            "line 2",
            "telemetry.metrics",
            "127.0.0.1:9464",
            &format!("found {other:?}"),
        ] {
            assert!(error.contains(said), "{other}: {error}");
        }
    }
}
