//! How much a guest may send, ask and hold open.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use odeon_authority::ByteSize;
use odeon_tests::guests;
use odeon_tests::runtime::{Spec, hits, spec};

use crate::harness::{OK, Server, Stuck, Turning, assert_denied, attempt, load, runtime, runtime_with, told};

fn tcp(port: u16) -> Spec {
    spec().grant(&format!("tcp=127.0.0.1:{port}"))
}

fn web(port: u16) -> Spec {
    spec().grant(&format!("http=127.0.0.1:{port}"))
}

/// The number in a guest's `{done: …, error: …}`.
fn done(stopped: &str) -> usize {
    let digits = stopped.split_once("done: ").unwrap().1.split(',').next().unwrap();
    digits.parse().unwrap()
}

/// Falls with `Slot::take`.
#[tokio::test]
async fn one_connection_more_than_may_be_open_is_not_opened() {
    let server = Server::echo();
    let spec = tcp(server.port()).limits(|limits| limits.connections = 3);
    let records = spec.records();
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    let flood = format!(r#"connect-forever("127.0.0.1", {})"#, server.port());
    for _ in 0..2 {
        // Those of the call before are gone with its instance.
        assert_eq!(
            told(&plugin, &flood).await,
            r#"{done: 3, error: "new-socket-limit"}"#
        );
    }
    assert_denied(&records, "tcp", "limits.connections");
    assert!(hits(&plugin, "connections") > 0);
    server.assert_connections(6);
    assert_eq!(
        told(&plugin, "sockets-forever()").await,
        r#"{done: 3, error: "new-socket-limit"}"#
    );
}

/// Falls with the count in `Slot::take` if it were one instance's own.
#[tokio::test]
async fn the_instances_of_a_plugin_share_its_connections() {
    let (server, _) = Server::sink();
    let spec = tcp(server.port()).limits(|limits| limits.connections = 1);
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    let waits = format!(r#"tcp-exchange("127.0.0.1", {}, [1])"#, server.port());
    let connects = format!(r#"tcp-connect("127.0.0.1", {})"#, server.port());
    let second = async {
        while server.connections() == 0 {
            tokio::task::yield_now().await;
        }
        told(&plugin, &connects).await
    };
    tokio::select! {
        result = told(&plugin, &waits) => panic!("a server that says nothing was heard: {result}"),
        result = second => assert_eq!(result, r#"err("new-socket-limit")"#),
    }
}

/// Falls with `Egress::open` in `exchange`.
#[tokio::test]
async fn one_request_more_than_may_be_under_way_is_not_sent() {
    let server = Server::start(|stream| {
        // Answers with a body that does not end, and keeps the connection.
        crate::harness::answer(
            stream.try_clone().unwrap(),
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        );
        std::thread::park();
        drop(stream);
    });
    let port = server.port();
    let spec = web(port).limits(|limits| limits.connections = 2);
    let records = spec.records();
    let flood = format!(r#"requests-forever("127.0.0.1:{port}", "/")"#);
    let (result, _) = attempt(&runtime(&[]), spec, &flood).await;
    assert_eq!(result, r#"{done: 2, error: "ConnectionLimitReached"}"#);
    assert_denied(&records, "http", "limits.connections");
    server.assert_connections(2);
}

/// Falls with `Egress::charge` in `MeteredOutput::write`.
#[tokio::test]
async fn one_byte_more_than_may_be_sent_is_not_sent_over_tcp() {
    const LIMIT: usize = 64 << 10;
    for (chunk, sent) in [(4096, LIMIT), (1000, LIMIT / 1000 * 1000)] {
        let (server, taken) = Server::sink();
        let spec = tcp(server.port())
            .resident()
            .limits(|limits| limits.egress_bytes = ByteSize::kib(64));
        let records = spec.records();
        let runtime = runtime(&[]);
        let plugin = load(&runtime, &spec).await;
        let call = format!(r#"send-forever("127.0.0.1", {}, {chunk})"#, server.port());
        let stopped = told(&plugin, &call).await;
        assert_eq!(done(&stopped), sent, "{stopped}");
        assert!(stopped.contains("limits.egress-bytes"), "{stopped}");
        assert_denied(&records, "tcp", "limits.egress-bytes");
        assert!(hits(&plugin, "egress-bytes") > 0);
        // The next call has its own.
        assert_eq!(done(&told(&plugin, &call).await), sent);
        assert_eq!(records.denials().len(), 2);
        drop(plugin);
        assert!(taken.load(Ordering::SeqCst) <= 2 * sent);
    }
}

/// Falls with `Egress::charge` in `udp::send`.
#[tokio::test]
async fn one_datagram_more_than_may_be_sent_is_not_sent() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = receiver.local_addr().unwrap().port();
    let spec = spec().grant(&format!("udp=127.0.0.1:{port}")).limits(|limits| {
        limits.egress_bytes = ByteSize::kib(1);
    });
    let call = format!(r#"datagrams-forever("127.0.0.1", {port}, 256)"#);
    let (result, records) = attempt(&runtime(&[]), spec, &call).await;
    assert_eq!(result, r#"{done: 1024, error: "access-denied"}"#);
    assert_denied(&records, "udp", "limits.egress-bytes");
    receiver.set_nonblocking(true).unwrap();
    assert_eq!(
        std::iter::from_fn(|| receiver.recv(&mut [0; 512]).ok()).sum::<usize>(),
        1024
    );
}

/// Falls with `Egress::charge` in `Metered::poll_write`.
#[tokio::test]
async fn a_request_body_is_cut_off_at_the_limit() {
    let (server, taken) = Server::sink();
    let port = server.port();
    let spec = web(port).limits(|limits| limits.egress_bytes = ByteSize::kib(64));
    let call = format!(r#"upload-forever("127.0.0.1:{port}", "/", 4096)"#);
    let (result, records) = attempt(&runtime(&[]), spec, &call).await;
    assert!(
        !result.contains("done: 0,") && result.contains("error: \"closed\""),
        "{result}"
    );
    assert_denied(&records, "http", "limits.egress-bytes");
    assert!(taken.load(Ordering::SeqCst) <= 64 << 10, "{result}");
}

/// Falls with `Egress::charge_query`.
#[tokio::test]
async fn one_lookup_more_than_may_be_made_is_not_made() {
    let resolver = Turning::new(&["192.88.98.1"]);
    let spec = spec()
        .grant("tcp=*.flood.test:80")
        .limits(|limits| limits.dns_queries = 5);
    let runtime = runtime_with(resolver.clone());
    let records = spec.records();
    let plugin = load(&runtime, &spec).await;
    let result = told(&plugin, r#"resolve-again("flood.test", 8)"#).await;
    assert_eq!(result, r#"[("ok", 5), ("permanent-resolver-failure", 3)]"#);
    assert_eq!(hits(&plugin, "dns-queries"), 3);
    assert_eq!(resolver.asked(), 5);
    assert_eq!(records.denials().len(), 1);
    assert_denied(&records, "dns", "limits.dns-queries");
}

/// Falls with the first `header_bytes` in `exchange`.
#[tokio::test]
async fn one_header_byte_more_than_may_be_sent_is_not_sent() {
    let server = Server::http(OK);
    let authority = format!("127.0.0.1:{}", server.port());
    // The header that names the host is counted too.
    let fixed = "host".len() + authority.len() + "x-0".len();
    let spec = web(server.port()).limits(|limits| limits.header_bytes = ByteSize::kib(4));
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    let fits = 4096 - fixed;
    let call = |bytes: usize| format!(r#"request-headers("{authority}", 1, {bytes})"#);
    assert!(told(&plugin, &call(fits)).await.starts_with("ok("));
    assert_eq!(
        told(&plugin, &call(fits + 1)).await,
        r#"err("HttpRequestHeaderSectionSize")"#
    );
    assert_eq!(hits(&plugin, "header-bytes"), 1);
    server.assert_connections(1);
}

/// Falls with the second `header_bytes` in `exchange`.
#[tokio::test]
async fn one_header_byte_more_than_may_come_back_is_refused() {
    let limit = 16 << 10;
    let fixed = "content-length0x-big".len();
    for (extra, good) in [(0, true), (1, false), (1 << 20, false)] {
        let value = "v".repeat(limit - fixed + extra);
        let server = Server::http(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-big: {value}\r\n\r\n"
        ));
        let spec = web(server.port()).limits(|limits| limits.header_bytes = ByteSize::kib(16));
        let call = format!(r#"request(false, "127.0.0.1:{}", "/")"#, server.port());
        let runtime = runtime(&[]);
        let plugin = load(&runtime, &spec).await;
        let result = told(&plugin, &call).await;
        match good {
            true => assert!(result.starts_with("ok("), "{extra}: {result:.200}"),
            false => assert_eq!(result, r#"err("HttpResponseHeaderSectionSize")"#, "{extra}"),
        }
        assert_eq!(hits(&plugin, "header-bytes"), u64::from(!good), "{extra}");
    }
}

/// Falls with the `header_bytes` in `ResponseBody::poll_frame`.
#[tokio::test]
async fn one_byte_more_of_trailers_than_may_come_back_is_refused() {
    for (extra, good) in [(0, true), (1, false)] {
        let value = "v".repeat(4096 - "x-big".len() + extra);
        let server = Server::http(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-big: {value}\r\n\r\n"
        ));
        let spec = web(server.port()).limits(|limits| limits.header_bytes = ByteSize::kib(4));
        let call = format!(r#"request(false, "127.0.0.1:{}", "/")"#, server.port());
        let runtime = runtime(&[]);
        let plugin = load(&runtime, &spec).await;
        let result = told(&plugin, &call).await;
        assert!(!good || result.starts_with("ok("), "{result:.200}");
        assert_eq!(hits(&plugin, "header-bytes"), u64::from(!good), "{extra}");
    }
}

/// Falls with the place in `accept` of `sockets/tcp.rs`: whoever comes takes one.
#[tokio::test]
async fn one_connection_more_than_may_be_open_is_not_accepted() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let spec = spec()
        .grant(&format!("listen=127.0.0.1:{port}"))
        .limits(|limits| limits.connections = 4);
    let records = spec.records();
    thread::spawn(move || {
        let mut kept = Vec::new();
        // Nobody listens at first, and never if the guest fails.
        let until = Instant::now() + Duration::from_secs(30);
        while kept.len() < 8 && Instant::now() < until {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => kept.push(stream),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        thread::park();
    });
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    // The socket that listens has one of the four.
    assert_eq!(
        told(&plugin, &format!(r#"accept-forever("127.0.0.1", {port})"#)).await,
        r#"{done: 3, error: "new-socket-limit"}"#
    );
    assert_denied(&records, "tcp", "limits.connections");
}

/// Falls with the place in `counted::outcome`: of WASI 0.3, streams outlive
/// the socket they came from, and so does its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_0_3_keeps_the_place_of_its_socket() {
    let (server, _) = Server::sink();
    let spec = tcp(server.port()).limits(|limits| limits.connections = 3);
    let component = guests::bytes("wat-streams");
    let plugin = spec.prepare(&runtime(&[]), &component).await.expect("it links");
    let call = format!("connect-and-keep({}, 10)", server.port());
    assert_eq!(told(&plugin, &call).await, "3");
    // A stream that is dropped gives the place back when the engine has let go
    // of the connection. Whoever waits for the stream's end knows; whoever does
    // not and never waits for anything else may find no place, as a connection
    // that is there at once makes nobody wait.
    for _ in 0..20 {
        let call = format!("connect-and-wait({}, 10)", server.port());
        assert_eq!(told(&plugin, &call).await, "10");
    }
}

/// Falls with the place that goes into `Resolver::lookup`: a lookup that the
/// guest has given up is at work all the same.
#[tokio::test]
async fn a_lookup_that_is_given_up_keeps_its_place() {
    let resolver = Arc::new(Stuck::default());
    let spec = spec()
        .grant("tcp=*.slow.test:80")
        .limits(|limits| limits.connections = 4);
    let runtime = runtime_with(resolver.clone());
    let plugin = load(&runtime, &spec).await;
    let call = r#"resolve-and-leave("slow.test", 6)"#;
    assert_eq!(
        told(&plugin, call).await,
        r#"[("new-socket-limit", 2), ("would-block", 4)]"#
    );
    // The call is over, the lookups are not.
    assert_eq!(told(&plugin, call).await, r#"[("new-socket-limit", 6)]"#);
    assert_eq!(resolver.asked(), 4);
    resolver.give_back();
    assert!(told(&plugin, call).await.contains(r#"("would-block", 4)"#));
}

/// Falls with the permit in `Network::resolve`, which all plugins share.
#[tokio::test]
async fn the_host_makes_so_many_lookups_at_a_time() {
    let resolver = Arc::new(Stuck::default());
    let spec = spec()
        .grant("tcp=*.slow.test:80")
        .limits(|limits| limits.connections = 100);
    let runtime = runtime_with(resolver.clone());
    let plugin = load(&runtime, &spec).await;
    told(&plugin, r#"resolve-and-leave("slow.test", 60)"#).await;
    assert_eq!(resolver.asked(), 32);
}
