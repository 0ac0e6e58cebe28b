//! Linked calls of a task, and on a thread of the caller's own: what goes along,
//! what ends them and what each pays for is the same, whether the provider has a
//! stack of its own or runs on its caller's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use odeon_protocol::{Code, Serial};
use odeon_runtime::{CallContext, Interrupt, Plugin, Reason};
use odeon_tests::clock::process_cpu;
use odeon_tests::guests;
use odeon_tests::records::Records;
use odeon_tests::runtime::hits;
use odeon_tests::way::Way;

use crate::town::{Town, perform, soon};

/// Longer than anything here takes, and shorter than a provider's own deadline.
const LONG: Duration = Duration::from_secs(20);

/// Enforced by `Outgoing::of`, whose context `Plugin::call_nested` passes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_the_serial_and_the_time_left_go_along_either_way() {
    for way in Way::BOTH {
        let town = Town::new();
        town.load(&town.spec("provider"), "guest-provider").await;
        let hurried = town.caller("caller", "provider").deadline(Duration::from_secs(5));
        let caller = town.load(&hurried, "guest-caller").await;
        let serial = Serial::new();
        let context = CallContext {
            serial: Some(serial),
            callers: Arc::from([Principal::LocalUser { uid: 7 }]),
            user_data: Some(r#"{"for":"caller"}"#.into()),
            ..CallContext::default()
        };
        let facts = way.begin(&caller, &perform(["next", "facts"]), context);
        let facts = facts.ended().await.unwrap();
        let expected = format!(r#"ok("serial {serial} callers user:7,plugin:caller data  left "#);
        let left = facts
            .strip_prefix(&expected)
            .unwrap_or_else(|| panic!("{way:?}: {facts}"));
        let left: u64 = left.trim_end_matches("\")").parse().unwrap();
        assert!(left <= 5000, "{way:?}: {left} ms are left");
    }
}

/// Enforced by `Outgoing::is_deepest` and `Outgoing::not_too_deep`. It is counted
/// once.
#[tokio::test]
async fn a_chain_has_so_many_plugins_either_way() {
    for way in Way::BOTH {
        let town = Town::new();
        let provider = town.load(&town.spec("provider"), "guest-provider").await;
        let alone = town
            .caller("caller", "provider")
            .limits(|limits| limits.link_depth = 1);
        let caller = town.load(&alone, "guest-caller").await;
        let fault = way.call(&caller, &perform(["next"])).await.unwrap_err();
        assert_eq!(
            (fault.code, fault.chain().len()),
            (Code::LinkDepth, 2),
            "{way:?}: {fault}"
        );
        assert_eq!(hits(&caller, "link-depth"), 1, "{way:?}");
        assert_eq!(provider.stats().calls, 0, "{way:?}");
    }
}

/// Enforced by the deadline in `Outgoing::of`: the provider has no more time than
/// its caller, be it the caller's own limit or the patience of whoever called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_the_caller_ends_both_either_way() {
    const SHORT: Duration = Duration::from_millis(200);
    for (way, own) in Way::BOTH.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let town = Town::new();
        let unhurried = town.spec("provider").cpu(2 * LONG).deadline(2 * LONG);
        let provider = town.load(&unhurried, "guest-provider").await;
        let spec = town.caller("caller", "provider").cpu(2 * LONG);
        let spec = spec.deadline(if own { SHORT } else { 2 * LONG });
        let caller = town.load(&spec, "guest-caller").await;
        let began = Instant::now();
        let context = CallContext {
            wait_until: (!own).then(|| began + SHORT),
            ..CallContext::default()
        };
        let running = way.begin(&caller, &perform(["next", "spin"]), context);
        let fault = running.ended().await.unwrap_err();
        let code = if own { Code::DeadlineLimit } else { Code::WaitEnded };
        assert_eq!(fault.code, code, "{way:?}: {fault}");
        assert!(
            fault.chain().is_empty(),
            "{way:?}: it is the caller's own end: {fault}"
        );
        assert!(began.elapsed() < LONG, "{way:?}: {:?}", began.elapsed());
        soon(|| provider.stats().in_flight == 0 && provider.stats().instances == 0).await;
        assert_eq!(provider.stats().traps, 0, "{way:?}");
    }
}

/// Enforced by the interrupt in `Outgoing::of`: a provider that looks sees the
/// cancellation, and one that does not look is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_is_the_providers_too_either_way() {
    for way in Way::BOTH {
        let town = Town::new();
        let unhurried = town.spec("provider").cpu(2 * LONG).deadline(2 * LONG);
        let provider = town.load(&unhurried, "guest-provider").await;
        let spec = town.caller("caller", "provider").cpu(2 * LONG);
        let caller = town.load(&spec.deadline(2 * LONG), "guest-caller").await;
        for step in ["until-cancelled", "spin"] {
            let interrupt = Interrupt::new();
            let context = CallContext {
                interrupt: interrupt.clone(),
                ..CallContext::default()
            };
            let running = way.begin(&caller, &perform(["next", step]), context);
            soon(|| provider.stats().in_flight == 1).await;
            let cancelled = Instant::now();
            interrupt.raise(Reason::Cancelled);
            match running.ended().await {
                Ok(told) => assert_eq!(told, r#"ok("cancelled")"#, "{way:?} {step}"),
                Err(fault) => assert_eq!(fault.code, Code::Cancelled, "{way:?} {step}: {fault}"),
            }
            assert!(cancelled.elapsed() < LONG, "{way:?}: {:?}", cancelled.elapsed());
            soon(|| caller.stats().instances + provider.stats().instances == 0).await;
        }
    }
}

/// Enforced by `Call::ends_caller`, and by the future of the call that a task
/// drops: the end of the caller's service is not the provider's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_unloaded_ends_in_its_provider_either_way() {
    for way in Way::BOTH {
        let town = Town::new();
        let unhurried = town.spec("provider").cpu(2 * LONG).deadline(2 * LONG);
        let provider = town.load(&unhurried, "guest-provider").await;
        let spec = town.caller("caller", "provider").cpu(2 * LONG);
        let caller = town.load(&spec.deadline(2 * LONG), "guest-caller").await;
        let running = way.begin(&caller, &perform(["next", "spin"]), CallContext::default());
        soon(|| provider.stats().in_flight == 1).await;
        let unloaded = Instant::now();
        caller.interrupt(Reason::Unloaded);
        let fault = running.ended().await.unwrap_err();
        assert_eq!(fault.code, Code::Unloaded, "{way:?}: {fault}");
        assert!(fault.chain().is_empty(), "{way:?}: {fault}");
        assert!(unloaded.elapsed() < LONG, "{way:?}: {:?}", unloaded.elapsed());
        soon(|| provider.stats().in_flight == 0 && provider.stats().instances == 0).await;
        let unloaded = Code::Unloaded.as_str();
        assert_eq!(provider.stats().faults_by_code.get(unloaded), None, "{way:?}");
        let told = way.call(&provider, &perform(["version"])).await;
        assert_eq!(told.unwrap(), r#"ok("answered by version 1")"#, "{way:?}");
    }
}

/// What these steps of a caller take of the processor, in whichever way, and how
/// they end with a quarter of that as the caller's own limit.
async fn with_a_quarter(way: Way, steps: &[&str]) -> (Plugin, Result<String, odeon_protocol::Fault>) {
    let town = Town::new();
    // One that is made once, so that making it is not what takes the time.
    let provider = town.spec("provider").resident().deadline(2 * LONG);
    town.load(&provider.cpu(2 * LONG), "guest-provider").await;
    let spec = |cpu: Duration| town.caller("caller", "provider").deadline(2 * LONG).cpu(cpu);
    let generous = town.load(&spec(2 * LONG), "guest-caller").await;
    let before = process_cpu();
    way.call(&generous, &perform(steps))
        .await
        .unwrap_or_else(|fault| panic!("{way:?}: {fault}"));
    let used = process_cpu() - before;
    let thrifty = town.load(&spec(used / 4), "guest-caller").await;
    let ended = way.call(&thrifty, &perform(steps)).await;
    println!("{way:?} {steps:?}: {used:?} of processor time in all");
    (thrifty, ended)
}

/// Enforced by the clock that `Outgoing::call_nested` and `off_the_clock` stop and
/// start again: processor time of a provider is not its caller's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_computes_at_its_own_cost_either_way() {
    for way in Way::BOTH {
        // Nearly all of it is the provider's.
        let rest = ["next", "busy", "10000000", "count"];
        let steps = [&["times", "20", "busy", "20000"], &rest[..]].concat();
        let (caller, ended) = with_a_quarter(way, &steps).await;
        assert!(ended.is_ok(), "{way:?}: {ended:?}");
        assert_eq!(hits(&caller, "cpu"), 0, "{way:?}");
    }
}

/// The same for the time before each call, which is the caller's: it is charged
/// when the clock is stopped, and for no other reason where a tick is long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_calls_often_pays_for_what_is_in_between_either_way() {
    for way in Way::BOTH {
        // Much less than a tick between two calls, and nearly all of it the caller's.
        let steps = ["times", "12000", "busy", "50000", "next", "count"];
        let (caller, ended) = with_a_quarter(way, &steps).await;
        let fault = ended.expect_err("it takes four times as much as it may");
        assert_eq!(fault.code, Code::CpuLimit, "{way:?}: {fault}");
        assert!(fault.chain().is_empty(), "{way:?}: it is the caller's: {fault}");
        assert_eq!(hits(&caller, "cpu"), 1, "{way:?}");
    }
}

/// Enforced by `Neighbours::plugin`, which is asked at each call: also in the
/// middle of one call of the caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_replaced_meanwhile_is_followed_either_way() {
    for way in Way::BOTH {
        let town = Town::new();
        let first = town.load(&town.spec("provider"), "guest-provider").await;
        let better = guests::version("guest-provider", 2);
        let spec = town.spec("provider");
        let second = spec.prepare(&town.runtime, &better).await.unwrap();
        let caller = town.caller("caller", "provider").deadline(LONG);
        let caller = town.load(&caller, "guest-caller").await;
        let steps = ["until-other", "next", "busy", "100000", "version"];
        let running = way.begin(&caller, &perform(steps), CallContext::default());
        soon(|| first.stats().calls > 0).await;
        town.put(&first.spec().name, &second);
        let told = running.ended().await.unwrap();
        assert_eq!(told, r#"ok("answered by version 2")"#, "{way:?}");
        assert_eq!((caller.stats().calls, second.stats().calls), (1, 1), "{way:?}");
    }
}

/// Enforced by `Hop::serial`: all calls of a chain have one, also where nobody has
/// given it.
#[tokio::test]
async fn a_chain_has_one_serial_either_way() {
    for way in Way::BOTH {
        let town = Town::new();
        town.load(&town.spec("provider"), "guest-provider").await;
        for resident in [false, true] {
            let spec = town.caller("caller", "provider");
            let spec = if resident { spec.resident() } else { spec };
            let caller = town.load(&spec, "guest-caller").await;
            let mut serials = BTreeSet::new();
            for _ in 0..3 {
                let same = way.call(&caller, &perform(["same-serial", "facts"])).await;
                assert_eq!(same.unwrap(), "ok(\"true\")", "{way:?}");
                serials.insert(way.call(&caller, &perform(["next", "facts"])).await.unwrap());
            }
            assert_eq!(serials.len(), 3, "{way:?}: each request has its own: {serials:?}");
        }
    }
}

/// Enforced by `HostState::begin` and `End::of`: where both come at the same time,
/// it was the caller's, and nothing is held against the provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_deadline_of_both_is_the_callers() {
    const BOTH: Duration = Duration::from_millis(100);
    for way in Way::BOTH {
        let town = Town::new();
        let provider = town.spec("provider").cpu(LONG).deadline(BOTH);
        let provider = town.load(&provider, "guest-provider").await;
        let caller = town.caller("caller", "provider").cpu(LONG).deadline(BOTH);
        let caller = town.load(&caller, "guest-caller").await;
        for _ in 0..5 {
            let fault = way.call(&caller, &perform(["next", "spin"])).await.unwrap_err();
            assert_eq!(
                (fault.code, fault.chain()),
                (Code::DeadlineLimit, Vec::new()),
                "{way:?}: {fault}"
            );
        }
        assert_eq!(provider.stats().traps, 0, "{way:?}");
    }
}

/// Enforced by `HostState::end`: an instance that waits for its next call keeps
/// nobody for whom it has worked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_was_worked_for_is_gone_when_it_is_unloaded() {
    for way in Way::BOTH {
        let town = Town::new();
        town.load(&town.spec("last"), "guest-provider").await;
        // It can call others, and has asked what it may use.
        let deputy = town.caller("deputy", "last").resident();
        let deputy = town.load(&deputy, "guest-caller").await;
        let record = Arc::new(Records::default());
        let kept = Arc::downgrade(&record);
        let spec = town.caller("caller", "deputy").audit(record);
        let caller = town.load(&spec, "guest-caller").await;
        let asked = way
            .call(&caller, &perform(["next", "try", "secret", "key"]))
            .await;
        assert!(asked.unwrap().contains("told"), "{way:?}");
        way.call(&caller, &perform(["next", "next", "version"]))
            .await
            .unwrap();
        assert_eq!(deputy.stats().instances, 1, "{way:?}");
        town.remove("caller");
        drop((spec, caller));
        soon(|| kept.upgrade().is_none()).await;
    }
}
