//! What a request is for a plugin, and its response for a client.

use odeon_tests::web::{Client, chunk};

use crate::stage::{Stage, served};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_answers_at_its_path() {
    let stage = Stage::new().await;
    let request = served("sample-web-hello", "hello", "/hello");
    stage.host.load(request).await.expect("the sample loads");
    let mut client = stage.client().await;
    let answer = client.get("/hello?Ann").await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "Hello, Ann!\n"));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    // The same connection, and a body that is answered with itself.
    let sent = vec![b'y'; 100_000];
    let answer = client.post("/hello", &sent).await.unwrap();
    assert_eq!((answer.status, answer.body == sent), (200, true));
    client
        .send(b"HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(client.head_answer().await.unwrap().status, 200);
    assert_eq!(client.get("/hello").await.unwrap().text(), "Hello, world!\n");
    let refused = client.send(b"PUT /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    refused.await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 405);
}

/// Enforced by `FieldMap::new_immutable`, which leaves out what is the
/// connection's and not the request's, and by `Desk::new`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_carries_what_is_its_own_and_comes_from_its_listener() {
    let stage = Stage::new().await;
    let answer = stage
        .raw(
            b"GET /w/fields HTTP/1.1\r\nHost: example.org:8080\r\nX-One: 1\r\nTraceparent: \
              00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nConnection: keep-alive\r\n\r\n",
        )
        .await;
    let text = answer.text();
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "x-one: 1",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "authority: example.org:8080",
        "scheme: Some(Scheme::Http)",
    ] {
        assert!(lines.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("connection:"), "{text}");
    assert_eq!(stage.get("/w/who").await.text(), "web:web");
    assert_eq!(stage.get("/w/path?a=b").await.text(), "/w/path?a=b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_both_kinds_go_both_ways_on_one_connection() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    for round in 0_usize..20 {
        let piece = vec![b'a' + (round % 26) as u8; round * 700 + 1];
        let answer = client
            .post_pieces("/w/echo", &[&piece, b"-", &piece])
            .await
            .unwrap();
        assert_eq!(answer.body, [&piece[..], b"-", &piece].concat());
        let answer = client.post("/w/echo", &piece).await.unwrap();
        assert_eq!(answer.body, piece);
        // A body that nobody reads stands in nobody's way. It is sent at once: the
        // connection may end with the answer.
        let unread = b"POST /w/version HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                       6\r\nunread\r\n0\r\n\r\n";
        assert_eq!(stage.raw(unread).await.text(), "answered by version 1");
    }
    stage.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_goes_through_while_it_is_sent() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client
        .send(b"POST /w/echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    client.send(&chunk(b"first")).await.unwrap();
    // What was sent first is there before there is more.
    let mut seen = Vec::new();
    while !seen.windows(5).any(|bytes| bytes == b"first") {
        let mut piece = [0; 256];
        client.stream().readable().await.unwrap();
        if let Ok(read) = client.stream().try_read(&mut piece) {
            assert_ne!(read, 0, "the connection ended");
            seen.extend_from_slice(&piece[..read]);
        }
    }
    client.send(&chunk(b"second")).await.unwrap();
    client.send(b"0\r\n\r\n").await.unwrap();
    stage.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_and_statuses_are_passed_on() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client
        .send(b"GET /w/trailers HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n")
        .await
        .unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.body, b"xxx");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "3".to_owned())]);
    for status in [200, 204, 301, 404, 418, 503] {
        assert_eq!(
            client.get(&format!("/w/status?{status}")).await.unwrap().status,
            status
        );
    }
    stage.quiet().await;
}

/// Enforced by `Desk::ask`, which takes every request as a call is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_on_the_books() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client.get("/w/version").await.unwrap();
    client.get("/w/trap").await.unwrap();
    stage.quiet().await;
    let row = stage.host.list().remove(0);
    assert_eq!(
        (row.calls, row.faults, row.http.as_deref()),
        (2, 1, Some("web/w"))
    );
    let totals = stage.host.totals();
    assert_eq!((totals.succeeded, totals.failed), (1, 1));
    let listener = stage.host.status().listeners.remove(0);
    assert_eq!(
        (listener.name.as_str(), listener.tls, listener.connections),
        ("web", false, 1)
    );
    let metrics = stage.host.metrics();
    for line in [
        "odeon_http_connections{listener=\"web\"} 1",
        "odeon_http_responses_total{listener=\"web\",status=\"2xx\"} 1",
        "odeon_http_responses_total{listener=\"web\",status=\"5xx\"} 1",
        "odeon_plugin_calls_total{plugin=\"web\"} 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    // One that runs can be seen, and cancelled.
    client
        .send(b"GET /w/sleep HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    let serial = loop {
        if let Some(open) = stage
            .host
            .status()
            .in_flight
            .into_iter()
            .find(|row| row.state == "running")
        {
            assert_eq!(
                (open.method.as_str(), open.principal.as_str()),
                ("web/handle", "web:web")
            );
            break open.serial;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    };
    stage.host.cancel(&serial).unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "ODN-1009"));
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resident_plugin_answers_with_the_instance_it_keeps() {
    let stage = Stage::empty(crate::stage::builder()).await;
    let mut request = served("guest-web", "web", "/w");
    request.placing.instance = Some(odeon_authority::InstanceMode::Resident);
    stage.host.load(request).await.unwrap();
    let mut client = Client::connect(stage.address()).await;
    for _ in 0..50 {
        assert_eq!(client.get("/w/lines?3").await.unwrap().status, 200);
    }
    assert_eq!(stage.host.list().remove(0).instances, 1);
}
