//! What is counted, and that it stays counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use odeon::{Args, CallOptions, Code, Host, LimitsPatch, ReplaceRequest, Source, UnloadMode};
use odeon_authority::ByteSize;
use odeon_tests::guests;

use super::exposition::Metrics;
use crate::host::{at, builder, ephemeral, fault, few_loads, load, load_with, soon, state};

async fn call(host: &Host, path: &str, args: &str) -> Result<(), odeon::Fault> {
    host.call(path, Args::Wave(args), CallOptions::default())
        .await
        .map(|_| ())
}

fn replace(guest: &str) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new("v".parse().unwrap(), Source::Component(guests::component(guest)))
    }
}

const SPIN: (&str, &str) = ("plugin", "spin");

/// Enforced by `Host::metrics`.
#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_in_the_metrics() {
    let folder = state();
    let host = at(folder.path());
    let little = LimitsPatch {
        log_rate: Some(ByteSize::kib(1)),
        ..LimitsPatch::default()
    };
    load_with(&host, "guest-spin", "spin", &[], little).await;
    load(&host, "guest-forger", "forger").await;

    call(&host, "spin/wait.sleep", "1").await.unwrap();
    assert_eq!(
        fault(call(&host, "spin/ending.unreachable", "").await).code,
        Code::Trapped
    );
    let deep = fault(call(&host, "spin/cpu.recurse", "100000000").await);
    assert_eq!(deep.code, Code::StackLimit);
    call(&host, "spin/flood.log-lines", "100, 100").await.unwrap();
    // What a guest and a caller say is in no label, whatever they say.
    let evil = "\"x\\\"} 7\\nodeon_evil_total 1\\n\"";
    call(&host, "forger/theft.secret", evil).await.unwrap();
    fault(call(&host, "spin/evil-method", "").await);

    let text = host.metrics();
    assert!(!text.contains("evil"), "{text}");
    let metrics = Metrics::read(&text);
    assert_eq!(metrics.get("odeon_plugin_calls_total", &[SPIN]), 4.0);
    let faults = |code: Code| metrics.get("odeon_plugin_faults_total", &[SPIN, ("code", code.as_str())]);
    assert_eq!((faults(Code::Trapped), faults(Code::StackLimit)), (1.0, 1.0));
    let hits = |limit| metrics.get("odeon_plugin_limits_hit_total", &[SPIN, ("limit", limit)]);
    assert_eq!(hits("stack"), 1.0);
    let dropped = metrics.get("odeon_plugin_log_lines_dropped_total", &[SPIN]);
    assert!(dropped > 0.0 && dropped == hits("log-rate"), "{dropped}");
    assert_eq!(
        metrics.get("odeon_plugin_denials_total", &[("plugin", "forger")]),
        1.0
    );
    assert_eq!(metrics.get("odeon_plugin_generation", &[SPIN]), 1.0);
    assert_eq!(metrics.get("odeon_plugin_in_flight", &[SPIN]), 0.0);
    assert_eq!(metrics.get("odeon_plugin_waiting", &[SPIN]), 0.0);
    assert_eq!(metrics.get("odeon_plugins", &[]), 2.0);
    assert_eq!(metrics.get("odeon_loads_total", &[]), 2.0);
    assert!(metrics.get("odeon_audit_records_total", &[]) >= 4.0);
    assert!(metrics.get("odeon_cache_bytes", &[]) > 0.0);
    assert_eq!(metrics.values_of("plugin"), BTreeSet::from(["forger", "spin"]));

    // What is so now is counted while it is.
    let running = tokio::spawn({
        let host = host.clone();
        async move { call(&host, "spin/wait.sleep", "60000").await }
    });
    soon("it runs", || {
        host.list()[0].in_flight + host.list()[1].in_flight == 1
    })
    .await;
    let metrics = Metrics::read(&host.metrics());
    assert_eq!(metrics.get("odeon_plugin_in_flight", &[SPIN]), 1.0);
    assert_eq!(metrics.get("odeon_plugin_instances", &[SPIN]), 1.0);
    assert!(metrics.get("odeon_plugin_memory_bytes", &[SPIN]) > 0.0);
    running.abort();
    host.unload(&"spin".parse().unwrap(), UnloadMode::Now, host.principal())
        .await
        .unwrap();
    let metrics = Metrics::read(&host.metrics());
    assert_eq!(metrics.values_of("plugin"), BTreeSet::from(["forger"]));
    assert_eq!(metrics.get("odeon_unloads_total", &[]), 1.0);
}

/// Callers call and a collector reads while generations come, go and come back:
/// every call is counted once, and no count ever goes down. Enforced by
/// `Totals::leave`.
#[tokio::test(flavor = "multi_thread")]
async fn no_count_goes_down_over_replaces_and_rollbacks() {
    let host = builder().host_limits(few_loads(60_000)).start().unwrap();
    load(&host, "wat-version-one", "v").await;
    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut at_work = Vec::new();
    for _ in 0..2 {
        let (host, done, calls) = (host.clone(), done.clone(), calls.clone());
        at_work.push(tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                // The version that traps has no such method: that is no call.
                if call(&host, "v/answer", "").await.is_ok() {
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            }
        }));
    }
    let collector = tokio::spawn({
        let (host, done) = (host.clone(), done.clone());
        async move {
            let mut before = Metrics::read(&host.metrics());
            while !done.load(Ordering::SeqCst) {
                let now = Metrics::read(&host.metrics());
                now.are_not_below(&before);
                before = now;
                tokio::task::yield_now().await;
            }
        }
    });
    for turn in 0..10 {
        let mut next = replace(if turn % 2 == 0 {
            "wat-version-two"
        } else {
            "wat-version-one"
        });
        next.health_window = Duration::ZERO;
        host.replace(next).await.unwrap();
    }
    let mut traps = 0;
    for _ in 0..3 {
        let before = host.list()[0].generation.0;
        host.replace(replace("wat-traps")).await.unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while host.list()[0].generation.0 < before + 2 {
            assert!(Instant::now() < end, "the bad version is still there");
            match call(&host, "v/unreachable", "").await {
                Err(fault) if fault.code == Code::Trapped => traps += 1,
                // The old one is back by now.
                other => assert_eq!(fault(other).code, Code::MethodNotFound),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    done.store(true, Ordering::SeqCst);
    for task in at_work {
        task.await.unwrap();
    }
    collector.await.unwrap();
    soon("every generation but the last is gone", || {
        host.status_dump()["replaced"]
            .as_array()
            .is_some_and(Vec::is_empty)
    })
    .await;
    let metrics = Metrics::read(&host.metrics());
    let v = ("plugin", "v");
    let counted = calls.load(Ordering::SeqCst) + traps;
    assert_eq!(metrics.get("odeon_plugin_calls_total", &[v]), counted as f64);
    assert_eq!(
        metrics.get("odeon_plugin_latency_seconds_count", &[v]),
        counted as f64
    );
    let trapped = ("code", Code::Trapped.as_str());
    assert_eq!(
        metrics.get("odeon_plugin_faults_total", &[v, trapped]),
        traps as f64
    );
    assert_eq!(metrics.get("odeon_replaces_total", &[]), 13.0);
    assert_eq!(metrics.get("odeon_rollbacks_total", &[]), 3.0);
    assert_eq!(metrics.get("odeon_plugin_generation", &[v]), 17.0);
    // The row of a status is of the generation that serves.
    assert!(host.list()[0].calls < counted);
}

/// Calls of asynchronous tasks are all timed, and so are the first calls of
/// whoever calls on his own thread; of further ones a sample stands for all.
/// Enforced by `Pass::owned` and `Timed::some`.
#[tokio::test(flavor = "multi_thread")]
async fn the_histogram_agrees_with_the_calls_that_were_made() {
    let host = ephemeral();
    load(&host, "guest-spin", "spin").await;
    for _ in 0..5 {
        call(&host, "spin/wait.sleep", "20").await.unwrap();
    }
    for _ in 0..15 {
        call(&host, "spin/wait.sleep", "0").await.unwrap();
    }
    let metrics = Metrics::read(&host.metrics());
    let latency = |suffix: &str| metrics.get(&format!("odeon_plugin_latency_seconds_{suffix}"), &[SPIN]);
    assert_eq!((latency("count"), latency("sum") >= 0.1), (20.0, true));
    let bucket = |bound: &str| metrics.get("odeon_plugin_latency_seconds_bucket", &[SPIN, ("le", bound)]);
    assert!(bucket("0.01") <= 15.0, "no call that waited 20 ms took 10");
    assert_eq!(bucket("60"), 20.0);
    let row = &host.list()[0];
    let took = row.latency_us.expect("there were calls");
    assert!(
        (20_000..10_000_000).contains(&took.p99) && took.p50 < took.p99,
        "{took:?}"
    );

    load(&host, "wat-version-one", "v").await;
    let v = ("plugin", "v");
    let made = std::thread::spawn({
        let host = host.clone();
        move || {
            let (method, typed) = (
                host.method("v/answer").unwrap(),
                host.typed::<(), (u32,)>("v/answer").unwrap(),
            );
            let count = || {
                let metrics = Metrics::read(&host.metrics());
                (
                    metrics.get("odeon_plugin_calls_total", &[v]),
                    metrics.get("odeon_plugin_latency_seconds_count", &[v]),
                )
            };
            for _ in 0..500 {
                method.call(&[]).unwrap();
                typed.call(()).unwrap();
            }
            assert_eq!(count(), (1_000.0, 1_000.0));
            for _ in 0..20_000 {
                method.call(&[]).unwrap();
                typed.call(()).unwrap();
            }
            count()
        }
    });
    let (calls, timed) = tokio::task::spawn_blocking(|| made.join().unwrap())
        .await
        .unwrap();
    assert_eq!(calls, 41_000.0);
    assert!((timed - calls).abs() < calls / 50.0, "{timed} stand for {calls}");
}
