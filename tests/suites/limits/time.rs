//! Wall time and processor time: `limits.deadline`, `limits.cpu`.

use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault};
use odeon_runtime::CallContext;
use odeon_tests::clock::{assert_quiet, process_cpu};
use odeon_tests::runtime::{Spec, call, call_blocking, runtime, spec, stopped, stopped_both_ways};
use odeon_tests::stall::Stalls;

/// What the limit is set to.
const LIMIT: Duration = Duration::from_millis(200);

/// How much later a guest may be gone.
const SLACK: Duration = Duration::from_millis(100);

/// The same invocation both by a task and by a thread; each must be over in
/// time, but for what the cores stood still meanwhile, and the process must be quiet afterwards.
async fn in_time(spec: Spec, guest: &str, invocations: &[&str], code: Code) {
    let runtime = runtime();
    let plugin = spec.load(&runtime, guest).await;
    for invocation in invocations {
        for stopped in stopped_both_ways(&plugin, invocation, code).await {
            assert!(
                stopped.had(LIMIT / 2),
                "{invocation}: it had {LIMIT:?}, found {stopped:?}"
            );
            assert!(
                stopped.was_within(LIMIT + SLACK),
                "{invocation}: expected within {:?}, found {stopped:?}",
                LIMIT + SLACK
            );
        }
    }
    assert_quiet();
}

fn short_cpu() -> Spec {
    spec().cpu(LIMIT).deadline(Duration::from_secs(60))
}

fn short_deadline() -> Spec {
    spec().cpu(Duration::from_secs(60)).deadline(LIMIT)
}

/// Enforced by `HostState::must_stop` (`cpu_micros`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_spinning_ends_at_the_cpu_limit() {
    in_time(
        short_cpu(),
        "guest-spin",
        &["cpu.spin", "cpu.spin-with-host-calls"],
        Code::CpuLimit,
    )
    .await;
}

/// Time inside host functions is the call's too. Enforced by
/// `HostState::must_stop`, which goes by the thread's own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_time_inside_host_functions_counts_as_cpu_time() {
    let invocations = ["flood.random-forever(500000)"];
    in_time(short_cpu(), "guest-spin", &invocations, Code::CpuLimit).await;
}

/// Enforced by `HostState::must_stop` (`deadline_ms`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_spinning_ends_at_the_deadline() {
    let invocations = [
        "cpu.spin",
        "cpu.spin-with-host-calls",
        "flood.random-forever(1000)",
    ];
    in_time(short_deadline(), "guest-spin", &invocations, Code::DeadlineLimit).await;
}

/// Enforced by `drive::watch`, which needs no instruction of the guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_waiting_inside_host_calls_ends_at_the_deadline() {
    let invocations = [
        "wait.sleep-forever",
        "wait.drip(1)",
        "wait.drip(50)",
        "wait.poll-forever(500)",
    ];
    in_time(short_deadline(), "guest-spin", &invocations, Code::DeadlineLimit).await;
}

/// Without a fiber, the ticker alone stops the guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_guest_that_never_waits_is_stopped_too() {
    in_time(
        short_cpu(),
        "guest-forger",
        &["conduct.ignore-cancel", "conduct.report-forever(0)"],
        Code::CpuLimit,
    )
    .await;
    in_time(
        short_deadline(),
        "guest-forger",
        &["conduct.ignore-cancel"],
        Code::DeadlineLimit,
    )
    .await;
}

/// Start code runs under the limits of the call it is for.
/// Enforced by `HostState::must_stop`, whose call begins before the instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_start_code_that_never_ends_is_stopped() {
    in_time(short_cpu(), "wat-start-spins", &["answer"], Code::CpuLimit).await;
    in_time(
        short_deadline(),
        "wat-start-spins",
        &["answer"],
        Code::DeadlineLimit,
    )
    .await;
}

/// So does clean-up after a result, and an allocator that is asked for room.
/// Enforced by `HostState::must_stop`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_clean_up_and_allocation_that_never_end_are_stopped() {
    in_time(short_cpu(), "wat-post-return", &["spins"], Code::CpuLimit).await;
    in_time(
        short_cpu(),
        "wat-bad-realloc",
        &["spins(\"text\")"],
        Code::CpuLimit,
    )
    .await;
    in_time(short_cpu(), "wat-tables", &["grow-forever"], Code::CpuLimit).await;
}

/// A guest that asks how much time is left can be done before it is stopped, and is
/// told no less than that: but for how late the clock was that it goes by.
/// Falls with `Call::left_ms`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_guest_that_watches_the_clock_is_done_before_its_deadline() {
    const DEADLINE: Duration = Duration::from_secs(60);
    const LEFT: Duration = Duration::from_secs(59);
    let runtime = runtime();
    let spec = spec().deadline(DEADLINE).cpu(DEADLINE);
    let plugin = spec.load(&runtime, "guest-forger").await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    let looks = call(&plugin, &format!("conduct.until-left({})", LEFT.as_millis()))
        .await
        .expect("it has seconds left");
    // A tick earlier on the clock that it is told.
    let took = began.elapsed() + stalls.late_at(began);
    assert!(took >= DEADLINE - LEFT - Duration::from_millis(2), "{took:?}");
    assert!(looks.parse::<u64>().unwrap() > 0, "{looks}");
}

/// Nobody's time left is less than none: such a guest is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_guest_that_waits_for_the_end_of_its_time_is_stopped_at_it() {
    let invocations = ["conduct.until-left(0)"];
    in_time(
        short_deadline(),
        "guest-forger",
        &invocations,
        Code::DeadlineLimit,
    )
    .await;
}

/// A guest that computed when its time was over is stopped by the tick, and
/// the fault says where that was; one that waited inside a host call was
/// nowhere. Enforced by `CallClock::end` in `Plugin::drive`, before and after
/// the call has overrun its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_deadline_says_where_a_guest_computed() {
    let runtime = runtime();
    let before_its_turn_is_over = Duration::from_millis(2);
    for deadline in [before_its_turn_is_over, Duration::from_millis(30)] {
        let spec = spec().cpu(Duration::from_secs(60)).deadline(deadline);
        let plugin = spec.load(&runtime, "guest-spin").await;
        for ended in stopped_both_ways(&plugin, "cpu.spin", Code::DeadlineLimit).await {
            let frames = ended.fault.backtrace.expect("it computed");
            assert!(!frames.is_empty(), "{deadline:?}");
        }
        // So many that none of them runs in the moment in which its time is over.
        let many = (0..24).map(|_| call(&plugin, "cpu.spin"));
        for ended in futures::future::join_all(many).await {
            let fault = ended.unwrap_err();
            assert_eq!(fault.code, Code::DeadlineLimit, "{fault}");
            assert!(fault.backtrace.is_some(), "{deadline:?}");
        }
    }
    let plugin = short_deadline().load(&runtime, "guest-spin").await;
    let mut waited = false;
    while !waited {
        for ended in stopped_both_ways(&plugin, "wait.sleep-forever", Code::DeadlineLimit).await {
            // One whose core stood still may not have come so far as to wait.
            if ended.after.lost + ended.late < LIMIT / 2 {
                assert_eq!(ended.fault.backtrace, None);
                waited = true;
            }
        }
    }
}

/// Whether a call came to its end. One that was stopped must have had all of its
/// time, which is measured around it.
#[track_caller]
fn whole(outcome: Result<String, Fault>, code: Code, had: Duration, limit: Duration) -> bool {
    match outcome {
        Ok(_) => true,
        Err(fault) => {
            assert_eq!(fault.code, code, "{fault}");
            assert!(had >= limit, "it had {had:?} of {limit:?}");
            false
        }
    }
}

/// Waiting costs no processor time: only the deadline counts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_guest_that_sleeps_does_not_use_up_its_cpu_time() {
    let runtime = runtime();
    const CPU: Duration = Duration::from_millis(20);
    let spec = spec().cpu(CPU).deadline(Duration::from_secs(60));
    let plugin = spec.load(&runtime, "guest-spin").await;
    // A system that counts what it took from a thread as the thread's can use it up.
    loop {
        let cpu = process_cpu();
        let outcome = call(&plugin, "wait.sleep(400)").await;
        if whole(outcome, Code::CpuLimit, process_cpu() - cpu, CPU) {
            break;
        }
    }
    // It computes until then by the clock on the wall, so that is far away.
    stopped(&plugin, "cpu.busy(20000)", Code::CpuLimit).await;
}

/// The clock that deadlines go by stands still while nothing runs. A call that
/// comes after such a rest has all of its time all the same: it comes to its end,
/// or it was stopped when its time was over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_deadline_begins_with_its_call_however_long_the_host_has_rested() {
    let runtime = runtime();
    let plugin = short_deadline().resident().load(&runtime, "guest-spin").await;
    let (mut ended, mut stopped) = (0, 0);
    while ended < 4 {
        // Longer than the ticker goes on for nobody, and than the deadline.
        tokio::time::sleep(LIMIT * 2).await;
        let stalls = Stalls::watch();
        let began = Instant::now();
        let outcome = match (ended + stopped) % 2 {
            0 => call(&plugin, "cpu.busy(50)").await,
            _ => {
                let blocking = plugin.clone();
                let call = move || call_blocking(&blocking, "cpu.busy(50)", CallContext::default());
                std::thread::spawn(call).join().unwrap()
            }
        };
        // The clock counts whole milliseconds.
        let had = began.elapsed() + stalls.late_at(began) + Duration::from_millis(2);
        match whole(outcome, Code::DeadlineLimit, had, LIMIT) {
            true => ended += 1,
            false => stopped += 1,
        }
    }
    assert_eq!(plugin.stats().faults, stopped);
}

/// The limits are per call: a resident instance begins each with all of it. Four
/// calls after each other have more in sum than one may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_cpu_time_begins_anew_with_every_call() {
    let runtime = runtime();
    let plugin = spec().resident().cpu(LIMIT).load(&runtime, "guest-spin").await;
    let mut after_each_other = 0;
    while after_each_other < 4 {
        let cpu = process_cpu();
        let outcome = call(&plugin, "cpu.busy(80)").await;
        match whole(outcome, Code::CpuLimit, process_cpu() - cpu, LIMIT) {
            true => after_each_other += 1,
            // A system that counts what it took from a thread as the thread's.
            false => after_each_other = 0,
        }
    }
    assert_eq!(plugin.stats().instances, 1);
}

#[tokio::test]
async fn the_fault_names_the_limit_and_its_field() {
    let runtime = runtime();
    let plugin = short_cpu().load(&runtime, "guest-spin").await;
    let fault = stopped(&plugin, "cpu.spin", Code::CpuLimit).await.fault;
    assert!(
        fault.message.contains("limits.cpu") && fault.message.contains("200ms"),
        "{fault}"
    );
    assert_eq!(fault.details.unwrap()["limit"], "cpu");
}
