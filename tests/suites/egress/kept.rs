//! What a guest makes the host keep of HTTP, and what it makes it say.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use odeon_authority::ByteSize;
use odeon_protocol::Code;
use odeon_tests::runtime::{Spec, spec, stopped};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::harness::{Server, answer, load, runtime, told};

/// Falls with the check in `keep_part` of `interfaces/http/guard.rs`.
#[tokio::test]
async fn the_parts_of_a_request_are_short() {
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec()).await;
    for (bytes, taken) in [
        (64, "(true, true, true)"),
        (65, "(false, true, true)"),
        (261, "(false, true, true)"),
        (262, "(false, false, true)"),
        ((16 << 10) - 1, "(false, false, true)"),
        (16 << 10, "(false, false, false)"),
        (8 << 20, "(false, false, false)"),
    ] {
        assert_eq!(
            told(&plugin, &format!("request-parts({bytes})")).await,
            taken,
            "{bytes}"
        );
    }
}

fn small_headers() -> Spec {
    spec().limits(|limits| limits.header_bytes = ByteSize::kib(8))
}

/// Falls with the count in `Kept::add`: no handle is too many here, and each
/// message is within its own limit.
#[tokio::test]
async fn all_messages_of_an_instance_have_a_limit_together() {
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &small_headers()).await;
    for flood in ["messages-forever(8000)", "bodies-forever()"] {
        let ended = stopped(&plugin, flood, Code::HostCallBytesLimit).await;
        assert_eq!(ended.fault.details.unwrap()["limit"], "header-bytes", "{flood}");
    }
}

/// What was dropped does not count: falls if `Kept::add` never looked again.
#[tokio::test]
async fn messages_that_are_dropped_are_not_counted() {
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &small_headers()).await;
    assert_eq!(told(&plugin, "messages-dropped(8000, 5000)").await, "5000");
}

/// Counts what the engine's own crates say.
struct Ear;

static HEARD: AtomicUsize = AtomicUsize::new(0);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wasmtime_wasi") && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if self.enabled(event.metadata()) {
            HEARD.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Reads to the end and keeps nothing.
fn drain(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

/// Falls with the path that `handler_0_2` puts in, with its refusal of requests
/// to nobody, and with the end of `exchange`: each would be a line in the
/// host's own log, as many as a guest likes.
#[tokio::test]
async fn a_guest_writes_nothing_into_the_hosts_log() {
    // Another test of this process may have had the same idea.
    let _first = tracing::subscriber::set_global_default(Ear);
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec()).await;
    assert_eq!(
        told(&plugin, r#"requests-bare(some("a.test"), 100)"#).await,
        r#""HttpRequestDenied""#
    );
    assert_eq!(
        told(&plugin, "requests-bare(none, 100)").await,
        r#""HttpRequestUriInvalid""#
    );
    // A connection that fails after its response has begun: the host stops
    // sending in the middle of a body.
    static OVER: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(|stream| {
        let reader = stream.try_clone().unwrap();
        answer(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
        drain(reader);
        OVER.fetch_add(1, Ordering::SeqCst);
    });
    let port = server.port();
    let spec = spec()
        .grant(&format!("http=127.0.0.1:{port}"))
        .resident()
        .limits(|limits| limits.egress_bytes = ByteSize::kib(64));
    let plugin = load(&runtime, &spec).await;
    // Whether the response or the end of the upload comes first is chance.
    const UPLOADS: usize = 30;
    for _ in 0..UPLOADS {
        let upload = format!(r#"upload-forever("127.0.0.1:{port}", "/", 4096)"#);
        let ended = told(&plugin, &upload).await;
        assert!(!ended.contains(r#"error: """#), "the guest is told: {ended}");
    }
    // What is said is said by a task of its own, once its connection is over.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while OVER.load(Ordering::SeqCst) < UPLOADS {
        assert!(std::time::Instant::now() < until, "every connection ends");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(HEARD.load(Ordering::SeqCst), 0);
}
