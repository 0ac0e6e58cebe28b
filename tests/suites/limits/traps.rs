//! Every other end of a guest: its caller gets a fault, and the host goes on.

use odeon_protocol::Code;
use odeon_tests::runtime::{call, runtime, spec, stopped, stopped_both_ways};

/// Enforced by `stop::cause`.
#[tokio::test]
async fn every_trap_is_a_fault_of_the_guest() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "wat-traps").await;
    for trap in [
        "unreachable",
        "divide-by-zero",
        "divide-overflow",
        "bad-conversion",
        "out-of-bounds-load",
        "out-of-bounds-store",
        "out-of-bounds-fill",
        "null-call",
        "outside-table",
        "wrong-type-call",
    ] {
        for ended in stopped_both_ways(&plugin, trap, Code::Trapped).await {
            assert!(
                ended.fault.message.starts_with("the guest trapped"),
                "{trap}: {}",
                ended.fault
            );
            assert!(ended.fault.backtrace.is_some(), "{trap}");
        }
    }
}

#[tokio::test]
async fn panics_and_exits_are_faults() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    stopped_both_ways(&plugin, "ending.panic(\"for a reason\")", Code::Trapped).await;
    stopped_both_ways(&plugin, "ending.unreachable", Code::Trapped).await;
    for ok in ["true", "false"] {
        stopped_both_ways(&plugin, &format!("ending.exit({ok})"), Code::GuestExit).await;
    }
}

#[tokio::test]
async fn traps_before_and_after_the_function_itself_are_faults() {
    let runtime = runtime();
    let starting = spec().load(&runtime, "wat-start-traps").await;
    stopped_both_ways(&starting, "answer", Code::Trapped).await;
    let cleaning = spec().load(&runtime, "wat-post-return").await;
    stopped_both_ways(&cleaning, "traps", Code::Trapped).await;
}

/// What a guest learns about the process it runs in: nothing.
#[tokio::test]
async fn the_hosts_process_is_invisible() {
    let runtime = runtime();
    let plugin = spec().env("NAME", "value").load(&runtime, "guest-spin").await;
    assert_eq!(
        call(&plugin, "snoop.environment").await.unwrap(),
        "[(\"NAME\", \"value\")]"
    );
    assert_eq!(call(&plugin, "snoop.arguments").await.unwrap(), "[]");
    assert_eq!(call(&plugin, "snoop.initial-directory").await.unwrap(), "none");
    assert_eq!(call(&plugin, "snoop.stdin-is-terminal").await.unwrap(), "false");
    assert_eq!(
        call(&plugin, "wait.read-stdin(10)").await.unwrap(),
        "err(\"closed\")"
    );
}

/// A guest that goes down with a long backtrace brings down nothing else.
#[tokio::test]
async fn a_thousand_traps_leave_nothing_behind() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "wat-traps").await;
    for _ in 0..1000 {
        stopped(&plugin, "unreachable", Code::Trapped).await;
    }
    assert_eq!(plugin.stats().faults, 1000);
}
