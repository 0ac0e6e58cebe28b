//! The room for spans that wait: one guest's do not take that of all others'.

use crate::collector::{Manner, Span};
use crate::stage::{Stage, soon, steps};

const FULL: &str = "odeon_otlp_dropped_total{signal=\"spans\",reason=\"queue\"}";
const QUEUED: &str = "odeon_otlp_queued{signal=\"spans\"}";

/// The most spans of one guest's requests that wait.
const SHARE: u64 = 1024;
/// What a message to the collector is made of at most.
const BATCH: u64 = 512;

/// A collector that takes nothing, and a guest whose requests, of a thousand
/// spans each, have more of them than there is room for in all.
async fn flooded() -> Stage {
    let stage = Stage::before(Manner::Hangs, 1.0).await;
    stage.pair().await;
    stage.load("guest-echo", "echo").await;
    let flood = [
        "times",
        "1000",
        "try",
        "next",
        "by-name",
        "other/perform",
        "version",
    ];
    for _ in 0..6 {
        let told = stage.ask("caller/perform", &steps(&flood)).await;
        assert!(told.is_ok(), "{told:?}");
    }
    assert!(stage.counted(FULL) > 0, "there is no more room");
    stage
}

/// The request of this plugin and the call below it, when the collector has them.
async fn told(stage: &Stage, plugin: &str) {
    let spans = || stage.collector.spans();
    let of = |spans: &[Span], hop: &str| {
        let mut found = spans.iter();
        let found = found.find(|span| span.get("odeon.hop") == hop && span.get("odeon.plugin") == plugin);
        found.cloned()
    };
    stage.collector.answers(Manner::Takes);
    soon("its request is told", || of(&spans(), "request").is_some()).await;
    soon("all of them are sent", || stage.counted(QUEUED) == 0).await;
    stage.host.shutdown(std::time::Duration::from_secs(5)).await;
    let spans = spans();
    let request = of(&spans, "request").expect("its request");
    assert!(
        spans.iter().any(|span| span.parent.as_ref() == Some(&request.id)),
        "the call of {plugin} has no span"
    );
}

/// Enforced by `Waiting::has_room` and by what `Shared::ended` says whose a span
/// is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_requests_are_full_of_spans_crowds_out_nobodys() {
    let stage = flooded().await;
    // With its own requests, and what had been taken out before.
    let queued = stage.counted(QUEUED);
    assert!(queued <= SHARE + BATCH, "{queued}");
    stage.ask("echo/echo.add", "1, 2").await.unwrap();
    told(&stage, "echo").await;
}

/// Enforced by `Trace::outermost`: who is called by a guest in so many requests
/// has room for its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_calls_is_on_its_own_account() {
    let stage = flooded().await;
    stage.ask("other/perform", &steps(&["version"])).await.unwrap();
    told(&stage, "other").await;
}
