//! What goes along from one plugin to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use odeon_protocol::{Code, Serial};
use odeon_runtime::{CallContext, Interrupt, Reason};
use odeon_tests::runtime::{call, call_with};
use odeon_tests::stall::Stalls;

use crate::town::{Town, onwards, perform, soon};

/// Enforced by `Outgoing::of`.
#[tokio::test]
async fn the_chain_the_serial_and_the_time_left_are_carried() {
    let town = Town::new();
    town.load(&town.spec("c"), "guest-provider").await;
    town.load(&town.caller("b", "c"), "guest-caller").await;
    let deadline = Duration::from_secs(5);
    let a = town
        .load(&town.caller("a", "b").deadline(deadline), "guest-caller")
        .await;
    let serial = Serial::new();
    let context = CallContext {
        serial: Some(serial),
        callers: Arc::from([Principal::LocalUser { uid: 7 }]),
        user_data: Some(r#"{"for":"a"}"#.into()),
        ..CallContext::default()
    };
    let facts = call_with(&a, &onwards(2, &["facts"]), context).await.unwrap();
    let expected = format!(r#"ok("serial {serial} callers user:7,plugin:a,plugin:b data  left "#);
    let left = facts.strip_prefix(&expected).unwrap_or_else(|| panic!("{facts}"));
    let left: u64 = left.trim_end_matches("\")").parse().unwrap();
    assert!(left > 0 && left <= 5000, "{left} ms are left");
}

/// A provider's own deadline holds besides.
#[tokio::test]
async fn a_provider_has_no_more_time_than_its_own_deadline() {
    let town = Town::new();
    let short = town.spec("provider").deadline(Duration::from_secs(2));
    town.load(&short, "guest-provider").await;
    let caller = town
        .load(&town.caller("caller", "provider"), "guest-caller")
        .await;
    let facts = call(&caller, &perform(["next", "facts"])).await.unwrap();
    let left = facts.rsplit(' ').next().unwrap().trim_end_matches("\")");
    assert!(left.parse::<u64>().unwrap() <= 2000, "{facts}");
}

/// Enforced by `HostState::over_by`, without which it is the provider that seems to
/// have been too slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_of_the_caller_ends_both_and_is_the_callers() {
    let town = Town::new();
    let provider = town.load(&town.spec("provider"), "guest-provider").await;
    let short = town
        .caller("caller", "provider")
        .deadline(Duration::from_millis(200));
    let caller = town.load(&short, "guest-caller").await;
    for _ in 0..5 {
        let fault = call(&caller, &perform(["next", "spin"])).await.unwrap_err();
        assert_eq!(fault.code, Code::DeadlineLimit, "{fault}");
        assert!(fault.chain().is_empty(), "{fault}");
    }
    assert_eq!(caller.stats().instances, 0);
    // On another thread, where it yields at the next tick.
    soon(|| provider.stats().instances == 0 && provider.stats().in_flight == 0).await;
}

/// Enforced by the interrupt in `Outgoing::of`: a provider that looks sees the
/// cancellation, and one that does not look is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_request_ends_in_every_plugin() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    for steps in [["next", "until-cancelled"], ["next", "spin"]] {
        let interrupt = Interrupt::new();
        let context = CallContext {
            interrupt: interrupt.clone(),
            ..CallContext::default()
        };
        let (own, invocation) = (caller.clone(), perform(steps));
        let running = tokio::spawn(async move { call_with(&own, &invocation, context).await });
        soon(|| provider.stats().in_flight == 1).await;
        let stalls = Stalls::watch();
        let cancelled = Instant::now();
        interrupt.raise(Reason::Cancelled);
        match running.await.unwrap() {
            Ok(told) => assert_eq!((steps[1], &*told), ("until-cancelled", r#"ok("cancelled")"#)),
            Err(fault) => assert_eq!((steps[1], fault.code), ("spin", Code::Cancelled), "{fault}"),
        }
        let took = stalls.since(cancelled);
        assert!(took.own() < Duration::from_secs(2), "{took:?}");
        soon(|| caller.stats().instances + provider.stats().instances == 0).await;
    }
}

/// Enforced by `off_the_clock`: each pays for its own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processor_time_of_a_provider_is_not_the_callers() {
    let town = Town::new();
    let slow = town.spec("provider").cpu(Duration::from_millis(150));
    let provider = town.load(&slow, "guest-provider").await;
    let thrifty = town.caller("caller", "provider").cpu(Duration::from_millis(100));
    let caller = town.load(&thrifty, "guest-caller").await;
    let fault = call(&caller, &perform(["next", "spin"])).await.unwrap_err();
    assert_eq!(fault.code, Code::CpuLimit);
    assert_eq!(fault.chain().len(), 2, "{fault}");
    assert_eq!((caller.stats().traps, provider.stats().traps), (0, 1));
}
