//! Fresh instances remember nothing; resident ones do, until they trap.

use odeon_protocol::Code;
use odeon_runtime::CallContext;
use odeon_tests::runtime::{call, call_blocking, runtime, spec, stopped};

/// Enforced by `Shared::settle`, which keeps an instance only of a resident plugin.
#[tokio::test]
async fn a_fresh_instance_knows_nothing_of_the_call_before() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "sample-counter").await;
    for _ in 0..3 {
        assert_eq!(call(&plugin, "increment(5)").await.unwrap(), "ok(5)");
        assert_eq!(plugin.stats().instances, 0, "the instance is gone with its call");
    }
}

#[tokio::test]
async fn a_resident_instance_keeps_its_state_between_calls() {
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "sample-counter").await;
    for expected in ["ok(5)", "ok(10)", "ok(15)"] {
        assert_eq!(call(&plugin, "increment(5)").await.unwrap(), expected);
    }
    assert_eq!(plugin.stats().instances, 1);
    assert!(plugin.stats().memory > 0);
}

/// Calls from tasks and from threads reach the same instance.
#[tokio::test]
async fn both_ways_of_calling_share_the_resident_instance() {
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "sample-counter").await;
    assert_eq!(call(&plugin, "increment(1)").await.unwrap(), "ok(1)");
    let blocking = plugin.clone();
    let from_thread =
        std::thread::spawn(move || call_blocking(&blocking, "increment(1)", CallContext::default()));
    assert_eq!(from_thread.join().unwrap().unwrap(), "ok(2)");
    assert_eq!(call(&plugin, "increment(1)").await.unwrap(), "ok(3)");
    assert_eq!(plugin.stats().instances, 1);
}

/// Enforced by `Shared::settle`, which drops an instance after any error.
#[tokio::test]
async fn a_trap_replaces_the_resident_instance() {
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "guest-lifecycle").await;
    assert_eq!(call(&plugin, "probe.calls").await.unwrap(), "1");
    assert_eq!(call(&plugin, "probe.calls").await.unwrap(), "2");
    stopped(&plugin, "probe.trap", Code::Trapped).await;
    assert_eq!(
        call(&plugin, "probe.calls").await.unwrap(),
        "1",
        "a new instance counts from the start"
    );
}

/// The same for a plugin that is called without a fiber.
#[tokio::test]
async fn a_limit_replaces_the_resident_instance() {
    let runtime = runtime();
    let plugin = spec()
        .resident()
        .cpu(std::time::Duration::from_millis(50))
        .load(&runtime, "wat-post-return")
        .await;
    let (method, args, _) = odeon_tests::runtime::encode(&plugin, "spins");
    let fault = plugin
        .call_blocking(method, &args, CallContext::default())
        .unwrap_err();
    assert_eq!(fault.code, Code::CpuLimit);
    assert_eq!(plugin.stats().instances, 0);
}

#[tokio::test]
async fn a_fault_counts_and_names_the_guests_own_frames() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    let stopped = stopped(&plugin, "ending.unreachable", Code::Trapped).await;
    let frames = stopped.fault.backtrace.expect("a trap has frames");
    assert!(!frames.is_empty() && frames.len() <= 32, "{frames:?}");
    let stats = plugin.stats();
    assert_eq!((stats.calls, stats.faults), (1, 1));
}

/// Of a resident plugin with one worker, one call runs at a time: what it
/// adds up is never lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_from_many_tasks_take_turns_in_the_resident_instance() {
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "sample-counter").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let plugin = plugin.clone();
        tasks.spawn(async move {
            for _ in 0..25 {
                call(&plugin, "increment(1)").await.unwrap();
            }
        });
    }
    while let Some(joined) = tasks.join_next().await {
        joined.unwrap();
    }
    assert_eq!(call(&plugin, "value").await.unwrap(), "200");
    assert_eq!(plugin.stats().instances, 1);
}
