//! Requests over `wasi:http`.

use std::io::{Read as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use odeon_tests::runtime::{Spec, call, spec};

use crate::harness::{
    OK, Server, Turning, Untouched, assert_denied, attempt, load, runtime, runtime_of, runtime_with, told,
};

const PROHIBITED: &str = r#"err("DestinationIpProhibited")"#;
const DENIED: &str = r#"err("HttpRequestDenied")"#;
const HELLO: &str = r"ok({status: 200, body: [104, 101, 108, 108, 111]})";

fn get(authority: &str) -> String {
    format!(r#"request(false, "{authority}", "/")"#)
}

fn granted(port: u16) -> Spec {
    spec().grant(&format!("http=127.0.0.1:{port}"))
}

/// Whoever takes a connection and then says nothing of TLS is waited for as long
/// as the host does, however long the guest would, and no longer than the guest
/// wants. Its place is free then. Falls with `timeout` in `connect::open`, and
/// with `within` in `exchange`.
#[tokio::test]
async fn timed_a_server_that_accepts_and_says_nothing_is_not_waited_for() {
    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(3600);
    let late = r#"err("ConnectionTimeout")"#;
    let (server, taken) = Server::sink();
    let spec = granted(server.port()).limits(|limits| limits.connections = 1);
    let authority = format!("127.0.0.1:{}", server.port());
    let within = |time: Duration| format!("request-within(true, \"{authority}\", {})", time.as_millis());
    for (host, call) in [
        (SHORT, format!("request(true, \"{authority}\", \"/\")")),
        (SHORT, within(LONG)),
        (LONG, within(SHORT)),
    ] {
        let plugin = load(&runtime_of(host), &spec).await;
        for _ in 0..2 {
            let began = Instant::now();
            assert_eq!(told(&plugin, &call).await, late, "{call}");
            let took = began.elapsed();
            assert!(
                took >= SHORT && took < Duration::from_secs(10),
                "{call}: {took:?}"
            );
        }
    }
    server.assert_connections(6);
    assert!(taken.load(Ordering::SeqCst) > 0, "TLS was begun");
}

#[tokio::test]
async fn a_granted_address_and_a_granted_name_are_fetched_from() {
    let server = Server::http(OK);
    let port = server.port();
    let spec = granted(port).grant(&format!("http=inside.test:{port},private"));
    let records = spec.records();
    let runtime = runtime(&[("inside.test", "127.0.0.1")]);
    let plugin = load(&runtime, &spec).await;
    assert_eq!(told(&plugin, &get(&format!("127.0.0.1:{port}"))).await, HELLO);
    assert_eq!(told(&plugin, &get(&format!("inside.test:{port}"))).await, HELLO);
    assert_eq!(told(&plugin, &get(&format!("INSIDE.TEST:{port}"))).await, HELLO);
    assert_eq!(records.denials(), []);
    server.assert_connections(3);
}

/// Falls with `Egress::permit_request` in `exchange`; a name without a rule
/// is not looked up either.
#[tokio::test]
async fn a_host_that_is_not_granted_is_not_asked() {
    let listener = Untouched::new();
    let port = listener.port();
    let resolver = Turning::new(&["127.0.0.1"]);
    let runtime = runtime_with(resolver.clone());
    // Raw TCP is no grant for HTTP.
    let spec = spec()
        .grant("http=other.test:80")
        .grant(&format!("tcp=127.0.0.1:{port}"));
    let records = spec.records();
    let plugin = load(&runtime, &spec).await;
    for host in [
        "inside.test",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "localhost",
    ] {
        assert_eq!(
            told(&plugin, &get(&format!("{host}:{port}"))).await,
            DENIED,
            "{host}"
        );
        assert_denied(&records, "http", host.trim_matches(['[', ']']));
    }
    assert_eq!(resolver.asked(), 0);
    listener.assert_untouched();
}

/// Falls with `Endpoint::opens` for literals (`EgressPolicy::check_request`).
#[tokio::test]
async fn a_rule_for_every_host_does_not_open_literals_of_this_machine() {
    let listener = Untouched::new();
    let port = listener.port();
    let spec = spec().grant("http=*:*");
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
    ] {
        assert_eq!(
            told(&plugin, &get(&format!("{host}:{port}"))).await,
            DENIED,
            "{host}"
        );
    }
    listener.assert_untouched();
}

/// Falls with the filter of answers in `Egress::lookup`. The numbers are names
/// here, which a system's resolver would take for addresses.
#[tokio::test]
async fn a_granted_name_that_leads_inside_is_not_asked() {
    let listener = Untouched::new();
    let port = listener.port();
    let spec = spec().grant("http=*:*");
    let records = spec.records();
    let runtime = runtime(&[
        ("inside.test", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("six.test", "::ffff:127.0.0.1"),
    ]);
    let plugin = load(&runtime, &spec).await;
    for host in ["inside.test", "2130706433", "six.test"] {
        assert_eq!(
            told(&plugin, &get(&format!("{host}:{port}"))).await,
            PROHIBITED,
            "{host}"
        );
        assert_denied(&records, "http", &format!("{host} (127.0.0.1:{port})"));
    }
    listener.assert_untouched();
}

/// Falls with `connect::open` if it asked a resolver again: the address that
/// was checked is the one connected to.
#[tokio::test]
async fn an_answer_that_changes_after_the_check_changes_nothing() {
    let first = Server::http(OK);
    let port = first.port();
    let second = Server::start_at("127.0.0.2".parse().unwrap(), port, |_| {});
    let resolver = Turning::new(&["127.0.0.1", "127.0.0.2"]);
    let spec = spec().grant(&format!("http=turns.test:{port},private"));
    let (result, _) = attempt(
        &runtime_with(resolver.clone()),
        spec,
        &get(&format!("turns.test:{port}")),
    )
    .await;
    assert_eq!(result, HELLO);
    first.assert_connections(1);
    assert_eq!((resolver.asked(), second.connections()), (1, 0));
}

/// The same with a range that is denied: falls with the filter in `Egress::lookup`.
#[tokio::test]
async fn a_name_that_turns_inside_is_denied_from_then_on() {
    let listener = Untouched::new();
    let port = listener.port();
    let resolver = Turning::new(&["127.0.0.1"]);
    let spec = spec().resident().grant(&format!("http=turns.test:{port}"));
    let runtime = runtime_with(resolver.clone());
    let plugin = load(&runtime, &spec).await;
    for _ in 0..2 {
        assert_eq!(
            told(&plugin, &get(&format!("turns.test:{port}"))).await,
            PROHIBITED
        );
    }
    assert_eq!(resolver.asked(), 2);
    listener.assert_untouched();
}

/// Falls with `Egress::permit_request` in `exchange`: every hop asks anew, and
/// the host itself follows nothing.
#[tokio::test]
async fn a_redirect_leads_nowhere_that_is_not_granted() {
    let listener = Untouched::new();
    let target = format!("http://127.0.0.1:{}/", listener.port());
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::http(redirect);
    let authority = format!("127.0.0.1:{}", server.port());
    let spec = granted(server.port());
    let records = spec.records();
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    let answer = told(&plugin, &get(&authority)).await;
    assert!(
        answer.contains("status: 302") && answer.contains(&target),
        "{answer}"
    );
    assert_eq!(
        told(&plugin, &format!(r#"follow("{authority}", "/")"#)).await,
        DENIED
    );
    assert_denied(&records, "http", &format!("127.0.0.1:{}", listener.port()));
    listener.assert_untouched();
}

/// Falls with `target` in `exchange`, which takes an authority for what it is.
#[tokio::test]
async fn an_authority_cannot_be_two_things() {
    let (server, listener) = (Server::http(OK), Untouched::new());
    let (good, bad) = (server.port(), listener.port());
    let spec = granted(good);
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    for authority in [
        format!("127.0.0.1:{good}@127.0.0.1:{bad}"),
        format!("user@127.0.0.1:{good}"),
    ] {
        assert!(
            told(&plugin, &get(&authority)).await.starts_with("err("),
            "{authority}"
        );
    }
    let calls = [
        r#"request-nowhere("/")"#.to_owned(),
        format!(r#"request-scheme("ftp", "127.0.0.1:{good}", "/")"#),
        format!(r#"request-as("127.0.0.1:{good}", "/", "evil.test")"#),
        format!(r#"request-method("CONNECT", "127.0.0.1:{good}", "/")"#),
        format!(r#"request(false, "127.0.0.1:{good}", "http://127.0.0.1:{bad}/")"#),
    ];
    for call in calls {
        assert!(told(&plugin, &call).await.starts_with("err("), "{call}");
    }
    listener.assert_untouched();
    assert_eq!(server.connections(), 0);
}

/// TLS is spoken with the host's own roots: a server that speaks none, or
/// whose certificate nobody signed, is not talked to.
#[tokio::test]
async fn a_server_that_cannot_prove_itself_is_not_talked_to() {
    let server = Server::start(|mut stream| {
        // Whatever is said first is no answer to a greeting in TLS.
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(OK.as_bytes());
    });
    let port = server.port();
    let call = format!(r#"request(true, "127.0.0.1:{port}", "/")"#);
    let (result, _) = attempt(&runtime(&[]), granted(port), &call).await;
    assert_eq!(result, r#"err("TlsProtocolError")"#);
}

/// Falls with the call's deadline, which drops a request under way.
#[tokio::test]
async fn a_server_that_never_answers_ends_with_the_deadline() {
    let (server, _) = Server::sink();
    let spec = granted(server.port()).deadline(std::time::Duration::from_millis(200));
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    let fault = call(&plugin, &get(&format!("127.0.0.1:{}", server.port())))
        .await
        .unwrap_err();
    assert_eq!(fault.code, odeon_protocol::Code::DeadlineLimit);
    assert_eq!(plugin.stats().instances, 0);
}

/// The sample that people start from, through its own eyes.
#[tokio::test]
async fn the_sample_fetches_what_is_granted_and_hears_what_is_not() {
    let (server, listener) = (Server::http(OK), Untouched::new());
    let spec = granted(server.port());
    let runtime = runtime(&[]);
    let plugin = spec.load(&runtime, "sample-http-fetcher").await;
    let answer = told(
        &plugin,
        &format!(r#"fetch("http://127.0.0.1:{}/")"#, server.port()),
    )
    .await;
    assert!(answer.contains("status: 200"), "{answer}");
    let answer = told(
        &plugin,
        &format!(r#"fetch("http://127.0.0.1:{}/")"#, listener.port()),
    )
    .await;
    assert_eq!(answer, "err(denied)");
    listener.assert_untouched();
}
