//! Plugins that call each other in a circle.

use std::time::{Duration, Instant};

use odeon_protocol::Code;
use odeon_tests::runtime::{call, hits};
use odeon_tests::stall::Stalls;

use crate::town::{Town, circle, onwards, soon};

/// Enforced by `Outgoing::not_too_deep`. The hostile guest is `guest-caller`.
#[tokio::test]
async fn a_circle_ends_at_the_depth_and_the_chain_is_printed() {
    let town = Town::new();
    let b = town.load(&town.spec("b"), "guest-provider").await;
    let a = town.load(&town.caller("a", "b"), "guest-caller").await;
    let b = town
        .load(&town.caller(b.spec().name.as_str(), "a"), "guest-caller")
        .await;
    assert_eq!(call(&a, &onwards(7, &[])).await.unwrap(), r#"ok("done")"#);
    let fault = call(&a, &onwards(100, &[])).await.unwrap_err();
    assert_eq!(fault.code, Code::LinkDepth, "{fault}");
    assert_eq!(fault.chain().len(), 9);
    let method = |plugin: &str| format!("{plugin}/odeon-tests:links/steps.perform");
    let printed = [method("a"), method("b"), method("a")].join(" -> ");
    assert!(fault.message.contains(&printed), "{fault}");
    assert_eq!(fault.details.unwrap()["limit"], "link-depth");
    // The eighth of them is `b`.
    assert_eq!((hits(&a, "link-depth"), hits(&b, "link-depth")), (0, 1));
    assert_eq!((a.stats().traps, b.stats().traps), (0, 0));
    assert_eq!((a.stats().instances, b.stats().instances), (0, 0));
}

/// The limit is each plugin's own.
#[tokio::test]
async fn the_depth_is_as_it_is_set() {
    let town = Town::new();
    for depth in [1, 2, 32] {
        let spec = town.caller("a", "a").limits(|limits| limits.link_depth = depth);
        let a = circle(&town, &spec).await;
        let depth = usize::try_from(depth).unwrap();
        assert_eq!(call(&a, &onwards(depth - 1, &[])).await.unwrap(), r#"ok("done")"#);
        let fault = call(&a, &onwards(depth, &[])).await.unwrap_err();
        assert_eq!((fault.code, fault.chain().len()), (Code::LinkDepth, depth + 1));
    }
}

/// Enforced by `Outgoing::in_own_way`: it would wait for itself until its
/// deadline.
#[tokio::test]
async fn an_instance_that_is_in_the_chain_is_not_waited_for() {
    let town = Town::new();
    let b = town.load(&town.spec("b"), "guest-provider").await;
    let a = town.load(&town.caller("a", "b").resident(), "guest-caller").await;
    town.load(&town.caller(b.spec().name.as_str(), "a"), "guest-caller")
        .await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    let fault = call(&a, &onwards(3, &[])).await.unwrap_err();
    assert_eq!((fault.code, fault.chain().len()), (Code::LinkDepth, 3), "{fault}");
    assert!(
        fault
            .message
            .contains("all of whose instances are in this very call"),
        "{fault}"
    );
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(5), "{took:?}");
    // It is as good as new.
    assert_eq!(call(&a, &onwards(1, &[])).await.unwrap(), r#"ok("done")"#);
}

/// Circles that fill each other's gates end too, all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circles_of_many_callers_end() {
    let town = Town::new();
    let narrow = |spec: odeon_tests::runtime::Spec| {
        spec.limits(|limits| limits.calls_in_flight = 4)
            .deadline(Duration::from_secs(5))
    };
    let b = town.load(&town.spec("b"), "guest-provider").await;
    let a = town.load(&narrow(town.caller("a", "b")), "guest-caller").await;
    let b = town
        .load(&narrow(town.caller(b.spec().name.as_str(), "a")), "guest-caller")
        .await;
    let began = Instant::now();
    let calls: Vec<_> = (0..64)
        .map(|number| {
            let plugin = if number % 2 == 0 { a.clone() } else { b.clone() };
            tokio::spawn(async move { call(&plugin, &onwards(100, &[])).await })
        })
        .collect();
    for ended in calls {
        let fault = ended.await.unwrap().unwrap_err();
        let expected = [Code::LinkDepth, Code::Overloaded, Code::DeadlineLimit];
        assert!(expected.contains(&fault.code), "{fault}");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    soon(|| a.stats().in_flight + b.stats().in_flight == 0).await;
    soon(|| a.stats().instances + b.stats().instances == 0).await;
}
