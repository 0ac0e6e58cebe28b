//! What a caller is told when the plugin that it uses does not answer.

use std::time::{Duration, Instant};

use odeon_protocol::{Code, Retry};
use odeon_runtime::Reason;
use odeon_tests::guests;
use odeon_tests::runtime::{call, hits};
use odeon_tests::stall::Stalls;

use crate::town::{Town, onwards, perform, soon};

/// Enforced by `PassedOn` and `Outgoing::passed_on`.
#[tokio::test]
async fn a_trap_of_the_provider_ends_the_caller_and_says_where() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    let fault = call(&caller, &perform(["next", "trap"])).await.unwrap_err();
    assert_eq!((fault.code, fault.retry()), (Code::Trapped, Retry::Unsafe));
    assert_eq!(
        fault.chain(),
        [
            "caller/odeon-tests:links/steps.perform",
            "provider/odeon-tests:links/steps.perform"
        ]
    );
    assert!(
        fault
            .message
            .starts_with("caller/odeon-tests:links/steps.perform called provider/"),
        "{fault}"
    );
    let frames = fault.backtrace.expect("the provider's frames");
    assert!(
        frames.iter().all(|frame| frame.starts_with("guest_provider")),
        "{frames:?}"
    );
    let (own, its) = (caller.stats(), provider.stats());
    assert_eq!(
        (own.faults, own.traps),
        (1, 0),
        "the provider's trap is not the caller's"
    );
    assert_eq!((its.faults, its.traps), (1, 1));
    assert_eq!(own.faults_by_code.get("ODN-2001"), Some(&1));
    let ended = "provider provider/odeon-tests:links/steps.perform ODN-2001";
    assert_eq!(town.ended(), [ended]);
}

/// The last of a chain is named once, by whoever was told first.
#[tokio::test]
async fn the_fault_of_the_last_goes_through_all_before_it() {
    let town = Town::new();
    town.load(&town.spec("c"), "guest-provider").await;
    town.load(&town.caller("b", "c"), "guest-caller").await;
    let a = town.load(&town.caller("a", "b"), "guest-caller").await;
    let fault = call(&a, &onwards(2, &["trap"])).await.unwrap_err();
    let plugins: Vec<String> = fault
        .chain()
        .iter()
        .map(|method| method.split('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(plugins, ["a", "b", "c"]);
    assert_eq!(fault.message.matches("ended so").count(), 1, "{fault}");
    assert_eq!(town.ended().len(), 1, "{:?}", town.ended());
}

/// Enforced by the provider's own limits; counted there and not at the caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_the_provider_is_the_providers() {
    let town = Town::new();
    let provider = town
        .load(
            &town.spec("provider").cpu(Duration::from_millis(500)).memory(4),
            "guest-provider",
        )
        .await;
    let caller = town
        .load(&town.caller("caller", "provider"), "guest-caller")
        .await;
    for (step, code, limit) in [
        ("spin", Code::CpuLimit, "cpu"),
        ("grow", Code::MemoryLimit, "memory"),
    ] {
        let fault = call(&caller, &perform(["next", step])).await.unwrap_err();
        assert_eq!((fault.code, fault.chain().len()), (code, 2), "{fault}");
        assert_eq!(hits(&caller, limit), 0, "{limit}");
        assert!(hits(&provider, limit) > 0, "{limit}");
    }
    assert_eq!(caller.stats().traps, 0);
}

/// Enforced by `Outgoing::away`.
#[tokio::test]
async fn a_provider_that_is_away_is_unavailable_at_once_and_is_back_when_it_is() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    town.remove("provider");
    let stalls = Stalls::watch();
    let began = Instant::now();
    let fault = call(&caller, "add(1, 2)").await.unwrap_err();
    assert_eq!(fault.code, Code::LinkUnavailable, "{fault}");
    assert!(fault.message.contains("provider is not loaded"), "{fault}");
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(2), "{took:?}");
    town.put(&provider.spec().name, &provider);
    assert_eq!(call(&caller, "add(1, 2)").await.unwrap(), "3");
}

/// What is on its way out takes no calls of other plugins either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_unloaded_ends_the_calls_that_it_has() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    let (own, invocation) = (caller.clone(), perform(["next", "spin"]));
    let running = tokio::spawn(async move { call(&own, &invocation).await });
    soon(|| provider.stats().in_flight == 1).await;
    provider.interrupt(Reason::Unloaded);
    let fault = running.await.unwrap().unwrap_err();
    assert_eq!((fault.code, fault.chain().len()), (Code::Unloaded, 2), "{fault}");
    let late = call(&caller, "add(1, 2)").await.unwrap_err();
    assert_eq!(late.code, Code::LinkUnavailable, "{late}");
}

/// A fault that says "nothing was executed" is not true of the caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_provider_is_overloaded_and_the_caller_not_to_be_repeated_blindly() {
    let town = Town::new();
    let narrow = town.spec("provider").limits(|limits| {
        limits.calls_in_flight = 1;
        limits.queue = 0;
    });
    let provider = town.load(&narrow, "guest-provider").await;
    let caller = town
        .load(&town.caller("caller", "provider"), "guest-caller")
        .await;
    let busy = provider.clone();
    let running = tokio::spawn(async move { call(&busy, &perform(["spin"])).await });
    soon(|| provider.stats().in_flight == 1).await;
    let fault = call(&caller, "add(1, 2)").await.unwrap_err();
    assert_eq!(
        (fault.code, fault.retry()),
        (Code::Overloaded, Retry::Unsafe),
        "{fault}"
    );
    assert!(fault.details.unwrap().get("executed").is_none());
    assert_eq!((hits(&caller, "queue"), hits(&provider, "queue")), (0, 1));
    provider.interrupt(Reason::Unloaded);
    assert!(running.await.unwrap().is_err());
}

/// Enforced by the check of arguments in `Outgoing::call`: what a caller may
/// hold is not what its provider takes.
#[tokio::test]
async fn arguments_are_within_the_limits_of_the_provider() {
    let town = Town::new();
    let small = town
        .spec("provider")
        .limits(|limits| limits.message = odeon_authority::ByteSize::kib(64));
    let provider = town.load(&small, "guest-provider").await;
    let caller = town
        .load(&town.caller("caller", "provider"), "guest-caller")
        .await;
    let fits = call(&caller, &perform(["carry", "60000", "next", "count"])).await;
    assert_eq!(fits.unwrap(), r#"ok("1")"#);
    let fault = call(&caller, &perform(["carry", "70000", "next", "count"]))
        .await
        .unwrap_err();
    assert_eq!(
        (fault.code, fault.chain().len()),
        (Code::MessageTooLarge, 2),
        "{fault}"
    );
    assert_eq!(hits(&provider, "message"), 1);
    let large = call(&caller, &perform(["next", "large", "70000"]))
        .await
        .unwrap_err();
    assert_eq!(large.code, Code::ResultTooLarge, "{large}");
}

/// Enforced by `LinkedFunction::search`.
#[tokio::test]
async fn a_provider_of_another_type_is_a_version_mismatch() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    assert_eq!(call(&caller, "add(1, 2)").await.unwrap(), "3");
    let other = r#"(component
        (core module $m (func (export "add") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1))))
        (core instance $i (instantiate $m))
        (func $add (param "a" u64) (param "b" u64) (result u64) (canon lift (core func $i "add")))
        (instance $steps (export "add" (func $add)))
        (export "odeon-tests:links/steps@0.1.0" (instance $steps)))"#;
    let mut spec = town.spec("provider").build();
    spec.generation = odeon_protocol::Generation(2);
    let replaced = town
        .runtime
        .prepare(&guests::assemble(other), spec)
        .await
        .unwrap();
    town.put(&provider.spec().name, &replaced);
    let fault = call(&caller, "add(1, 2)").await.unwrap_err();
    assert_eq!(fault.code, Code::VersionMismatch, "{fault}");
    assert!(
        fault
            .message
            .contains("add of odeon-tests:links/steps@0.1.0 has another type"),
        "{fault}"
    );
    let gone = call(&caller, &perform(["next"])).await.unwrap_err();
    assert!(gone.message.contains("the function perform"), "{gone}");
    assert!(!caller.check_link(&replaced).is_empty());
    town.put(&provider.spec().name, &provider);
    assert_eq!(call(&caller, "add(1, 2)").await.unwrap(), "3");
}

/// A provider that traps at every call is not a caller that does.
#[tokio::test]
async fn nothing_of_a_fault_stays_behind() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    for _ in 0..200 {
        let fault = call(&caller, &perform(["next", "trap"])).await.unwrap_err();
        assert_eq!(fault.code, Code::Trapped);
        let fault = call(&caller, &perform(["next", "recurse"])).await.unwrap_err();
        assert_eq!(fault.code, Code::StackLimit);
        assert_eq!(call(&caller, "add(1, 2)").await.unwrap(), "3");
    }
    assert_eq!((caller.stats().traps, provider.stats().traps), (0, 400));
    assert_eq!((caller.stats().instances, provider.stats().instances), (0, 0));
    assert_eq!((caller.stats().memory, provider.stats().memory), (0, 0));
}
