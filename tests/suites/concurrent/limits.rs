//! Time, cancel, memory and handles of exports that are lifted asynchronously.

use std::time::{Duration, Instant};

use odeon_protocol::Code;
use odeon_runtime::{CallContext, Interrupt, Reason};
use odeon_tests::clock::assert_quiet;
use odeon_tests::runtime::{Spec, call, call_with, runtime, spec, stopped, stopped_both_ways};
use odeon_tests::stall::Stalls;

use crate::GUEST;

const LIMIT: Duration = Duration::from_millis(200);

/// What a stop may take beyond its limit, besides what the cores stood still.
const SLACK: Duration = Duration::from_millis(100);

async fn in_time(spec: Spec, invocations: &[&str], code: Code) {
    let runtime = runtime();
    let plugin = spec.load(&runtime, GUEST).await;
    for invocation in invocations {
        for ended in stopped_both_ways(&plugin, invocation, code).await {
            assert!(
                ended.had(LIMIT / 2) && ended.was_within(LIMIT + SLACK),
                "{invocation}: {ended:?}"
            );
        }
    }
    tokio::task::spawn_blocking(assert_quiet).await.unwrap();
}

/// Enforced by `HostState::must_stop` (`deadline_ms`) while it computes, and by
/// `drive::watch` while it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_asynchronous_exports_end_at_the_deadline() {
    let spec = spec().cpu(Duration::from_secs(60)).deadline(LIMIT);
    in_time(
        spec,
        &[
            "work.spin()",
            "work.sleep-forever()",
            "work.drip(1)",
            "work.drip(0)",
            "work.yield-forever()",
        ],
        Code::DeadlineLimit,
    )
    .await;
}

/// Enforced by `HostState::must_stop` (`cpu_micros`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_asynchronous_exports_end_at_the_cpu_limit() {
    let spec = spec().deadline(Duration::from_secs(60)).cpu(LIMIT);
    in_time(spec, &["work.spin()"], Code::CpuLimit).await;
}

/// Enforced by `HostState::must_stop` and `drive::watch`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_asynchronous_exports_are_cancelled_within_50_ms() {
    const PROMPT: Duration = Duration::from_millis(50);
    let runtime = runtime();
    let plugin = spec().load(&runtime, GUEST).await;
    for invocation in [
        "work.spin()",
        "work.sleep-forever()",
        "work.drip(1)",
        "work.yield-forever()",
        "output.flood()",
    ] {
        let interrupt = Interrupt::new();
        let context = CallContext {
            interrupt: interrupt.clone(),
            ..CallContext::default()
        };
        let calling = plugin.clone();
        let flight = tokio::spawn(async move { call_with(&calling, invocation, context).await });
        while plugin.stats().instances == 0 {
            tokio::task::yield_now().await;
        }
        let stalls = Stalls::watch();
        let began = Instant::now();
        interrupt.raise(Reason::Cancelled);
        let fault = flight.await.unwrap().unwrap_err();
        let (ended, left) = (Instant::now(), plugin.stats());
        assert_eq!(fault.code, Code::Cancelled, "{invocation}");
        assert_eq!((left.instances, left.in_flight), (0, 0), "{invocation}");
        let took = stalls.between(began, ended);
        assert!(took.own() <= PROMPT, "{invocation}: {took:?}");
    }
}

/// Enforced by `Meter::memory_growing`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_grows_up_to_its_limit() {
    let runtime = runtime();
    let plugin = spec().memory(8).load(&runtime, GUEST).await;
    let pages: u32 = call(&plugin, "work.grow()").await.unwrap().parse().unwrap();
    assert!((1..128).contains(&pages), "{pages}");
}

/// Streams, futures and calls under way are handles. Enforced by
/// `Store::concurrent_resource_table`'s capacity, set in `instance.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_futures_and_calls_under_way_end_at_the_limit_on_handles() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.handles = 100)
        .load(&runtime, GUEST)
        .await;
    for invocation in [
        "work.streams-forever()",
        "work.futures-forever()",
        "work.subtasks-forever()",
        "web.fields-forever(1)",
    ] {
        let ended = stopped(&plugin, invocation, Code::HandleLimit).await;
        assert_eq!(ended.fault.details.unwrap()["limit"], "handles", "{invocation}");
    }
    // The next call has its own.
    assert_eq!(call(&plugin, "work.add(1, 2)").await.unwrap(), "3");
}

/// Enforced by `Shared::settle`, and by `codec::val` on the way in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_as_large_as_a_message_may_be() {
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.message = odeon_authority::ByteSize::kib(64));
    let plugin = spec.load(&runtime, GUEST).await;
    // The length is four bytes of the message.
    let text = |bytes: usize| format!("work.echo-text(\"{}\")", "x".repeat(bytes));
    assert!(call(&plugin, &text((64 << 10) - 4)).await.is_ok());
    stopped(&plugin, &text((64 << 10) - 3), Code::ResultTooLarge).await;
    // A result and the number in it.
    for (depth, fits) in [(2, true), (1, false)] {
        let spec = odeon_tests::runtime::spec().limits(|limits| limits.value_depth = depth);
        let plugin = spec.load(&runtime, GUEST).await;
        match fits {
            true => assert_eq!(call(&plugin, "work.may-fail(false)").await.unwrap(), "ok(7)"),
            false => {
                let ended = stopped(&plugin, "work.may-fail(false)", Code::ResultTooLarge).await;
                assert_eq!(ended.fault.details.unwrap()["limit"], "value-depth");
            }
        }
    }
}
