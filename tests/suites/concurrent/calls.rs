//! Values through exports that are lifted asynchronously.

use std::time::{Duration, Instant};

use odeon_protocol::Code;
use odeon_runtime::CallContext;
use odeon_tests::runtime::{call, call_blocking, runtime, spec, stopped};
use odeon_tests::stall::Stalls;

use crate::GUEST;

/// Each call gives what it is given. Falls with `codec::val`, which carries
/// the values of such exports.
const ECHOES: &[(&str, &str)] = &[
    ("work.add(1, 2)", "3"),
    ("work.add(4294967295, 1)", "0"),
    ("work.echo-text(\"\")", "\"\""),
    ("work.echo-text(\"héé 🎭\\n\")", "\"héé 🎭\\n\""),
    ("work.echo-outcomes([])", "[]"),
    (
        "work.echo-outcomes([kept({title: \"a\", lines: [\"b\", \"\"]}), lost(some(\"x\")), lost(none), empty])",
        "[kept({title: \"a\", lines: [\"b\", \"\"]}), lost(some(\"x\")), lost(none), empty]",
    ),
    (
        "work.echo-numbers(-128, 18446744073709551615, 1.5, inf, 'é')",
        "(-128, 18446744073709551615, 1.5, inf, 'é')",
    ),
    (
        "work.echo-numbers(127, 0, -0.0, nan, '\\u{0}')",
        "(127, 0, -0, nan, '\\u{0}')",
    ),
    ("work.may-fail(false)", "ok(7)"),
    ("work.may-fail(true)", "err(\"as asked\")"),
    ("work.nothing()", "()"),
    ("work.after(5, 9)", "9"),
];

/// From a task and from a thread of the embedder's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asynchronous_exports_give_what_they_are_given() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, GUEST).await;
    assert!(plugin.description().async_lifted);
    for (invocation, expected) in ECHOES {
        assert_eq!(
            call(&plugin, invocation).await.unwrap(),
            *expected,
            "{invocation}"
        );
    }
    let own = plugin.clone();
    std::thread::spawn(move || {
        for (invocation, expected) in ECHOES {
            let answer = call_blocking(&own, invocation, CallContext::default()).unwrap();
            assert_eq!(answer, *expected, "{invocation}");
        }
    })
    .join()
    .unwrap();
    assert_eq!(plugin.stats().instances, 0);
}

/// Falls with `InstanceModel::Fresh`: nothing is left of the call before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_instance_knows_nothing_of_the_call_before() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, GUEST).await;
    for _ in 0..5 {
        assert_eq!(call(&plugin, "work.count()").await.unwrap(), "1");
    }
    let kept = spec().resident().load(&runtime, GUEST).await;
    for expected in ["1", "2", "3"] {
        assert_eq!(call(&kept, "work.count()").await.unwrap(), expected);
    }
    // After a trap the instance is never entered again.
    stopped(&kept, "work.trap()", Code::Trapped).await;
    assert_eq!(call(&kept, "work.count()").await.unwrap(), "1");
}

/// Calls that wait do not keep each other waiting: all of them take little more than
/// one, but for what the cores stood still meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_calls_that_wait_for_timers_run_beside_each_other() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, GUEST).await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    let calls = (0..16_u32).map(|number| {
        let plugin = plugin.clone();
        async move { call(&plugin, &format!("work.after(300, {number})")).await }
    });
    for (number, answer) in futures::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), number.to_string());
    }
    let took = stalls.since(began);
    assert!(
        took.wall >= Duration::from_millis(300) && took.own() < Duration::from_millis(1200),
        "{took:?}"
    );
}
