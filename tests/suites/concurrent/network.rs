//! Sockets, names and requests of WASI 0.3, with a listener that must hear
//! nothing.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use odeon_authority::ByteSize;
use odeon_runtime::Runtime;
use odeon_tests::clock::until;
use odeon_tests::records::Records;
use odeon_tests::runtime::{Spec, spec};

use crate::GUEST;
use crate::harness::{OK, Server, Turning, Untouched, assert_denied, runtime, runtime_with, told};

const DENIED: &str = r#"err("access-denied")"#;

async fn attempt(runtime: &Runtime, spec: Spec, invocation: &str) -> (String, Arc<Records>) {
    let plugin = spec.load(runtime, GUEST).await;
    (told(&plugin, invocation).await, spec.records())
}

/// Falls with `Egress::permit_socket`, which is asked by `sockets/concurrent.rs`
/// before WASI's own code is reached and by `sockets::guard` behind it, with
/// `Egress::permit_request` and with the check in `Egress::lookup`.
#[tokio::test]
async fn nothing_is_reached_without_a_grant() {
    let listener = Untouched::new();
    let port = listener.port();
    for (invocation, kind) in [
        (format!(r#"sockets.tcp-connect("127.0.0.1", {port})"#), "tcp"),
        (
            format!(r#"sockets.tcp-connect("::ffff:127.0.0.1", {port})"#),
            "tcp",
        ),
        (format!(r#"sockets.tcp-connect("::1", {port})"#), "tcp"),
        (r#"sockets.tcp-bind("127.0.0.1", 0)"#.to_owned(), "listen"),
        (r#"sockets.tcp-listen(some("0.0.0.0"), 0)"#.to_owned(), "listen"),
        // A socket that was never bound is bound by listening.
        ("sockets.tcp-listen(none, 0)".to_owned(), "listen"),
        (r#"sockets.udp-bind("127.0.0.1", 0)"#.to_owned(), "listen"),
        (format!(r#"sockets.udp-send("127.0.0.1", {port}, [1])"#), "udp"),
        (format!(r#"sockets.udp-send-to("127.0.0.1", {port}, [1])"#), "udp"),
        (
            format!(r#"sockets.udp-send-to("::ffff:127.0.0.1", {port}, [1])"#),
            "udp",
        ),
        (r#"sockets.resolve("inside.test")"#.to_owned(), "dns"),
    ] {
        let names = runtime(&[("inside.test", "127.0.0.1")]);
        let (result, records) = attempt(&names, spec(), &invocation).await;
        assert_eq!(result, DENIED, "{invocation}");
        assert_denied(&records, kind, "");
    }
    let call = format!(r#"web.request("127.0.0.1:{port}", "/")"#);
    let (result, records) = attempt(&runtime(&[]), spec(), &call).await;
    assert_eq!(result, r#"err("HttpRequestDenied")"#);
    assert_denied(&records, "http", "127.0.0.1");
    listener.assert_untouched();
}

/// Falls with `PortRule::matches` and `Endpoint::opens`.
#[tokio::test]
async fn a_grant_for_one_place_is_none_for_another() {
    let (granted, listener) = (Untouched::new(), Untouched::new());
    let (own, other) = (granted.port(), listener.port());
    for (grant, invocation, kind, expected) in [
        (
            format!("tcp=127.0.0.1:{own}"),
            format!(r#"sockets.tcp-connect("127.0.0.1", {other})"#),
            "tcp",
            DENIED,
        ),
        (
            "tcp=*:*".to_owned(),
            format!(r#"sockets.tcp-connect("127.0.0.1", {other})"#),
            "tcp",
            DENIED,
        ),
        (
            format!("udp=127.0.0.1:{own}"),
            format!(r#"sockets.udp-send-to("127.0.0.1", {other}, [1])"#),
            "udp",
            DENIED,
        ),
        (
            format!("udp=127.0.0.1:{own}"),
            format!(r#"sockets.udp-send("127.0.0.1", {other}, [1])"#),
            "udp",
            DENIED,
        ),
        (
            format!("http=127.0.0.1:{own}"),
            format!(r#"web.request("127.0.0.1:{other}", "/")"#),
            "http",
            r#"err("HttpRequestDenied")"#,
        ),
    ] {
        let (result, records) = attempt(&runtime(&[]), spec().grant(&grant), &invocation).await;
        assert_eq!(result, expected, "{invocation}");
        assert_denied(&records, kind, &other.to_string());
    }
    listener.assert_untouched();
}

/// Falls with the filter in `Egress::lookup`.
#[tokio::test]
async fn a_granted_name_that_leads_inside_gives_no_address() {
    let listener = Untouched::new();
    let port = listener.port();
    let names = runtime(&[("inside.test", "127.0.0.1")]);
    let spec = || spec().grant(&format!("tcp=inside.test:{port}"));
    let (result, records) = attempt(&names, spec(), r#"sockets.resolve("inside.test")"#).await;
    assert_eq!(result, DENIED);
    assert_denied(&records, "dns", "inside.test (127.0.0.1)");
    let web = spec().grant(&format!("http=inside.test:{port}"));
    let call = format!(r#"web.request("inside.test:{port}", "/")"#);
    let (result, records) = attempt(&names, web, &call).await;
    assert!(result.starts_with("err("), "{result}");
    assert!(!records.denials().is_empty(), "{result}");
    listener.assert_untouched();
}

#[tokio::test]
async fn what_is_granted_is_reached() {
    let server = Server::echo();
    let port = server.port();
    let spec_tcp = spec().grant(&format!("tcp=127.0.0.1:{port}"));
    let call = format!(r#"sockets.tcp-exchange("127.0.0.1", {port}, [104, 105])"#);
    let (result, records) = attempt(&runtime(&[]), spec_tcp, &call).await;
    assert_eq!(result, "ok([104, 105])");
    assert_eq!(records.denials(), []);

    let server = Server::http(OK);
    let port = server.port();
    let spec_http = spec().grant(&format!("http=127.0.0.1:{port}"));
    let call = format!(r#"web.request("127.0.0.1:{port}", "/")"#);
    let (result, records) = attempt(&runtime(&[]), spec_http, &call).await;
    assert_eq!(result, "ok((200, [104, 101, 108, 108, 111]))");
    assert_eq!(records.denials(), []);

    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let spec_udp = spec().grant(&format!("udp=127.0.0.1:{port}"));
    for function in ["udp-send", "udp-send-to"] {
        let call = format!(r#"sockets.{function}("127.0.0.1", {port}, [7])"#);
        let (result, _) = attempt(&runtime(&[]), spec_udp.clone(), &call).await;
        assert_eq!(result, "ok", "{function}");
        assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 1);
    }

    let names = runtime_with(Turning::new(&["192.88.98.1"]));
    let spec_name = spec().grant("tcp=out.test:80");
    let (result, _) = attempt(&names, spec_name, r#"sockets.resolve("out.test")"#).await;
    assert_eq!(result, r#"ok(["192.88.98.1"])"#);
}

/// Falls with `Egress::charge` in `counted::Counter`: the limit itself
/// arrives, and the guest hears that the rest was denied.
#[tokio::test]
async fn one_byte_more_than_may_be_sent_is_not_sent() {
    const LIMIT: u32 = 64 << 10;
    for (bytes, outcome, denied) in [(LIMIT, "ok", 0), (LIMIT + 1, DENIED, 1), (4 * LIMIT, DENIED, 1)] {
        let (server, taken) = Server::sink();
        let port = server.port();
        let spec = spec()
            .grant(&format!("tcp=127.0.0.1:{port}"))
            .limits(|limits| limits.egress_bytes = ByteSize::kib(64));
        let call = format!(r#"sockets.tcp-send("127.0.0.1", {port}, {bytes})"#);
        let (result, records) = attempt(&runtime(&[]), spec, &call).await;
        assert_eq!(result, outcome, "{bytes}");
        assert_eq!(
            records.denials().len(),
            denied,
            "{bytes}: {:?}",
            records.denials()
        );
        let limit = LIMIT as usize;
        until("what may be sent arrives", Duration::from_secs(10), || {
            taken.load(Ordering::SeqCst) >= limit
        });
        assert_eq!(taken.load(Ordering::SeqCst), limit, "{bytes}");
    }
}

/// Falls with `Egress::charge` in the body's counting, and in `UdpSocket::send`.
#[tokio::test]
async fn bodies_and_datagrams_count_as_well() {
    let (server, taken) = Server::sink();
    let port = server.port();
    let spec_http = spec()
        .grant(&format!("http=127.0.0.1:{port}"))
        .limits(|limits| limits.egress_bytes = ByteSize::kib(64));
    let call = format!(r#"web.upload("127.0.0.1:{port}", "/", 1000000)"#);
    let (result, records) = attempt(&runtime(&[]), spec_http, &call).await;
    assert!(result.starts_with("err("), "{result}");
    assert_denied(&records, "http", "limits.egress-bytes");
    assert!(taken.load(Ordering::SeqCst) <= 64 << 10);

    let listener = Untouched::new();
    let port = listener.port();
    let spec_udp = spec()
        .grant(&format!("udp=127.0.0.1:{port}"))
        .limits(|limits| limits.egress_bytes = ByteSize::new(3));
    let call = format!(r#"sockets.udp-send-to("127.0.0.1", {port}, [1, 2, 3, 4])"#);
    let (result, records) = attempt(&runtime(&[]), spec_udp, &call).await;
    assert_eq!(result, DENIED);
    assert_denied(&records, "udp", "limits.egress-bytes");
    listener.assert_untouched();
}

/// Falls with `Sockets::slot` in `create`.
#[tokio::test]
async fn one_socket_more_than_may_be_open_is_not_made() {
    let spec = spec().limits(|limits| limits.connections = 3);
    let (result, records) = attempt(&runtime(&[]), spec, "sockets.many-sockets(10)").await;
    assert_eq!(result, r#"(3, "new-socket-limit")"#);
    assert_denied(&records, "tcp", "limits.connections");
}
