//! Calls that are served by another plugin.

use odeon_runtime::{CallContext, EngineClass};
use odeon_tests::runtime::{call, call_blocking, spec};

use crate::town::{Town, circle, onwards, perform};

/// Enforced by `links::define` and `Outgoing::call`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_served_by_the_plugin_that_was_named() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    assert_eq!(call(&caller, "add(2, 3)").await.unwrap(), "5");
    assert_eq!(call(&caller, &perform(["next"])).await.unwrap(), r#"ok("done")"#);
    assert_eq!((caller.stats().calls, provider.stats().calls), (2, 2));
    let own = caller.clone();
    let blocking = std::thread::spawn(move || call_blocking(&own, "add(40, 2)", CallContext::default()));
    assert_eq!(blocking.join().unwrap().unwrap(), "42");
    assert_eq!(provider.stats().instances, 0);
}

/// The method's own error is a value like any other.
#[tokio::test]
async fn an_error_of_the_provider_is_a_value() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    let told = call(&caller, &perform(["next", "error"])).await.unwrap();
    assert_eq!(told, r#"err("as it was told")"#);
    let told = call(&caller, &perform(["try", "next", "error"])).await.unwrap();
    assert_eq!(told, r#"ok("told: as it was told")"#);
    assert_eq!((caller.stats().faults, provider.stats().faults), (0, 0));
}

/// Each of them has a store of its own.
#[tokio::test]
async fn a_resident_provider_keeps_its_state_and_a_resident_caller_its_own() {
    let town = Town::new();
    town.load(&town.spec("provider").resident(), "guest-provider")
        .await;
    let caller = town
        .load(&town.caller("caller", "provider").resident(), "guest-caller")
        .await;
    for expected in 1..=3 {
        let there = call(&caller, &perform(["next", "count"])).await.unwrap();
        assert_eq!(there, format!(r#"ok("{expected}")"#));
    }
    assert_eq!(call(&caller, &perform(["count"])).await.unwrap(), r#"ok("1")"#);
}

/// Enforced by `Neighbours::plugin`, which is asked at each call.
#[tokio::test]
async fn a_call_goes_to_the_generation_that_serves_then() {
    let town = Town::new();
    let resident = town.spec("provider").resident();
    town.load(&resident, "guest-provider").await;
    let caller = town
        .load(&town.caller("caller", "provider"), "guest-caller")
        .await;
    let count = || call(&caller, r#"perform(["next", "count"])"#);
    assert_eq!(count().await.unwrap(), r#"ok("1")"#);
    assert_eq!(count().await.unwrap(), r#"ok("2")"#);
    town.load(&resident, "guest-provider").await;
    assert_eq!(count().await.unwrap(), r#"ok("1")"#);
}

/// On other engines too: what crosses is bytes.
#[tokio::test]
async fn plugins_of_all_engine_classes_use_each_other() {
    let town = Town::new();
    for class in EngineClass::ALL {
        town.load(&town.spec("provider").class(class), "guest-provider")
            .await;
        for own in EngineClass::ALL {
            let caller = town
                .load(&town.caller("caller", "provider").class(own), "guest-caller")
                .await;
            assert_eq!(call(&caller, "add(2, 3)").await.unwrap(), "5", "{own} to {class}");
            let large = call(&caller, &perform(["next", "large", "100000"]))
                .await
                .unwrap();
            assert_eq!(large.len(), 100_000 + r#"ok("")"#.len());
        }
    }
}

/// Each guest has a stack of its own, and the host needs none of the caller's:
/// enforced by `func_wrap_async` in `links::define`, which runs each on a fiber.
#[test]
fn a_deep_chain_of_deep_guests_needs_no_deep_thread() {
    const FRAMES: &str = "4000";
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_stack_size(2 << 20)
        .enable_all()
        .build()
        .unwrap();
    let town = Town::new();
    let deepest = town
        .caller("caller", "caller")
        .limits(|limits| limits.link_depth = 32);
    let caller = tokio.block_on(circle(&town, &deepest));
    let mut steps = Vec::new();
    for _ in 0..31 {
        steps.extend(["deep", FRAMES, "next"]);
    }
    steps.extend(["deep", FRAMES]);
    let invocation = perform(steps);
    let (own, text) = (caller.clone(), invocation.clone());
    let tasked = tokio.block_on(async { tokio::spawn(async move { call(&own, &text).await }).await });
    assert_eq!(tasked.unwrap().unwrap(), r#"ok("done")"#);
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let blocking = thread.spawn(move || call_blocking(&caller, &invocation, CallContext::default()));
    assert_eq!(blocking.unwrap().join().unwrap().unwrap(), r#"ok("done")"#);
}

/// Enforced by `HOST_STACK`: what a plugin needs before its first call on a
/// worker is made on the stack of the caller's fiber.
#[test]
fn a_provider_is_made_ready_from_deep_inside_its_caller() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let town = Town::new();
    tokio.block_on(town.load(&town.spec("c"), "guest-provider"));
    tokio.block_on(town.load(&town.caller("b", "c"), "guest-caller"));
    let a = tokio.block_on(town.load(&town.caller("a", "b"), "guest-caller"));
    let deep = perform(["deep", "4000", "next", "deep", "4000", "next"]);
    for _ in 0..4 {
        let (a, deep) = (a.clone(), deep.clone());
        let thread = std::thread::spawn(move || call_blocking(&a, &deep, CallContext::default()));
        assert_eq!(thread.join().unwrap().unwrap(), r#"ok("done")"#);
    }
}

/// Several calls of one call, and many callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_a_provider() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    let calls = (0..8).map(|_| {
        let caller = caller.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                let done = call(&caller, &perform(["times", "4", "next"])).await;
                assert_eq!(done.unwrap(), r#"ok("done")"#);
            }
        })
    });
    for done in calls.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    assert_eq!((caller.stats().calls, provider.stats().calls), (400, 1600));
    assert_eq!((caller.stats().instances, provider.stats().instances), (0, 0));
}

/// What is not linked to anybody is as before.
#[tokio::test]
async fn a_chain_is_as_long_as_its_links() {
    let town = Town::new();
    town.load(&town.spec("c"), "guest-provider").await;
    town.load(&town.caller("b", "c"), "guest-caller").await;
    let a = town.load(&town.caller("a", "b"), "guest-caller").await;
    assert_eq!(call(&a, &onwards(2, &[])).await.unwrap(), r#"ok("done")"#);
    let told = call(&a, &onwards(3, &[])).await.unwrap();
    assert_eq!(told, r#"err("there is nobody next")"#);
    let alone = spec().load(&town.runtime, "guest-provider").await;
    assert_eq!(alone.links().count(), 0);
}
