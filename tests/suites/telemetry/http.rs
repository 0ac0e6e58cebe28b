//! Requests over HTTP.

use odeon::{ClientTrace, ListenerConfig, WebListener};
use odeon_tests::web::Client;

use crate::stage::{SAID, Stage, load, one};

async fn listen(stage: &Stage) -> WebListener {
    listen_as(stage, None).await
}

/// The same with this said about what clients say of traces.
async fn listen_as(stage: &Stage, trace: Option<ClientTrace>) -> WebListener {
    let config = ListenerConfig::plain("web".parse().unwrap(), "127.0.0.1:0".parse().unwrap());
    let mut config = config.unwrap();
    if let Some(trace) = trace {
        config = config.with_client_trace(trace);
    }
    let listener = stage.host.listen(&config).await.expect("a listener");
    let served = load("guest-web", "web").served_at("web/w".parse().unwrap());
    stage.host.load(served).await.expect("the guest loads");
    listener
}

async fn get(listener: &WebListener, path: &str, fields: &str) -> u16 {
    let mut client = Client::connect(listener.address()).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    client.send(request.as_bytes()).await.unwrap();
    client.answer().await.unwrap().status
}

/// Enforced by `Telemetry::http` and `WebEntry`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_over_http_is_a_span_with_its_status() {
    let stage = Stage::new(0.0).await;
    let listener = listen(&stage).await;
    let said = format!("Traceparent: {SAID}\r\n");
    assert_eq!(get(&listener, "/w/version?token=secretword", &said).await, 200);
    let spans = stage.spans().await;
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let http = one(&spans, "http", "web");
    let call = one(&spans, "call", "web");
    let parts: Vec<&str> = SAID.split('-').collect();
    assert_eq!(
        (http.trace.as_str(), http.parent.as_deref()),
        (parts[1], Some(parts[2]))
    );
    assert_eq!((&call.trace, call.parent.as_ref()), (&http.trace, Some(&http.id)));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/w"),
        ("http.response.status_code", "200"),
        ("odeon.listener", "web"),
        ("odeon.principal.kind", "web"),
    ] {
        assert_eq!(http.get(key), value, "{http:?}");
    }
    assert_eq!((http.kind, http.error.as_ref()), (2, None));
    assert_eq!(http.get("odeon.serial"), call.get("odeon.serial"));
    assert!(!http.get("odeon.serial").is_empty());
    // What a client writes is in none of it.
    let all = stage.collector.traces();
    assert!(!all.contains("secretword"), "{all}");
}

/// Enforced by `Desk::answer`: the host's own answers are traced like others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_no_plugin_answers_has_its_code() {
    let stage = Stage::new(1.0).await;
    let listener = listen(&stage).await;
    assert_eq!(get(&listener, "/nowhere", "").await, 404);
    let twice = format!("Traceparent: {SAID}\r\n").repeat(2);
    assert_eq!(get(&listener, "/w/version", &twice).await, 200);
    assert_eq!(
        get(&listener, "/w/version", "Traceparent: nonsense\r\n").await,
        200
    );
    let unsampled = format!("Traceparent: {}\r\n", SAID.replace("-01", "-00"));
    assert_eq!(get(&listener, "/w/version", &unsampled).await, 200);
    let spans = stage.spans().await;
    let refused = one(&spans, "http", "");
    assert_eq!(refused.get("http.response.status_code"), "404");
    assert_eq!(refused.error.as_deref(), Some("ODN-1001"));
    // Two begin traces of their own, and one is not recorded.
    let served: Vec<_> = spans
        .iter()
        .filter(|span| span.get("odeon.hop") == "http" && span.get("odeon.plugin") == "web")
        .collect();
    assert_eq!(served.len(), 2, "{spans:#?}");
    assert!(
        served
            .iter()
            .all(|span| span.parent.is_none() && !SAID.contains(&span.trace))
    );
}

/// Enforced by `Desk::answer`: neither who wants it traced nor who does not is
/// asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_listener_ignores_what_clients_say_of_traces_the_share_decides() {
    let unsampled = SAID.replace("-01", "-00");
    for (share, count) in [(0.0, 0), (1.0, 2)] {
        let stage = Stage::new(share).await;
        let listener = listen_as(&stage, Some(ClientTrace::Ignore)).await;
        for said in [SAID, &unsampled] {
            let field = format!("Traceparent: {said}\r\n");
            assert_eq!(get(&listener, "/w/version", &field).await, 200);
        }
        let spans = stage.spans().await;
        let https: Vec<_> = spans
            .iter()
            .filter(|span| span.get("odeon.hop") == "http")
            .collect();
        assert_eq!(https.len(), count, "{spans:#?}");
        assert!(
            https
                .iter()
                .all(|span| span.parent.is_none() && !SAID.contains(&span.trace))
        );
    }
}

/// Enforced by `Desk::answer`: its head is looked at first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_not_traced_because_it_says_so() {
    let stage = Stage::new(0.0).await;
    let listener = listen(&stage).await;
    for _ in 0..3 {
        let mut client = Client::connect(listener.address()).await;
        let hostless = format!("GET /w/version HTTP/1.1\r\nTraceparent: {SAID}\r\n\r\n");
        client.send(hostless.as_bytes()).await.unwrap();
        assert_eq!(client.answer().await.unwrap().status, 400);
    }
    assert_eq!(stage.spans().await.len(), 0);
}
