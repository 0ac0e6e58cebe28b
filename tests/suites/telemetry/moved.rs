//! Calls on their callers' own threads that wait while their plugin is replaced.

use std::time::{Duration, Instant};

use odeon::{Args, CallOptions, Code, LimitsPatch, ReplaceRequest, Source};
use odeon_tests::guests;

use crate::collector::Span;
use crate::peer::two;
use crate::stage::{Stage, load, soon, steps};

/// A `provider` that runs one call at a time, and one that does not end.
async fn taken() -> (Stage, tokio::task::JoinHandle<()>) {
    let stage = Stage::new(1.0).await;
    let limits = LimitsPatch {
        calls_in_flight: Some(1),
        queue: Some(4),
        ..LimitsPatch::default()
    };
    let provider = load("guest-provider", "provider").with_limits(limits);
    stage.host.load(provider).await.expect("the guest loads");
    let host = stage.host.clone();
    let holder = tokio::spawn(async move {
        let forever = steps(&["until-cancelled"]);
        let call = host.call("provider/perform", Args::Wave(&forever), CallOptions::default());
        // Whoever stops it hears nothing of it.
        call.await.map(|_| ()).unwrap_or_default();
    });
    soon("it runs", || stage.host.list()[0].in_flight == 1).await;
    (stage, holder)
}

async fn wait_there(stage: &Stage, count: u64) {
    soon("they wait", || {
        stage.host.status_dump()["plugins"]["provider"]["waiting"] == count
    })
    .await;
}

fn requests_to_add(spans: &[Span]) -> Vec<&Span> {
    let is_one = |span: &&Span| span.get("odeon.hop") == "request" && span.name.ends_with("add");
    spans.iter().filter(is_one).collect()
}

fn with(guest: &str) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new(
            "provider".parse().unwrap(),
            Source::Component(guests::component(guest)),
        )
    }
}

/// Enforced by `Inner::call_on` and `TypedHandle::call`: its waiting is in its
/// span, on both sides of the replace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_goes_on_to_the_next_generation_is_one_request() {
    let (stage, holder) = taken().await;
    let method = stage.host.method("provider/add").unwrap();
    let typed = stage.host.typed::<(u32, u32), (u32,)>("provider/add").unwrap();
    let host = stage.host.clone();
    let waiters = [
        std::thread::spawn(move || host.call_encoded("provider/add", &two(1, 2)).unwrap().bytes),
        std::thread::spawn(move || method.call(&two(1, 2)).unwrap().bytes),
        std::thread::spawn(move || typed.call((1, 2)).unwrap().0.to_le_bytes().to_vec()),
    ];
    wait_there(&stage, 3).await;
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let waited = begin.elapsed();
    stage.host.replace(with("guest-provider")).await.unwrap();
    for waiter in waiters {
        let bytes = tokio::task::spawn_blocking(move || waiter.join().unwrap());
        assert_eq!(bytes.await.unwrap(), 3_u32.to_le_bytes());
    }
    holder.abort();
    let spans = stage.spans().await;
    let requests = requests_to_add(&spans);
    assert_eq!(requests.len(), 3, "{spans:#?}");
    for request in requests {
        assert_eq!((request.get("odeon.generation"), &request.error), ("2", &None));
        let took = Duration::from_nanos(request.ended - request.began);
        assert!(took >= waited, "{took:?} of {waited:?}");
        let of_it = spans.iter().filter(|span| span.trace == request.trace).count();
        assert_eq!(of_it, 2, "itself and its call");
    }
}

/// Enforced by `call::no_further`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_has_no_place_in_the_next_generation_is_one_request_with_its_code() {
    let (stage, holder) = taken().await;
    let host = stage.host.clone();
    let waiter = std::thread::spawn(move || host.call_encoded("provider/add", &two(1, 2)).unwrap_err());
    wait_there(&stage, 1).await;
    stage.host.replace(with("guest-spin")).await.unwrap();
    let fault = tokio::task::spawn_blocking(move || waiter.join().unwrap());
    assert_eq!(fault.await.unwrap().code, Code::MethodNotFound);
    holder.abort();
    let spans = stage.spans().await;
    let requests = requests_to_add(&spans);
    assert_eq!(requests.len(), 1, "{spans:#?}");
    assert_eq!(requests[0].get("odeon.code"), Code::MethodNotFound.as_str());
}
