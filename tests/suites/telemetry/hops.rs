//! One span for each hop, below the one that it was made in.

use std::time::Duration;

use odeon::{Args, CallOptions, Code};
use odeon_tests::guests;
use odeon_tests::way::Way;

use crate::collector::Span;
use crate::stage::{Stage, one, soon, steps};

/// What a span is of.
const SERVER: u64 = 2;
const INTERNAL: u64 = 1;

/// Enforced by `Inner::execute`, `Inner::call_on`, `Span::begin` and `Outgoing::of`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_through_a_link_is_below_its_caller() {
    for way in Way::BOTH {
        let stage = Stage::new(1.0).await;
        stage.pair().await;
        assert_eq!(way.ask(&stage.host, "caller/add", "2, 3").await.unwrap(), "5");
        let digest = odeon_authority::digest_of(&guests::bytes("guest-caller")).unwrap();
        let generation = stage.host.list().into_iter();
        let generation = generation
            .filter(|row| row.name.as_str() == "caller")
            .map(|row| row.generation.to_string())
            .next();
        let spans = stage.spans().await;
        assert_eq!(spans.len(), 3, "{spans:#?}");
        let request = one(&spans, "request", "caller");
        let caller = one(&spans, "call", "caller");
        let provider = one(&spans, "call", "provider");
        assert_eq!(
            (&request.parent, &caller.parent, &provider.parent),
            (&None, &Some(request.id.clone()), &Some(caller.id.clone()))
        );
        assert!(
            spans
                .iter()
                .all(|span| span.trace == request.trace && span.error.is_none())
        );
        assert!(caller.id != request.id && provider.id != caller.id);
        assert_eq!(
            (request.kind, caller.kind, provider.kind),
            (SERVER, INTERNAL, INTERNAL)
        );

        assert_eq!(request.get("odeon.method"), "caller/add");
        assert_eq!(request.name, "caller/add");
        assert_eq!(request.get("odeon.digest"), digest.to_string());
        assert_eq!(caller.get("odeon.method"), "caller/odeon-tests:links/steps.add");
        assert_eq!(
            provider.get("odeon.method"),
            "provider/odeon-tests:links/steps.add"
        );
        assert_eq!(provider.name, provider.get("odeon.method"));
        for span in [request, caller] {
            assert_eq!(Some(span.get("odeon.generation").to_owned()), generation);
        }
        assert_eq!(request.get("odeon.principal.kind"), "embedder");
        assert_eq!(provider.get("odeon.principal.kind"), "plugin");
        let serial = provider.get("odeon.serial");
        assert!(!serial.is_empty());
        // On a thread of its own the program calls directly: nobody else is named, and
        // the serial is made for whom the plugin calls.
        if way == Way::Task {
            assert_eq!(caller.get("odeon.principal.kind"), "embedder");
            assert!(spans.iter().all(|span| span.get("odeon.serial") == serial));
        }
        assert!(spans.iter().all(|span| span.get("odeon.code").is_empty()));
    }
}

/// Enforced by `Outgoing::come_in`: what does not come in has a span too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_by_name_is_below_its_caller_also_when_nobody_is_there() {
    let stage = Stage::new(1.0).await;
    stage.pair().await;
    for method in ["other/perform", "absent/perform"] {
        let told = stage
            .ask("caller/perform", &steps(&["try", "next", "by-name", method]))
            .await;
        assert!(told.is_ok(), "{told:?}");
    }
    let spans = stage.spans().await;
    let other = one(&spans, "call", "other");
    let absent = one(&spans, "call", "absent");
    for (span, code, error) in [
        (other, "", None),
        (absent, "ODN-1016", Some("ODN-1016".to_owned())),
    ] {
        let above = spans.iter().find(|above| Some(&above.id) == span.parent.as_ref());
        let above = above.expect("what it is below");
        assert_eq!(
            (above.get("odeon.hop"), above.get("odeon.plugin")),
            ("call", "caller")
        );
        assert_eq!(above.trace, span.trace);
        assert_eq!((span.get("odeon.code"), &span.error), (code, &error));
        assert_eq!(span.get("odeon.principal.kind"), "plugin");
    }
    assert_ne!(other.trace, absent.trace, "two requests");
    assert!(!other.get("odeon.generation").is_empty());
    assert!(absent.get("odeon.generation").is_empty(), "{absent:?}");
    assert_eq!(absent.get("odeon.method"), "absent/perform");
    // Its caller heard of it as a value, and went on.
    let mut callers = spans.iter().filter(|span| span.get("odeon.plugin") == "caller");
    assert!(callers.all(|span| span.error.is_none()));
}

/// Enforced by `Host for HostState` in `interfaces/rmi.rs`, which looks for nobody
/// that no grant names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_by_name_that_is_denied_has_a_span() {
    let stage = Stage::new(1.0).await;
    stage.pair().await;
    let told = stage
        .ask(
            "caller/perform",
            &steps(&["try", "next", "by-name", "stranger/perform"]),
        )
        .await;
    assert!(told.is_ok(), "{told:?}");
    let spans = stage.spans().await;
    let denied = one(&spans, "call", "stranger");
    assert_eq!(denied.error.as_deref(), Some("ODN-4014"), "{denied:?}");
    assert_eq!(denied.get("odeon.method"), "stranger/perform");
    assert!(denied.get("odeon.generation").is_empty());
    let above = spans
        .iter()
        .find(|above| Some(&above.id) == denied.parent.as_ref());
    assert_eq!(above.expect("what it is below").get("odeon.plugin"), "caller");
}

/// Enforced by `Trace::next`, for calls that come in and for those that do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_calls_without_an_end_has_so_many_spans_and_no_more() {
    const MOST: usize = 1000;
    let stage = Stage::new(1.0).await;
    stage.pair().await;
    for (method, calls) in [("absent/perform", "3000"), ("other/perform", "1500")] {
        let attack = ["times", calls, "try", "next", "by-name", method, "version"];
        let told = stage.ask("caller/perform", &steps(&attack)).await;
        assert!(told.is_ok(), "{told:?}");
        // There is room for no more than about one of those.
        soon("its spans are sent", || {
            stage.counted("odeon_otlp_queued{signal=\"spans\"}") == 0
        })
        .await;
    }
    // Whatever one did, there is room for the next.
    assert_eq!(stage.ask("caller/add", "2, 3").await.unwrap(), "5");
    let spans = stage.spans().await;
    let requests: Vec<_> = spans
        .iter()
        .filter(|span| span.get("odeon.hop") == "request")
        .collect();
    let omitted = |request: &Span| {
        let below = spans.iter().filter(|span| span.trace == request.trace).count() - 1;
        (below, request.get("odeon.spans.omitted").to_owned())
    };
    let omitted: Vec<_> = requests.iter().map(|request| omitted(request)).collect();
    // The caller's own is one of them.
    let left_out = |calls: usize| (calls + 1 - MOST).to_string();
    assert_eq!(
        omitted,
        [(MOST, left_out(3000)), (MOST, left_out(1500)), (2, String::new())]
    );
    assert!(requests.iter().all(|request| request.error.is_none()));
}

/// Enforced by `Span::end` and `call::end`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_told_by_its_code_and_without_the_words_of_a_guest() {
    let stage = Stage::new(1.0).await;
    stage.pair().await;
    stage.load("guest-spin", "spin").await;
    let fault = stage.ask("caller/perform", &steps(&["next", "trap"])).await;
    assert_eq!(fault.unwrap_err().code, Code::Trapped);
    let words = "words of a guest";
    let fault = stage.ask("spin/panic", &format!("{words:?}")).await.unwrap_err();
    assert_eq!(fault.code, Code::Trapped);
    let spans = stage.spans().await;
    for (hop, plugin) in [
        ("request", "caller"),
        ("call", "caller"),
        ("call", "provider"),
        ("request", "spin"),
        ("call", "spin"),
    ] {
        let span = one(&spans, hop, plugin);
        assert_eq!(span.error.as_deref(), Some("ODN-2001"), "{span:?}");
        assert_eq!(span.get("odeon.code"), "ODN-2001");
        assert_eq!(span.get("error.type"), "trapped");
    }
    let all = stage.collector.traces();
    assert!(!all.contains(words), "{all}");
}

/// Enforced by `call::end`: the method did what it is there for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_methods_own_error_is_one_of_the_request_and_not_of_the_call() {
    let stage = Stage::new(1.0).await;
    stage.load("guest-provider", "provider").await;
    let told = stage.ask("provider/perform", &steps(&["error"])).await.unwrap();
    assert!(told.starts_with("err("), "{told}");
    let spans = stage.spans().await;
    let request = one(&spans, "request", "provider");
    assert_eq!(request.error.as_deref(), Some("ODN-1010"));
    assert_eq!(one(&spans, "call", "provider").error, None);
    let all = stage.collector.traces();
    assert!(
        told.contains("as it was told") && !all.contains("as it was told"),
        "{all}"
    );
}

/// Enforced by `Span::drop` and `Entry::drop`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_has_its_spans() {
    let stage = Stage::new(1.0).await;
    stage.load("guest-spin", "spin").await;
    let host = stage.host.clone();
    let waiting = tokio::spawn(async move {
        let call = host.call("spin/sleep-forever", Args::Wave(""), CallOptions::default());
        call.await.map(|_| ())
    });
    soon("the call runs", || stage.host.list()[0].in_flight == 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    soon("the call is over", || stage.host.list()[0].in_flight == 0).await;
    let spans = stage.spans().await;
    assert_eq!(spans.len(), 2, "{spans:#?}");
    for hop in ["request", "call"] {
        let span = one(&spans, hop, "spin");
        assert_eq!(span.error.as_deref(), Some("ODN-1009"));
        assert!(span.get("odeon.method").ends_with("sleep-forever"), "{span:?}");
    }
}

/// Enforced by `Inner::entry_here`, `Place::call_traced` and
/// `Plugin::call_on_thread`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_the_callers_own_thread_are_traced_like_others() {
    let stage = Stage::new(1.0).await;
    stage.load("guest-echo", "echo").await;
    let args = [1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
    stage.host.call_encoded("echo/echo.add", &args).unwrap();
    stage.host.method("echo/echo.add").unwrap().call(&args).unwrap();
    let typed = stage.host.typed::<(u32, u32), (u32,)>("echo/echo.add").unwrap();
    assert_eq!(typed.call((1, 2)).unwrap(), (3,));
    let spans = stage.spans().await;
    assert_eq!(spans.len(), 6, "{spans:#?}");
    let requests: Vec<_> = spans
        .iter()
        .filter(|span| span.get("odeon.hop") == "request")
        .collect();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let mut below = spans
            .iter()
            .filter(|span| span.parent.as_ref() == Some(&request.id));
        let call = below.next().expect("a call");
        assert_eq!(below.next().map(|span| &span.id), None);
        assert_eq!((call.get("odeon.hop"), &call.trace), ("call", &request.trace));
        assert_eq!(call.get("odeon.method"), "echo/odeon-tests:echo/echo.add");
        assert_eq!(request.get("odeon.method"), "echo/add");
        assert!(call.ended - call.began <= request.ended - request.began);
    }
}

/// Spans are sent when a while is over, without anybody's asking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_arrive_while_the_host_goes_on() {
    let stage = Stage::new(1.0).await;
    stage.load("guest-echo", "echo").await;
    stage.ask("echo/echo.add", "1, 2").await.unwrap();
    soon("both spans", || stage.collector.spans().len() == 2).await;
    soon("they are counted", || {
        stage.counted("odeon_otlp_sent_total{signal=\"spans\"}") == 2
    })
    .await;
    // Nothing comes twice.
    stage.host.shutdown(Duration::from_secs(5)).await;
    assert_eq!(stage.collector.spans().len(), 2);
}
