//! How many calls run and wait, and what the next one is told.

use std::time::{Duration, Instant};

use odeon_protocol::{Code, Retry};
use odeon_runtime::{CallContext, Plugin, PoolSize, Reason, Runtime, RuntimeConfig};
use odeon_tests::runtime::{call, call_blocking, call_with, config, hits, runtime, spec};
use odeon_tests::stall::Stalls;

use crate::flight::{Flight, eventually};

/// Enforced by `Gate::enter_now` (calls in flight) and `Place::take` (queue).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_more_than_run_and_wait_is_overloaded() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| {
            limits.calls_in_flight = 2;
            limits.queue = 3;
        })
        .load(&runtime, "guest-spin")
        .await;
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(Flight::take_off(&plugin, "wait.sleep-forever").await);
    }
    let mut waiting = Vec::new();
    for count in 1..=3 {
        waiting.push(Flight::queue(&plugin, "snoop.arguments", CallContext::default()));
        eventually("it waits", || plugin.stats().waiting == count).await;
    }
    assert_eq!(plugin.stats().in_flight, 2);

    let refused = call(&plugin, "snoop.arguments").await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert_eq!(refused.retry(), Retry::Safe);
    assert_eq!(hits(&plugin, "queue"), 1);
    assert!(
        refused.message.contains("2 calls running and 3 waiting"),
        "{refused}"
    );

    // Whoever waited gets in when somebody leaves.
    for flight in &mut running {
        flight.interrupt.raise(Reason::CallerGone);
        assert_eq!(flight.land().await.unwrap_err().code, Code::Cancelled);
    }
    for flight in &mut waiting {
        assert_eq!(flight.land().await.unwrap(), "[]");
    }
    assert_eq!(plugin.stats().in_flight, 0);
}

/// A place in the queue is given back by whoever gives up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_waiting_frees_his_place() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| {
            limits.calls_in_flight = 1;
            limits.queue = 1;
        })
        .load(&runtime, "guest-spin")
        .await;
    let mut running = Flight::take_off(&plugin, "wait.sleep-forever").await;
    let mut impatient = Flight::queue(&plugin, "snoop.arguments", CallContext::default());
    eventually("it waits", || plugin.stats().waiting == 1).await;
    impatient.interrupt.raise(Reason::Cancelled);
    assert_eq!(impatient.land().await.unwrap_err().code, Code::Cancelled);
    eventually("its place is free", || plugin.stats().waiting == 0).await;

    let vanishing = Flight::queue(&plugin, "snoop.arguments", CallContext::default());
    eventually("it waits", || plugin.stats().waiting == 1).await;
    vanishing.vanish().await;
    eventually("its place is free", || plugin.stats().waiting == 0).await;

    running.interrupt.raise(Reason::Cancelled);
    running.land().await.unwrap_err();
    assert_eq!(call(&plugin, "snoop.arguments").await.unwrap(), "[]");
}

/// The pool of a worker is smaller than what the limits let in: that is
/// "overloaded" too, never an abort. Enforced by `Plugin::not_made` (`is_out_of_room`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_free_slot_in_the_pool_is_overloaded() {
    let mut config = odeon_tests::runtime::config();
    config.workers = 1;
    config.pool.instances = 2;
    let runtime = odeon_runtime::Runtime::new(config).unwrap();
    // Each may have half of it, and there are three.
    let plugin = spec().load(&runtime, "guest-spin").await;
    let mut flights = Vec::new();
    for _ in 0..2 {
        let other = spec().load(&runtime, "guest-spin").await;
        flights.push(Flight::take_off(&other, "wait.sleep-forever").await);
    }
    let refused = call(&plugin, "snoop.arguments").await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded, "{refused}");
    for flight in &mut flights {
        flight.interrupt.raise(Reason::CallerGone);
        flight.land().await.unwrap_err();
    }
    assert_eq!(call(&plugin, "snoop.arguments").await.unwrap(), "[]");
}

/// The started hook is called in the moment of admission, and its error ends
/// the call before any code of the guest ran.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_started_hook_hears_of_admission_and_can_refuse_it() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.calls_in_flight = 1)
        .load(&runtime, "guest-spin")
        .await;
    let started = Arc::new(AtomicUsize::new(0));
    let count = started.clone();
    let context = CallContext {
        started: Some(Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Err(odeon_protocol::Fault::new(Code::Expired, "too late"))
        })),
        ..CallContext::default()
    };
    let mut running = Flight::take_off(&plugin, "wait.sleep-forever").await;
    let mut waiting = Flight::queue(&plugin, "cpu.spin", context);
    eventually("it waits", || plugin.stats().waiting == 1).await;
    assert_eq!(started.load(Ordering::SeqCst), 0, "it has not been admitted");
    running.interrupt.raise(Reason::CallerGone);
    running.land().await.unwrap_err();
    assert_eq!(waiting.land().await.unwrap_err().code, Code::Expired);
    assert_eq!(started.load(Ordering::SeqCst), 1);
    assert_eq!(plugin.stats().instances, 0);
}

/// Whoever calls on a thread of his own waits for no longer than the call may
/// take, and than he said. Enforced by `Shared::admit_here`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_on_a_thread_does_not_wait_for_ever() {
    const DEADLINE: Duration = Duration::from_millis(100);
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.calls_in_flight = 1)
        .deadline(DEADLINE)
        .load(&runtime, "guest-forger")
        .await;
    let call = |context: CallContext| {
        let plugin = plugin.clone();
        std::thread::spawn(move || {
            let began = Instant::now();
            let ended = call_blocking(&plugin, "conduct.ignore-cancel", context);
            (ended.unwrap_err(), began.elapsed())
        })
    };
    let stalls = Stalls::watch();
    let began = Instant::now();
    // Stays on the threshold, in the one place there is, for as long as it must.
    let (let_in, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let inside = call(CallContext {
        started: Some(std::sync::Arc::new(move || {
            waits.lock().unwrap().recv_timeout(Duration::from_secs(10)).ok();
            Ok(())
        })),
        ..CallContext::default()
    });
    eventually("the first is inside", || plugin.stats().in_flight == 1).await;
    let patient = call(CallContext::default());
    let impatient = call(CallContext {
        wait_until: Some(Instant::now() + DEADLINE / 4),
        ..CallContext::default()
    });
    let (impatient, _) = impatient.join().unwrap();
    assert_eq!(impatient.code, Code::WaitEnded, "{impatient}");
    let (patient, after) = patient.join().unwrap();
    assert_eq!(patient.code, Code::Overloaded, "{patient}");
    assert!(patient.message.contains("was not started"), "{patient}");
    assert!(after >= DEADLINE, "{after:?}");
    assert_eq!((plugin.stats().in_flight, plugin.stats().waiting), (1, 0));
    // Its own time begins when it is let in.
    let_in.send(()).unwrap();
    let (inside, after) = inside.join().unwrap();
    assert_eq!(inside.code, Code::DeadlineLimit, "{inside}");
    // But for how late its clock was when it was let in.
    let late = stalls.since(began).lost;
    assert!(
        after + late >= 2 * DEADLINE - Duration::from_millis(2),
        "{after:?}, {late:?}"
    );
}

/// So many calls one after the other; how often another task of the same thread
/// had its turn meanwhile.
async fn turns_of_others(plugin: &Plugin, calls: usize, context: impl Fn() -> CallContext) -> usize {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let turns = Arc::new(AtomicUsize::new(0));
    let taken = turns.clone();
    let other = tokio::spawn(async move {
        while Arc::strong_count(&taken) > 1 {
            taken.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    tokio::task::yield_now().await;
    let before = turns.load(Ordering::SeqCst);
    for _ in 0..calls {
        // What comes of it is another test's matter.
        drop(call_with(plugin, "snoop.arguments", context()).await);
    }
    let after = turns.load(Ordering::SeqCst);
    drop(turns);
    other.await.unwrap();
    after - before
}

/// A loop of calls that are answered at once, here because the plugin takes
/// none, keeps nobody else from his turn on the same thread. Enforced by
/// `Plugin::enter`.
#[tokio::test(flavor = "current_thread")]
async fn calls_that_are_answered_at_once_let_others_run() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    plugin.drain().await;
    let turns = turns_of_others(&plugin, 1000, CallContext::default).await;
    assert!(turns >= 1000 / 128, "{turns}");
}

/// Neither does one of calls that hold the thread without a guest computing,
/// where no tick takes it from them: another has his turn after each that took
/// as long as a tick. Enforced by `drive::use_up`.
#[tokio::test(flavor = "current_thread")]
async fn calls_that_hold_their_thread_let_others_run_after_each() {
    const CALLS: usize = 20;
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    let slow = || CallContext {
        started: Some(std::sync::Arc::new(|| {
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        })),
        ..CallContext::default()
    };
    let turns = turns_of_others(&plugin, CALLS, slow).await;
    assert!(turns >= CALLS - 1, "{turns}");
}

/// One plugin leaves half of what a worker can hold to the others. Enforced by
/// `engine::fair_share`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_takes_at_most_half_of_a_workers_pool() {
    let pool = PoolSize {
        instances: 4,
        ..PoolSize::default()
    };
    let runtime = Runtime::new(RuntimeConfig { pool, ..config() }).unwrap();
    let plugin = spec().load(&runtime, "guest-spin").await;
    let mut flights = Vec::new();
    for _ in 0..2 {
        flights.push(Flight::take_off(&plugin, "wait.sleep-forever").await);
    }
    let third = Flight::queue(&plugin, "wait.sleep-forever", CallContext::default());
    eventually("the third waits", || plugin.stats().waiting == 1).await;
    assert_eq!(plugin.stats().in_flight, 2);
    for flight in flights.into_iter().chain([third]) {
        flight.vanish().await;
    }
}

/// A call whose caller went away counts until its instance is gone: whoever
/// drains waits for it. Enforced by the `OwnedPass` that goes with the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_is_inside_for_as_long_as_its_instance_lives() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    for _ in 0..20 {
        let flight = Flight::take_off(&plugin, "cpu.spin").await;
        // Long enough that it has been moved to the threads of long calls.
        eventually("it computes", || plugin.stats().instances == 1).await;
        tokio::time::sleep(Duration::from_millis(8)).await;
        flight.vanish().await;
        plugin_is_consistent(&plugin);
        // Its place is given back after its instance is gone, and the next call
        // counts the places to see that it runs.
        eventually("it is gone", || {
            let stats = plugin.stats();
            (stats.instances, stats.in_flight) == (0, 0)
        })
        .await;
    }
}

/// No instance lives outside the gate: looked at twice, because one may go away
/// between two looks.
fn plugin_is_consistent(plugin: &odeon_runtime::Plugin) {
    for _ in 0..1000 {
        let before = plugin.stats();
        let after = plugin.stats();
        assert!(
            after.instances == 0 || before.in_flight > 0,
            "an instance lives outside the gate"
        );
    }
}
