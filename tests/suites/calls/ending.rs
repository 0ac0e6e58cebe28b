//! How a call is ended from outside: cancel, the end of the caller's waiting
//! time, interrupt, drain, and a caller that is simply gone.

use std::time::{Duration, Instant};

use odeon_protocol::Code;
use odeon_runtime::{CallContext, Interrupt, Plugin, Reason};
use odeon_tests::runtime::{call, call_blocking, call_with, runtime, spec};
use odeon_tests::stall::Stalls;

use crate::flight::{Flight, eventually};

/// Within which a cancelled call is gone, but for what the cores stood still meanwhile.
const PROMPT: Duration = Duration::from_millis(50);

async fn cancelled_in_time(plugin: &Plugin, invocation: &'static str) {
    let mut flight = Flight::take_off(plugin, invocation).await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    flight.interrupt.raise(Reason::Cancelled);
    let outcome = flight.land().await;
    let (ended, left) = (Instant::now(), plugin.stats());
    assert_eq!(outcome.unwrap_err().code, Code::Cancelled, "{invocation}");
    assert_eq!(left.instances, 0, "{invocation}: the store is gone with the call");
    assert_eq!(left.in_flight, 0);
    let took = stalls.between(began, ended);
    assert!(
        took.own() <= PROMPT,
        "{invocation}: expected within {PROMPT:?}, found {took:?}"
    );
}

/// Enforced by `HostState::must_stop`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_guest_that_computes_is_cancelled_within_50_ms() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    cancelled_in_time(&plugin, "cpu.spin").await;
    cancelled_in_time(&plugin, "cpu.spin-with-host-calls").await;
    let forger = spec().load(&runtime, "guest-forger").await;
    cancelled_in_time(&forger, "conduct.ignore-cancel").await;
}

/// Enforced by `drive::watch`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_guest_that_waits_in_the_host_is_cancelled_within_50_ms() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    cancelled_in_time(&plugin, "wait.sleep-forever").await;
    cancelled_in_time(&plugin, "wait.drip(1)").await;
    cancelled_in_time(&plugin, "wait.poll-forever(100)").await;
}

/// The call of a thread that waits for it ends the same way.
#[test]
fn timed_a_blocking_call_is_cancelled_within_50_ms() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let waits = tokio.block_on(spec().load(&runtime, "guest-spin"));
    let direct = tokio.block_on(spec().load(&runtime, "guest-forger"));
    for (plugin, invocation) in [
        (&waits, "cpu.spin"),
        (&waits, "wait.sleep-forever"),
        (&direct, "conduct.ignore-cancel"),
    ] {
        let interrupt = Interrupt::new();
        let context = CallContext {
            interrupt: interrupt.clone(),
            ..CallContext::default()
        };
        let calling = plugin.clone();
        let thread = std::thread::spawn(move || call_blocking(&calling, invocation, context));
        odeon_tests::clock::until("the call runs", Duration::from_secs(20), || {
            plugin.stats().instances == 1
        });
        let stalls = Stalls::watch();
        let began = Instant::now();
        interrupt.raise(Reason::Cancelled);
        let fault = thread.join().unwrap().unwrap_err();
        let (ended, left) = (Instant::now(), plugin.stats());
        assert_eq!(fault.code, Code::Cancelled, "{invocation}");
        assert_eq!(left.instances, 0, "{invocation}");
        let took = stalls.between(began, ended);
        assert!(took.own() <= PROMPT, "{invocation}: {took:?}");
    }
}

/// A guest that looks at `is-cancelled` may return by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_listens_returns_its_own_result() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-forger").await;
    let mut flight = Flight::take_off(&plugin, "conduct.until-cancelled").await;
    flight.interrupt.raise(Reason::Cancelled);
    let looks: u64 = flight.land().await.expect("a result").parse().unwrap();
    assert!(looks > 0);
}

/// Enforced by `HostState::begin` (computing) and `drive::watch` (waiting).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_the_callers_waiting_time_ends_the_call() {
    const WAIT: Duration = Duration::from_millis(150);
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    for invocation in ["cpu.spin", "wait.sleep-forever", "wait.drip(5)"] {
        let stalls = Stalls::watch();
        let began = Instant::now();
        let context = CallContext {
            wait_until: Some(began + WAIT),
            ..CallContext::default()
        };
        let fault = call_with(&plugin, invocation, context).await.unwrap_err();
        assert_eq!(fault.code, Code::WaitEnded, "{invocation}: {fault}");
        let (ended, left) = (Instant::now(), plugin.stats());
        assert_eq!(left.instances, 0);
        // The tick clock counts whole milliseconds.
        let took = stalls.between(began, ended);
        assert!(
            took.wall >= WAIT - Duration::from_millis(2) && took.own() <= WAIT + Duration::from_millis(100),
            "{invocation}: {took:?}"
        );
    }
}

/// The caller's waiting time counts while the call waits for admission, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_waiting_time_runs_in_the_queue() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.calls_in_flight = 1)
        .load(&runtime, "guest-spin")
        .await;
    let mut running = Flight::take_off(&plugin, "wait.sleep-forever").await;
    let wait_until = Some(Instant::now() + Duration::from_millis(100));
    let fault = call_with(
        &plugin,
        "snoop.arguments",
        CallContext {
            wait_until,
            ..CallContext::default()
        },
    )
    .await
    .unwrap_err();
    assert_eq!(fault.code, Code::WaitEnded, "{fault}");
    assert_eq!(plugin.stats().waiting, 0);
    running.interrupt.raise(Reason::Cancelled);
    running.land().await.unwrap_err();
}

/// The first reason given stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_ended_for_one_reason() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    let mut flight = Flight::take_off(&plugin, "wait.sleep-forever").await;
    assert!(flight.interrupt.raise(Reason::WaitEnded));
    assert!(!flight.interrupt.raise(Reason::Cancelled));
    assert_eq!(flight.land().await.unwrap_err().code, Code::WaitEnded);
}

/// Dropping the future drops the store, wherever the guest is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_drops_his_call_leaves_nothing_running() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    for invocation in ["wait.sleep-forever", "cpu.spin", "cpu.spin-with-host-calls"] {
        let flight = Flight::take_off(&plugin, invocation).await;
        // Long enough that a spinner has been moved to the other threads.
        eventually("it has run for a while", {
            let began = Instant::now();
            move || began.elapsed() > Duration::from_millis(30)
        })
        .await;
        let stalls = Stalls::watch();
        let began = Instant::now();
        flight.vanish().await;
        // Its place in the gate is given back after its instance is gone.
        eventually("the store is dropped, and its place is free", || {
            let stats = plugin.stats();
            (stats.instances, stats.in_flight) == (0, 0)
        })
        .await;
        let took = stalls.since(began);
        assert!(took.own() < Duration::from_secs(1), "{invocation}: {took:?}");
    }
}

/// Enforced by `Gate::close` and `Gate::drained`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_lets_calls_finish_and_takes_no_new_ones() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.calls_in_flight = 1)
        .load(&runtime, "guest-spin")
        .await;
    let mut running = Flight::take_off(&plugin, "wait.sleep(2000)").await;
    let mut waiting = Flight::queue(&plugin, "snoop.arguments", CallContext::default());
    eventually("it waits", || plugin.stats().waiting == 1).await;
    let draining = plugin.drain();
    tokio::pin!(draining);
    assert!(futures::poll!(&mut draining).is_pending());
    assert_eq!(
        call(&plugin, "snoop.arguments").await.unwrap_err().code,
        Code::Draining
    );
    assert_eq!(waiting.land().await.unwrap_err().code, Code::Draining);
    draining.await;
    assert_eq!(plugin.stats().in_flight, 0);
    assert_eq!(running.land().await.expect("it finishes"), "()");
}

/// Every caller gets a final status, and soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_an_interrupt_ends_all_calls_of_the_plugin() {
    let runtime = runtime();
    for (reason, code) in [
        (Reason::Unloaded, Code::Unloaded),
        (Reason::Shutdown, Code::Unloaded),
    ] {
        let plugin = spec().load(&runtime, "guest-spin").await;
        let mut flights = vec![
            Flight::take_off(&plugin, "cpu.spin").await,
            Flight::take_off(&plugin, "wait.sleep-forever").await,
            Flight::take_off(&plugin, "wait.drip(1)").await,
        ];
        let stalls = Stalls::watch();
        let began = Instant::now();
        plugin.interrupt(reason);
        for flight in &mut flights {
            assert_eq!(flight.land().await.unwrap_err().code, code, "{reason:?}");
        }
        let took = stalls.since(began);
        assert!(took.own() <= PROMPT, "{reason:?}: {took:?}");
        plugin.drain().await;
        assert_eq!(plugin.stats().instances, 0);
        assert_eq!(
            call(&plugin, "snoop.arguments").await.unwrap_err().code,
            Code::Draining
        );
    }
}

/// An interrupt is for one plugin: the calls of another go on to their end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_plugins_of_one_runtime_end_apart() {
    let runtime = runtime();
    let (one, other) = (spec().name("one"), spec().name("other"));
    let one = one.load(&runtime, "guest-spin").await;
    let other = other.load(&runtime, "guest-spin").await;
    let mut flight = Flight::take_off(&other, "wait.sleep(2000)").await;
    one.interrupt(Reason::Unloaded);
    assert_eq!(flight.land().await.expect("the other plugin goes on"), "()");
}
