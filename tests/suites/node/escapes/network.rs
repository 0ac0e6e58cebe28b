//! Out to the network, by WASI 0.2 and 0.3.

use std::path::Path;
use std::sync::Arc;

use odeon::{Args, CallOptions, Host, LimitsPatch, Resolver, StaticResolver};

use super::{all_denied, row};
use crate::harness::{Server, Turning, Untouched};
use crate::host::{builder, load_with, state};

/// A host in this folder that looks names up here, with this guest.
async fn escaping(folder: &Path, names: Arc<dyn Resolver>, guest: &str, grants: &[&str]) -> Host {
    let host = builder().state_dir(folder).resolver(names).start().unwrap();
    load_with(&host, guest, "escapes", grants, LimitsPatch::default()).await;
    host
}

/// Falls with `Egress::permit_socket`, `Egress::permit_request`, the filter in
/// `Egress::lookup` and, for the lines of the audit, with `Recorder::denied`.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_the_network_is_denied_and_in_the_audit() {
    let listener = Untouched::new();
    let port = listener.port();
    let target = format!("http://127.0.0.1:{port}/");
    let redirects = Server::http(format!(
        "HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
    ));
    let grants = [
        format!("http=127.0.0.1:{}", redirects.port()),
        format!("http=inside.test:{port}"),
        format!("tcp=inside.test:{port}"),
        "tcp=*:*".to_owned(),
    ];
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    let names = StaticResolver::new([("inside.test".to_owned(), vec!["127.0.0.1".parse().unwrap()])]);
    let at = format!("127.0.0.1:{port}");
    // It was free a moment ago.
    let free = Untouched::new().port();
    let rows = [
        // A host that is not granted, by name and by address.
        row(
            format!(r#"web.request(false, "denied.test:{port}", "/")"#),
            "HttpRequestDenied",
            "http",
            "denied.test",
        ),
        row(
            format!(r#"web.request(false, "{at}", "/")"#),
            "HttpRequestDenied",
            "http",
            at.clone(),
        ),
        row(
            format!(r#"web.request(false, "[::ffff:127.0.0.1]:{port}", "/")"#),
            "HttpRequestDenied",
            "http",
            "::ffff:127.0.0.1",
        ),
        // A granted name that leads inside.
        row(
            format!(r#"web.request(false, "inside.test:{port}", "/")"#),
            "DestinationIpProhibited",
            "http",
            "inside.test",
        ),
        row(
            r#"sockets.resolve("inside.test")"#,
            "access-denied",
            "dns",
            "inside.test (127.0.0.1)",
        ),
        // A redirect from a granted host.
        row(
            format!(r#"web.follow("127.0.0.1:{}", "/")"#, redirects.port()),
            "HttpRequestDenied",
            "http",
            at.clone(),
        ),
        // Raw sockets; "everything" is the Internet and not this machine.
        row(
            format!(r#"sockets.tcp-connect("127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            at.clone(),
        ),
        row(
            format!(r#"sockets.tcp-connect("::ffff:127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            "::ffff:127.0.0.1",
        ),
        row(
            r#"sockets.tcp-connect("169.254.169.254", 80)"#,
            "access-denied",
            "tcp",
            "169.254.169.254",
        ),
        row(
            format!(r#"sockets.udp-send("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            "0.0.0.0:0",
        ),
        row(
            format!(r#"sockets.udp-send-to("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            "0.0.0.0:0",
        ),
        row(
            format!(r#"sockets.tcp-listen("127.0.0.1", {free})"#),
            "access-denied",
            "listen",
            format!("127.0.0.1:{free}"),
        ),
        row(
            format!(r#"sockets.udp-bind("127.0.0.1", {free})"#),
            "access-denied",
            "listen",
            format!("127.0.0.1:{free}"),
        ),
    ];
    let folder = state();
    let host = escaping(folder.path(), Arc::new(names), "guest-egress", &grants).await;
    all_denied(folder.path(), &host, "escapes", &rows).await;
    listener.assert_untouched();
    // The one that was granted was asked, and by nobody else.
    redirects.assert_connections(1);
}

/// The same of WASI 0.3.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_0_3_to_the_network_is_denied_and_in_the_audit() {
    let listener = Untouched::new();
    let port = listener.port();
    let at = format!("127.0.0.1:{port}");
    let rows = [
        row(
            format!(r#"web.request("{at}", "/")"#),
            "HttpRequestDenied",
            "http",
            at.clone(),
        ),
        row(
            format!(r#"sockets.tcp-connect("127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            at.clone(),
        ),
        row(
            format!(r#"sockets.tcp-connect("::ffff:127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            "::ffff:127.0.0.1",
        ),
        row(
            format!(r#"sockets.udp-send("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            at.clone(),
        ),
        row(
            format!(r#"sockets.udp-send-to("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            at.clone(),
        ),
        row(
            r#"sockets.tcp-listen(some("0.0.0.0"), 0)"#,
            "access-denied",
            "listen",
            "0.0.0.0:0",
        ),
        row(
            r#"sockets.udp-bind("127.0.0.1", 0)"#,
            "access-denied",
            "listen",
            "127.0.0.1:0",
        ),
        row(
            r#"sockets.resolve("inside.test")"#,
            "access-denied",
            "dns",
            "inside.test",
        ),
    ];
    let folder = state();
    let names = StaticResolver::new([("inside.test".to_owned(), vec!["127.0.0.1".parse().unwrap()])]);
    let host = escaping(folder.path(), Arc::new(names), "guest-concurrent", &["tcp=*:*"]).await;
    all_denied(folder.path(), &host, "escapes", &rows).await;
    listener.assert_untouched();
}

/// An answer that turns inside after it was checked. Falls with the filter in
/// `Egress::lookup`.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_whose_answer_changes_reaches_nobody_and_is_in_the_audit() {
    let listener = Untouched::new();
    let port = listener.port();
    let names = Turning::new(&["192.88.98.1", "127.0.0.1"]);
    let folder = state();
    let grant = format!("tcp=turns.test:{port}");
    let host = escaping(folder.path(), names.clone(), "guest-egress", &[&grant]).await;
    let first = host.call(
        "escapes/sockets.resolve",
        Args::Wave("\"turns.test\""),
        CallOptions::default(),
    );
    assert_eq!(first.await.unwrap().wave().unwrap(), r#"ok(["192.88.98.1"])"#);
    let rows = [
        // A question alone carries data out.
        row(
            r#"sockets.resolve("secret.evil.test")"#,
            "access-denied",
            "dns",
            "secret.evil.test",
        ),
        row(
            format!(r#"sockets.resolve-and-connect("turns.test", {port})"#),
            "access-denied",
            "dns",
            "turns.test (127.0.0.1)",
        ),
        row(
            format!(r#"sockets.tcp-connect("127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            format!("127.0.0.1:{port}"),
        ),
    ];
    all_denied(folder.path(), &host, "escapes", &rows).await;
    assert_eq!(names.asked(), 2);
    listener.assert_untouched();
}
