//! What becomes of those who run at the old generation, and of those who wait
//! for it.

use std::time::Duration;

use odeon::{Args, CallRequest, Code, LimitsPatch, Outcome, ReplaceRequest, Source};
use odeon_tests::guests;

use super::{ONE, again, by, name, running};
use crate::host::{ephemeral, load, load_with, outcome, soon, state};

/// What runs goes on; enforced by `Host::drain_replaced`.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_on_the_old_generation_ends_there() {
    let host = ephemeral();
    load(&host, "guest-spin", "v").await;
    let mut slow = running(&host, "v/wait.sleep", "2000").await;
    host.replace(again("v")).await.unwrap();
    match outcome(&mut slow).await {
        Outcome::Succeeded(answer) => assert_eq!(answer.generation.0, 1),
        other => panic!("expected a result, found {other:?}"),
    }
    assert_eq!(host.list()[0].generation.0, 2);
}

/// Enforced by `Host::drain_replaced`.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_beyond_the_drain_time_ends_as_replaced() {
    let host = ephemeral();
    load(&host, "guest-spin", "v").await;
    let mut stuck = running(&host, "v/wait.sleep-forever", "").await;
    let mut request = again("v");
    request.drain = Duration::from_millis(50);
    host.replace(request).await.unwrap();
    match outcome(&mut stuck).await {
        Outcome::Cancelled(fault) => {
            assert_eq!(fault.code, Code::Cancelled);
            assert!(fault.message.contains("replaced"), "{}", fault.message);
        }
        other => panic!("expected a cancelled request, found {other:?}"),
    }
}

/// Who waits at the old generation waits no longer for it: enforced by
/// `Gate::retire`. However many wait, none is refused: by `Arrival::Moved`.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_moves_to_the_new_generation_however_many_there_are() {
    let host = ephemeral();
    let limits = LimitsPatch {
        calls_in_flight: Some(1),
        queue: Some(4),
        ..LimitsPatch::default()
    };
    load_with(&host, "guest-spin", "v", &[], limits).await;
    let mut stuck = running(&host, "v/wait.sleep-forever", "").await;
    let waiting = |count: u64| {
        let dump = host.status_dump();
        dump["plugins"]["v"]["waiting"] == count
    };
    let mut waiters: Vec<_> = (0..4)
        .map(|_| {
            host.request(CallRequest::new("v/wait.sleep", Args::Wave("20")))
                .unwrap()
                .1
        })
        .collect();
    soon("four wait", || waiting(4)).await;
    // The next has room for one, and none for others to wait.
    let folder = state();
    let described = folder.path().join("v.toml");
    let source = guests::component("guest-spin");
    let text = format!(
        "source = \"{}\"\nname = \"v\"\n[limits]\ncalls-in-flight = 1\nqueue = 0\n",
        source.display()
    );
    std::fs::write(&described, text).unwrap();
    let mut next = ReplaceRequest::new(name("v"), Source::Descriptor(described));
    next.allow_unsigned = true;
    host.replace(next).await.unwrap();
    for waiter in &mut waiters {
        match outcome(waiter).await {
            Outcome::Succeeded(answer) => assert_eq!(answer.generation.0, 2),
            other => panic!("expected a result, found {other:?}"),
        }
    }
    host.unload(&name("v"), odeon::UnloadMode::Now, host.principal())
        .await
        .unwrap();
    host.shutdown(Duration::ZERO).await;
    assert!(matches!(
        outcome(&mut stuck).await,
        Outcome::Cancelled(_) | Outcome::Failed { .. }
    ));
}

/// Nobody who waited is handed to a method of another type: enforced by
/// `Inner::follow`.
#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_changed_its_type_is_not_called_with_old_arguments() {
    let other = guests::assemble(
        "(component
           (core module $m (func (export \"busy\") (param i64) (result i32) i32.const 3))
           (core instance $i (instantiate $m))
           (func (export \"busy\") (param \"turns\" u64) (result u32) (canon lift (core func $i \"busy\"))))",
    );
    loop {
        let host = ephemeral();
        let limits = LimitsPatch {
            calls_in_flight: Some(1),
            ..LimitsPatch::default()
        };
        load_with(&host, ONE, "v", &[], limits).await;
        // The most that it counts down from.
        let _stuck = running(&host, "v/busy", "2147483647").await;
        let (_, mut waiter) = host.request(CallRequest::new("v/busy", Args::Wave("1"))).unwrap();
        soon("it waits", || host.status_dump()["plugins"]["v"]["waiting"] == 1).await;
        let request = ReplaceRequest {
            source: Some(Source::Bytes(other.clone())),
            ..by("v", ONE)
        };
        host.replace(request).await.unwrap();
        let end = outcome(&mut waiter).await;
        host.shutdown(Duration::ZERO).await;
        match end {
            // There is a `busy` in both; what it takes is not the same.
            Outcome::Rejected(fault) | Outcome::Failed { fault, .. } => {
                assert_eq!(fault.code, Code::VersionMismatch, "{fault:?}");
                return;
            }
            // The one in its place was done before the next version came.
            Outcome::Succeeded(answer) if answer.generation.0 == 1 => {}
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
}
