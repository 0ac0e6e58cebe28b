//! `lifecycle.load` before the first call, `lifecycle.unload` after the last.

use std::time::{Duration, Instant};

use odeon_protocol::Code;
use odeon_runtime::{LifecycleError, Plugin, Reason};
use odeon_tests::runtime::{Spec, call, runtime, span, spec};
use odeon_tests::stall::Stalls;

use crate::flight::Flight;

async fn configured(spec: Spec, load: &str, unload: &str) -> (odeon_runtime::Runtime, Plugin) {
    let runtime = runtime();
    let plugin = spec
        .config("load", load)
        .config("unload", unload)
        .resident()
        .load(&runtime, "guest-lifecycle")
        .await;
    (runtime, plugin)
}

#[tokio::test]
async fn a_plugin_without_a_life_cycle_loads_and_unloads() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "sample-calculator").await;
    plugin.load().await.unwrap();
    plugin.unload().await.unwrap();
    assert_eq!(plugin.stats().instances, 0, "nothing was run for it");
}

#[tokio::test]
async fn the_instance_that_ran_load_serves_the_calls() {
    let (_runtime, plugin) = configured(spec(), "ok", "ok").await;
    plugin.load().await.unwrap();
    assert_eq!(plugin.stats().instances, 1);
    assert_eq!(call(&plugin, "probe.loads").await.unwrap(), "1");
    plugin.drain().await;
    plugin.unload().await.unwrap();
}

/// The life cycle's functions are no methods.
#[tokio::test]
async fn nobody_can_call_load_as_a_method() {
    let (_runtime, plugin) = configured(spec(), "ok", "ok").await;
    assert!(
        plugin
            .methods()
            .iter()
            .all(|method| &*method.function != "load" && &*method.function != "unload")
    );
}

#[tokio::test]
async fn a_load_that_refuses_says_why() {
    for (how, words) in [
        ("fail-config", "config(\"load\")"),
        ("fail-unavailable", "unavailable(\"a thing that is not there\")"),
        ("fail-other", "other(\"it does not want to\")"),
    ] {
        let (_runtime, plugin) = configured(spec(), how, "ok").await;
        match plugin.load().await.unwrap_err() {
            LifecycleError::Refused(text) => assert!(text.contains(words), "{how}: {text}"),
            LifecycleError::Failed(fault) => panic!("{how}: {fault}"),
        }
    }
}

#[tokio::test]
async fn a_load_that_traps_is_a_fault() {
    for how in ["trap", "panic"] {
        let (_runtime, plugin) = configured(spec(), how, "ok").await;
        let fault = failed(&plugin).await;
        assert_eq!(fault.code, Code::Trapped, "{how}: {fault}");
        assert_eq!(plugin.stats().instances, 0, "{how}");
    }
}

/// An error of 16 MiB is more than one message may be.
#[tokio::test]
async fn a_load_whose_error_is_too_large_is_a_fault() {
    let (_runtime, plugin) = configured(spec(), "huge-error", "ok").await;
    assert_eq!(failed(&plugin).await.code, Code::ResultTooLarge);
}

#[tokio::test]
async fn a_load_that_grows_for_good_reaches_the_memory_limit() {
    let (_runtime, plugin) = configured(spec(), "grow", "ok").await;
    assert_eq!(failed(&plugin).await.code, Code::MemoryLimit);
}

async fn failed(plugin: &Plugin) -> odeon_protocol::Fault {
    match plugin.load().await.unwrap_err() {
        LifecycleError::Failed(fault) => fault,
        LifecycleError::Refused(text) => panic!("expected a fault, found the refusal {text}"),
    }
}

const DEADLINE: Duration = Duration::from_millis(200);

fn hurried() -> Spec {
    // Processor time is no reason here.
    spec()
        .cpu(Duration::from_secs(60))
        .limits(|limits| limits.load_deadline = span(DEADLINE))
}

/// It was stopped at its deadline: no sooner, but for how late its clock was, and no
/// later, but for what the cores stood still meanwhile.
#[track_caller]
fn assert_on_time(stalls: &Stalls, began: Instant, ended: Instant, how: &str) {
    let (took, late) = (stalls.between(began, ended), stalls.late_at(began));
    assert!(
        took.wall + late >= DEADLINE / 2 && took.own() <= DEADLINE + Duration::from_millis(100),
        "{how}: {took:?}, {late:?}"
    );
}

/// Enforced by `Budget::lifecycle`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_load_that_never_ends_is_stopped_at_its_own_deadline() {
    for how in ["spin", "sleep"] {
        let (_runtime, plugin) = configured(hurried(), how, "ok").await;
        let stalls = Stalls::watch();
        let began = Instant::now();
        let fault = failed(&plugin).await;
        let (ended, left) = (Instant::now(), plugin.stats().instances);
        assert_eq!(fault.code, Code::DeadlineLimit, "{how}: {fault}");
        assert_eq!(left, 0);
        assert_on_time(&stalls, began, ended, how);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_an_unload_that_never_ends_is_stopped_at_its_own_deadline() {
    for how in ["spin", "sleep"] {
        let (_runtime, plugin) = configured(hurried(), "ok", how).await;
        plugin.load().await.unwrap();
        plugin.drain().await;
        let stalls = Stalls::watch();
        let began = Instant::now();
        let fault = plugin.unload().await.unwrap_err();
        let ended = Instant::now();
        assert_eq!(fault.code, Code::DeadlineLimit, "{how}: {fault}");
        assert_on_time(&stalls, began, ended, how);
    }
}

/// After a hard stop, `unload` still has its time: the interrupt was for calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unload_runs_after_an_interrupt() {
    let runtime = runtime();
    let spec = spec().resident_workers(2);
    let records = spec.records();
    let plugin = spec.load(&runtime, "sample-counter").await;
    plugin.load().await.unwrap();
    plugin.interrupt(Reason::Unloaded);
    plugin.drain().await;
    plugin.unload().await.unwrap();
    let lines: Vec<_> = records.lines().into_iter().map(|line| line.text).collect();
    assert_eq!(lines, ["counting from 0", "stopped at 0"]);
}

/// Calls and the life cycle keep out of each other's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_runs_does_not_keep_load_waiting() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.calls_in_flight = 1)
        .load(&runtime, "guest-lifecycle")
        .await;
    plugin.load().await.unwrap();
    assert_eq!(call(&plugin, "probe.load-callers").await.unwrap(), "[]");
    let spinner = spec()
        .limits(|limits| limits.calls_in_flight = 1)
        .load(&runtime, "guest-spin")
        .await;
    let mut flight = Flight::take_off(&spinner, "wait.sleep(2000)").await;
    spinner.load().await.unwrap();
    flight.land().await.unwrap();
}

/// The hooks go by their names, which anybody can export with any type.
/// Enforced by `lifecycle::check_hooks`.
#[tokio::test]
async fn a_hook_of_another_type_refuses_the_load() {
    let runtime = runtime();
    let hooks = |hook: &str| {
        format!(
            "(component
               (core func $tr (canon task.return))
               (core module $m
                 (import \"\" \"task.return\" (func $tr))
                 (func (export \"hook\") (result i32) (call $tr) (i32.const 0))
                 (func (export \"cb\") (param i32 i32 i32) (result i32) (i32.const 0)))
               (core instance $i (instantiate $m (with \"\" (instance (export \"task.return\" (func $tr))))))
               {hook}
               (export \"odeon:plugin/lifecycle@0.1.0\" (instance $l)))"
        )
    };
    let lifted =
        "(func $h async (canon lift (core func $i \"hook\") async (callback (core func $i \"cb\"))))";
    for (hook, words) in [
        (
            format!("{lifted} (instance $l (export \"load\" (func $h)))"),
            "found odeon:plugin/lifecycle@0.1.0.load: async func()",
        ),
        (
            format!("{lifted} (instance $l (export \"unload\" (func $h)))"),
            "found odeon:plugin/lifecycle@0.1.0.unload: async func()",
        ),
    ] {
        let bytes = odeon_tests::guests::assemble(&hooks(&hook));
        let error = spec().prepare(&runtime, &bytes).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), Code::LinkFailed, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let number = "(component
       (core module $m (func (export \"load\") (result i32) (i32.const 0)))
       (core instance $i (instantiate $m))
       (func $h (result u32) (canon lift (core func $i \"load\")))
       (instance $l (export \"load\" (func $h)))
       (export \"odeon:plugin/lifecycle@0.1.0\" (instance $l)))";
    let bytes = odeon_tests::guests::assemble(number);
    let error = spec().prepare(&runtime, &bytes).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("load: func() -> u32"), "{error}");
}
