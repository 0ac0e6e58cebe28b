//! Which requests are traced: those that say so, and a share of the others.

use std::time::Duration;

use odeon::daemon::{DaemonConfig, serve};
use odeon::{Args, CallRequest, Outcome, TraceParent};
use odeon_protocol::{Envelope, MessageKind, Serial};

use crate::collector::{Collector, Manner};
use crate::peer::{Peer, two};
use crate::stage::{SAID, Stage, builder, load, one, otlp};

fn said() -> (String, String) {
    let parts: Vec<&str> = SAID.split('-').collect();
    (parts[1].to_owned(), parts[2].to_owned())
}

/// Enforced by `Telemetry::place`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_comes_along_is_continued_whatever_the_share() {
    let stage = Stage::new(0.0).await;
    stage.pair().await;
    stage.ask_in(SAID, "caller/add", "2, 3").await.unwrap();
    let request = CallRequest {
        traceparent: Some(SAID.parse::<TraceParent>().unwrap()),
        ..CallRequest::new("provider/add", Args::Wave("2, 3"))
    };
    let (_, mut watcher) = stage.host.request(request).unwrap();
    let outcome = watcher.outcome().await.unwrap();
    assert!(matches!(outcome, Outcome::Succeeded(_)), "{outcome:?}");
    // Nobody says anything of this one.
    stage.ask("caller/add", "2, 3").await.unwrap();
    let spans = stage.spans().await;
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let (trace, parent) = said();
    assert!(spans.iter().all(|span| span.trace == trace));
    for plugin in ["caller", "provider"] {
        let request = one(&spans, "request", plugin);
        assert_eq!(request.parent.as_ref(), Some(&parent));
    }
}

/// Enforced by `Telemetry::place`: whoever calls has decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_is_not_recorded_exports_nothing() {
    let stage = Stage::new(1.0).await;
    stage.pair().await;
    let unsampled = SAID.replace("-01", "-00");
    stage.ask_in(&unsampled, "caller/add", "2, 3").await.unwrap();
    assert_eq!(stage.spans().await.len(), 0);
    assert!(stage.collector.heard().iter().all(|one| one.path != "/v1/traces"));
    assert_eq!(stage.counted("odeon_otlp_sent_total{signal=\"spans\"}"), 0);
}

/// Enforced by `SampleShare::takes`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_share_nothing_is_traced_and_with_one_a_part() {
    let none = Stage::new(0.0).await;
    none.load("guest-echo", "echo").await;
    let args = two(1, 2);
    let typed = none.host.typed::<(u32, u32), (u32,)>("echo/echo.add").unwrap();
    for _ in 0..100 {
        none.ask("echo/echo.add", "1, 2").await.unwrap();
        none.host.call_encoded("echo/echo.add", &args).unwrap();
        typed.call((1, 2)).unwrap();
    }
    assert_eq!(none.spans().await.len(), 0);

    let half = Stage::new(0.5).await;
    half.load("guest-echo", "echo").await;
    for _ in 0..400 {
        half.ask("echo/echo.add", "1, 2").await.unwrap();
    }
    let spans = half.spans().await;
    let requests = spans.iter().filter(|span| span.get("odeon.hop") == "request");
    // Ten deviations to each side, and each with its call.
    let requests = requests.count();
    assert!((100..=300).contains(&requests), "{requests}");
    assert_eq!(spans.len(), 2 * requests);
}

/// Enforced by `Desk::call`: what is malformed is no trace, and no reason to
/// refuse a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_socket_the_envelope_says_which_trace() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let collector = Collector::new(Manner::Takes).await;
    let host = builder().state_dir(folder.path()).otlp(otlp(&collector, 0.0));
    let host = host.start().unwrap();
    host.load(load("guest-echo", "echo")).await.unwrap();
    let config = DaemonConfig {
        signals: false,
        ..DaemonConfig::default()
    };
    let daemon = serve(host.clone(), config).await.unwrap();
    let mut peer = Peer::greeted(daemon.socket()).await;
    let args = two(1, 2);
    let unsampled = SAID.replace("-01", "-00");
    for traceparent in [Some(SAID), Some(unsampled.as_str()), Some("nonsense"), None] {
        let mut call = Envelope::new(MessageKind::Call, Serial::new());
        call.target = Some("echo/echo.add");
        call.body = &args;
        call.traceparent = traceparent;
        peer.send(&call).await;
        let reply = peer.next().await.expect("a reply");
        assert_eq!((reply.kind, reply.fault), (MessageKind::Reply, None));
    }
    drop(peer);
    daemon.stop(Some(Duration::from_secs(5)));
    daemon.stopped().await.unwrap();
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (trace, parent) = said();
    let request = one(&spans, "request", "echo");
    assert_eq!((&request.trace, request.parent.as_ref()), (&trace, Some(&parent)));
    assert_eq!(request.get("odeon.principal.kind"), "user");
    assert_eq!(one(&spans, "call", "echo").parent.as_ref(), Some(&request.id));
}
