//! The limits of what comes in.

use odeon::{HostLimits, LimitsPatch};
use odeon_authority::ByteSize;
use odeon_tests::web::chunk;

use crate::stage::Stage;

fn small() -> LimitsPatch {
    LimitsPatch {
        http_body: Some(ByteSize::kib(8)),
        header_bytes: Some(ByteSize::kib(1)),
        ..LimitsPatch::default()
    }
}

/// Enforced by `within_limits`, before a guest is asked, and by `LimitedBody`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_more_of_a_body_than_may_come_in_is_refused() {
    let stage = Stage::with(HostLimits::default(), small()).await;
    let body = vec![b'x'; 8 << 10];
    let mut client = stage.client().await;
    assert_eq!(client.post("/w/length", &body).await.unwrap().text(), "8192");
    assert_eq!(
        client.post_pieces("/w/length", &[&body]).await.unwrap().text(),
        "8192"
    );
    // A call is counted when it has left, which may be after its answer.
    stage.quiet().await;
    let calls = stage.host.list().remove(0).calls;
    let answer = stage
        .raw(b"POST /w/length HTTP/1.1\r\nHost: test\r\nContent-Length: 8193\r\n\r\n")
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.closes()),
        (413, "ODN-1014", true)
    );
    assert_eq!(stage.host.list().remove(0).calls, calls, "nobody was asked");
    assert_eq!(stage.hits("http-body"), 1);
    // Of a body without a length it is seen when it is there.
    let answer = client.post_pieces("/w/length", &[&body, b"x"]).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (413, "ODN-1014"));
    assert_eq!(stage.hits("http-body"), 2);
    stage.quiet().await;
    stage.works().await;
}

/// Enforced by `LimitedBody`, whoever says what of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_takes_a_body_that_is_too_long_gets_no_more_of_it() {
    let stage = Stage::with(HostLimits::default(), small()).await;
    let mut client = stage.client().await;
    client
        .send(b"POST /w/lie HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    // As much as the connection takes, which is not for ever.
    let piece = chunk(&[b'x'; 64 << 10]);
    for _ in 0..1_000 {
        if client.send(&piece).await.is_err() {
            break;
        }
    }
    stage.quiet().await;
    assert_eq!(stage.hits("http-body"), 1);
    stage.works().await;
}

/// Enforced by `within_limits`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_header_byte_more_than_may_come_in_is_refused() {
    let stage = Stage::with(HostLimits::default(), small()).await;
    // `host` and `test` are eight, `x` is one.
    for (length, status) in [(1024 - 9, 200), (1024 - 8, 431)] {
        let head = format!(
            "GET /w/version HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
            "x".repeat(length)
        );
        assert_eq!(stage.raw(head.as_bytes()).await.status, status, "{length}");
    }
    assert_eq!(stage.hits("header-bytes"), 1);
}

/// Enforced by `LimitedBody::take`: what stands behind a body has the limit of
/// what stands before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_more_of_trailers_than_may_come_in_is_refused() {
    let stage = Stage::with(HostLimits::default(), small()).await;
    for (length, status) in [(1023, 200), (1024, 431)] {
        let mut client = stage.client().await;
        let request = format!(
            "POST /w/length HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nx: {}\r\n\r\n",
            "y".repeat(length)
        );
        client.send(request.as_bytes()).await.unwrap();
        assert_eq!(client.answer().await.unwrap().status, status, "{length}");
    }
    assert_eq!(stage.hits("header-bytes"), 1);
    stage.works().await;
}

/// Enforced by `max_buf_size` and `max_headers` of `connection`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_long_and_have_fields_up_to_a_limit() {
    let limits = LimitsPatch {
        header_bytes: Some(ByteSize::mib(1)),
        ..LimitsPatch::default()
    };
    let stage = Stage::with(HostLimits::default(), limits).await;
    let fields = |count: usize| {
        let fields: String = (0..count).map(|number| format!("X-{number}: y\r\n")).collect();
        format!("GET /w/version HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
    };
    let long = |length: usize| {
        format!(
            "GET /w/version HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
            "y".repeat(length)
        )
    };
    for (head, status) in [
        (fields(99), 200),
        (fields(100), 431),
        (long(32 << 10), 200),
        (long(200 << 10), 431),
        (
            format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "w".repeat(200 << 10)),
            431,
        ),
    ] {
        let mut client = stage.client().await;
        // The end of what is too long may find nobody.
        let _ = client.send(head.as_bytes()).await;
        match client.answer().await {
            Ok(answer) => assert_eq!(answer.status, status, "{:.60}", head),
            // Or the answer is lost with what was not read.
            Err(error) => assert!(status == 431, "{error}: {:.60}", head),
        }
    }
    stage.works().await;
}

/// Enforced by `Peers::count`, and by the places of `listen`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_connections_and_all_have_so_many() {
    let limits = HostLimits {
        http_connections: 4,
        http_connections_each: 3,
        ..HostLimits::default()
    };
    let stage = Stage::with(limits, LimitsPatch::default()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = stage.client().await;
        assert_eq!(client.get("/w/version").await.unwrap().status, 200);
        clients.push(client);
    }
    let mut refused = stage.client().await;
    let answer = refused.answer().await.unwrap();
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(refused.closed().await.unwrap(), b"");
    // Another address has the last place, and a third waits.
    let mut other = from("127.0.0.2", stage.address()).await;
    assert_eq!(other.get("/w/version").await.unwrap().status, 200);
    let mut third = from("127.0.0.3", stage.address()).await;
    third
        .send(b"GET /w/version HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(300), third.stream().readable());
    assert!(waiting.await.is_err(), "it is served beside the others");
    drop(other);
    assert_eq!(third.answer().await.unwrap().status, 200);
    drop(clients);
    let metrics = stage.host.metrics();
    assert!(
        metrics.contains("odeon_http_connections_refused_total{listener=\"web\"} 1"),
        "{metrics}"
    );
}

async fn from(local: &str, address: std::net::SocketAddr) -> odeon_tests::web::Client {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
    odeon_tests::web::Client::over(socket.connect(address).await.unwrap())
}
