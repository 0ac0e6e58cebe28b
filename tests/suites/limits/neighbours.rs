//! A well-behaved plugin beside hostile ones, on the same runtime and threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use odeon_runtime::{CallContext, Plugin};
use odeon_tests::runtime::{encode, runtime, spec};
use odeon_tests::stall::Stalls;
use tokio::task::JoinSet;

/// Calls that are timed.
const CALLS: usize = 1000;

/// What an answer may take beside hostile guests, however fast it is alone.
const ALWAYS: Duration = Duration::from_millis(10);

/// How long 99 of 100 answers take at most, from a task as a daemon's would be. What
/// the cores stood still during one of them is not its own.
async fn p99(plugin: &Plugin) -> Duration {
    let (method, args, _) = encode(plugin, "add(2, 3)");
    let mut tasks = JoinSet::new();
    let plugin = plugin.clone();
    tasks.spawn(async move {
        let stalls = Stalls::watch();
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            plugin
                .call(method, args.clone(), CallContext::default())
                .await
                .expect("the sum");
            times.push((began, Instant::now()));
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        stalls.p99(&times)
    });
    tasks
        .join_next()
        .await
        .expect("one task")
        .expect("it does not panic")
}

/// Enforced by `drive::turn` (a guest yields every tick, and is moved away
/// after its turn) and by `Inner::background` (threads of lower priority).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_neighbours_of_hostile_guests_answer_in_time() {
    let runtime = runtime();
    let good = spec().name("good").load(&runtime, "guest-echo").await;
    p99(&good).await;
    let alone = p99(&good).await;

    let hostile = spec()
        .name("hostile")
        .cpu(Duration::from_secs(60))
        .deadline(Duration::from_secs(60));
    let spinner = hostile.load(&runtime, "guest-spin").await;
    let forger = hostile
        .clone()
        .name("forger")
        .load(&runtime, "guest-forger")
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for (plugin, invocation) in [
        (&spinner, "cpu.spin"),
        (&spinner, "cpu.spin"),
        (&spinner, "cpu.spin-with-host-calls"),
        (&spinner, "flood.log-forever"),
        (&spinner, "wait.drip(0)"),
        (&spinner, "memory.grow-until-refused(true)"),
        (&spinner, "memory.allocate-until-abort"),
        (&spinner, "flood.pollables-forever"),
        (&forger, "conduct.report-forever(100)"),
    ] {
        let (plugin, stop) = (plugin.clone(), stop.clone());
        let (method, args, _) = encode(&plugin, invocation);
        tasks.spawn(async move {
            // Whoever is stopped by a limit begins again.
            while !stop.load(Ordering::SeqCst) {
                let _ended = plugin.call(method, args.clone(), CallContext::default()).await;
            }
        });
    }
    while spinner.stats().in_flight < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let beside = p99(&good).await;
    stop.store(true, Ordering::SeqCst);
    spinner.interrupt(odeon_runtime::Reason::Unloaded);
    forger.interrupt(odeon_runtime::Reason::Unloaded);
    while let Some(joined) = tasks.join_next().await {
        joined.expect("a hostile guest's task does not panic");
    }
    // Before and after: what others do on the machine comes and goes.
    let alone = alone.max(p99(&good).await);
    let most = (3 * alone).max(ALWAYS);
    assert!(
        beside <= most,
        "alone {alone:?}, beside hostile guests expected at most {most:?}, found {beside:?}"
    );
}
