//! Clients that send what is no request.

use std::time::Duration;

use crate::stage::Stage;

/// Enforced by `head::check`: the HTTP library would go by the coding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lengths_for_one_body_are_refused() {
    let stage = Stage::new().await;
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding: chunked\r\ncONTENT-lENGTH: 0\r\n",
        // A body that looks like the head of the next request.
        "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST /w/length HTTP/1.1\r\nHost: test\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
    ] {
        let head = format!("POST /w/length HTTP/1.1\r\nHost: test\r\n{fields}\r\n0\r\n\r\n");
        let mut client = stage.client().await;
        client.send(head.as_bytes()).await.unwrap();
        assert_eq!(client.answer().await.unwrap().status, 400, "{fields}");
        // Nothing that follows is taken for a request.
        assert_eq!(client.closed().await.unwrap(), b"", "{fields}");
    }
    assert_eq!(stage.host.list().remove(0).calls, 0);
    stage.works().await;
}

/// Enforced by `head::check`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_upgraded_and_nothing_has_no_host() {
    let stage = Stage::new().await;
    for (head, status) in [
        (
            "GET /w/version HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            501,
        ),
        (
            "GET /w/version HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            501,
        ),
        ("CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n", 501),
        ("GET /w/version HTTP/1.1\r\n\r\n", 400),
        ("GET /w/version HTTP/1.0\r\n\r\n", 400),
        ("GET /w/version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /w/version HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    ] {
        assert_eq!(stage.raw(head.as_bytes()).await.status, status, "{head}");
    }
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_is_refused_and_harms_nobody() {
    let stage = Stage::new().await;
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03junk\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /w/version HTTP/9.9\r\nHost: test\r\n\r\n",
        b"GET /w/version HTTP/1.1\r\nHost: test\r\nno colon\r\n\r\n",
        b"GET /w/version HTTP/1.1\r\nHost: test\r\nX\x00Y: z\r\n\r\n",
        b"GET /w/version HTTP/1.1\r\nHost: test\r\nX: a\r\n b\r\n\r\n",
        b"\x00\x00\x00\x00\r\n\r\n\r\n\r\n",
    ] {
        let mut client = stage.client().await;
        client.send(junk).await.unwrap();
        let said = client.closed().await.unwrap();
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1.1 4") || said.starts_with(b"HTTP/1.0 4"),
            "{said:?}"
        );
    }
    assert_eq!(stage.host.list().remove(0).calls, 0);
    stage.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_sent_at_once_are_answered_in_turn_and_junk_ends_that() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    let mut sent = String::new();
    for number in 0..50 {
        sent.push_str(&format!("GET /w/path?{number} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    sent.push_str("this is no request\r\n\r\nGET /w/trap HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send(sent.as_bytes()).await.unwrap();
    for number in 0..50 {
        assert_eq!(client.answer().await.unwrap().text(), format!("/w/path?{number}"));
    }
    assert_eq!(client.answer().await.unwrap().status, 400);
    assert_eq!(client.closed().await.unwrap(), b"");
    stage.quiet().await;
    let row = stage.host.list().remove(0);
    assert_eq!((row.calls, row.faults), (50, 0));
    assert!(row.instances <= 1, "one at a time");
}

/// A flood of requests from many connections that nobody waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_abandoned_requests_leaves_nothing_behind() {
    let stage = Stage::new().await;
    for _ in 0..10 {
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = stage.client().await;
            client
                .send(b"GET /w/sleep HTTP/1.1\r\nHost: test\r\n\r\n")
                .await
                .unwrap();
            clients.push(client);
        }
        drop(clients);
    }
    stage.quiet().await;
    crate::stage::soon("no connection is left", || {
        stage
            .host
            .status()
            .listeners
            .iter()
            .all(|row| row.connections == 0)
    })
    .await;
    tokio::time::timeout(Duration::from_secs(5), stage.works())
        .await
        .expect("it works");
}
