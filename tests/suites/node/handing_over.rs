//! The state of a resident plugin goes over to the generation in its place, or
//! the old one serves on with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use odeon::{
    Args, CallOptions, CallRequest, Code, Host, LimitsPatch, LoadRequest, Outcome, ReplaceRequest, Source,
};
use odeon_authority::{InstanceMode, TimeSpan};
use odeon_tests::guests;

use crate::host::{ephemeral, fault, outcome, request, soon};

/// Another guest in the place of `v`, although nothing vouches for it.
fn by(guest: &str) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new("v".parse().unwrap(), Source::Component(guests::component(guest)))
    }
}

fn resident(guest: &str) -> LoadRequest {
    let mut load = request(guest, "v", &[]);
    load.placing.instance = Some(InstanceMode::Resident);
    load.placing.workers = Some(1);
    load
}

/// The guest whose state is the number of its calls, with two of them made.
async fn counted(host: &Host, deadline: TimeSpan, config: &[(&str, &str)]) {
    let mut load = resident("guest-lifecycle").with_limits(LimitsPatch {
        load_deadline: Some(deadline),
        ..LimitsPatch::default()
    });
    load.config = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    host.load(load).await.unwrap();
    assert_eq!(ask(host, "calls", "").await, "1");
    assert_eq!(ask(host, "calls", "").await, "2");
}

async fn ask(host: &Host, function: &str, args: &str) -> String {
    let reply = host
        .call(&format!("v/{function}"), Args::Wave(args), CallOptions::default())
        .await
        .expect("an answer");
    reply.wave().unwrap()
}

/// Enforced by `Host::hand_over`.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_version_goes_on_from_the_state_of_the_last() {
    let host = ephemeral();
    host.load(resident("sample-counter")).await.unwrap();
    assert_eq!(ask(&host, "increment", "41").await, "ok(41)");
    let report = host.replace(by("sample-counter-v2")).await.unwrap();
    assert!(
        report.state_handed_over && report.loaded.warnings.is_empty(),
        "{report:?}"
    );
    assert_eq!(ask(&host, "increment", "1").await, "ok(42)");
    assert_eq!(ask(&host, "steps", "").await, "1");
    // The same version reads its own form too.
    assert!(
        host.replace(by("sample-counter-v2"))
            .await
            .unwrap()
            .state_handed_over
    );
    assert_eq!(ask(&host, "steps", "").await, "1");
    // The first version does not know it, and says so.
    let refused = fault(host.replace(by("sample-counter")).await);
    assert_eq!(refused.code, Code::StateHandover);
    assert!(
        refused.message.contains("unknown-format(\"counter/1\")"),
        "{}",
        refused.message
    );
    assert_eq!(ask(&host, "value", "").await, "42");
}

/// Every way in which the hooks fail: the old generation serves on. Its state is
/// gone only where its own instance is: after a trap or at a limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_not_handed_over_stays_where_it_is() {
    for (hook, how, words, next) in [
        ("save", "fail", "it does not want to", "3"),
        ("save", "huge", "ODN-2012", "1"),
        ("save", "trap", "ODN-2001", "1"),
        ("save", "spin", "ODN-20", "1"),
        ("save", "sleep", "raise limits.load-deadline", "1"),
        ("restore", "unknown-format", "unknown-format(\"another\")", "3"),
        ("restore", "trap", "ODN-2001", "3"),
        ("restore", "spin", "ODN-20", "3"),
        ("restore", "sleep", "raise limits.load-deadline", "3"),
        ("restore", "grow", "ODN-2002", "3"),
    ] {
        let host = ephemeral();
        // Only what has no end of its own is waited for: all else has time enough,
        // however busy the machine is.
        let deadline = match how {
            "spin" | "sleep" => TimeSpan::millis(1_500),
            _ => TimeSpan::secs(20),
        };
        counted(&host, deadline, &[(hook, how)]).await;
        let refused = fault(host.replace(by("guest-lifecycle")).await);
        assert_eq!(refused.code, Code::StateHandover, "{hook} {how}: {refused:?}");
        assert!(
            refused.message.contains(words),
            "{hook} {how}: expected {words:?} in {:?}",
            refused.message
        );
        assert_eq!(ask(&host, "calls", "").await, next, "{hook} {how}");
        assert_eq!(host.list()[0].generation.0, 1, "{hook} {how}");
    }
}

/// Enforced by `Plugin::restore`.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_no_longer_than_a_message_of_the_next() {
    let host = ephemeral();
    counted(&host, TimeSpan::secs(5), &[]).await;
    let folder = crate::host::state();
    let descriptor = folder.path().join("v.toml");
    let text = format!(
        "name = \"v\"\nsource = \"{}\"\ninstance = \"resident\"\nworkers = 1\n[limits]\nmessage = \"16B\"\n",
        guests::component("guest-lifecycle").display()
    );
    std::fs::write(&descriptor, text).unwrap();
    let request = ReplaceRequest {
        source: Some(Source::Descriptor(descriptor)),
        ..by("guest-lifecycle")
    };
    let refused = fault(host.replace(request).await);
    assert_eq!(refused.code, Code::StateHandover);
    assert!(
        refused.message.contains("raise limits.message"),
        "{}",
        refused.message
    );
    assert_eq!(ask(&host, "calls", "").await, "3");
}

/// Calls that run end first, and those that come wait: none sees half a state,
/// and none is lost. Enforced by `Held`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_step_is_lost_while_versions_come_and_go() {
    let host = crate::host::builder()
        .workers(2)
        .host_limits(crate::host::few_loads(60_000))
        .start()
        .unwrap();
    host.load(resident("sample-counter-v2")).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (host, done) = (host.clone(), done.clone());
            tokio::spawn(async move {
                let mut steps = 0_u64;
                while !done.load(Ordering::SeqCst) {
                    assert!(ask(&host, "increment", "1").await.starts_with("ok("));
                    steps += 1;
                }
                steps
            })
        })
        .collect();
    for _ in 0..20 {
        let mut request = by("sample-counter-v2");
        request.health_window = Duration::ZERO;
        assert!(host.replace(request).await.unwrap().state_handed_over);
    }
    done.store(true, Ordering::SeqCst);
    let mut steps = 0;
    for caller in callers {
        steps += caller.await.unwrap();
    }
    assert!(steps > 20, "{steps}");
    assert_eq!(ask(&host, "value", "").await, steps.to_string());
    assert_eq!(ask(&host, "steps", "").await, steps.to_string());
    host.shutdown(Duration::from_secs(5)).await;
}

/// A call that does not end keeps its state, and the replace is refused: enforced
/// by the drain of `Host::hand_over`. Who waited meanwhile is answered by the old
/// generation: enforced by the drop of `Held`.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_in_use_is_not_taken_away() {
    let host = ephemeral();
    host.load(resident("guest-lifecycle")).await.unwrap();
    let (_, mut long) = host
        .request(CallRequest::new("v/sleep", Args::Wave("4000")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
    let replacing = tokio::spawn({
        let host = host.clone();
        async move {
            let mut request = by("guest-lifecycle");
            request.drain = Duration::from_millis(100);
            host.replace(request).await
        }
    });
    let refused = fault(replacing.await.unwrap());
    assert_eq!(refused.code, Code::StateHandover);
    assert!(refused.message.contains("longer drain"), "{}", refused.message);
    let (_, mut waiter) = host
        .request(CallRequest::new("v/sleep", Args::Wave("1")))
        .unwrap();
    for ended in [outcome(&mut long).await, outcome(&mut waiter).await] {
        match ended {
            Outcome::Succeeded(answer) => assert_eq!(answer.generation.0, 1),
            other => panic!("expected a result, found {other:?}"),
        }
    }
    // With time enough, it is handed over after that.
    assert!(
        host.replace(by("guest-lifecycle"))
            .await
            .unwrap()
            .state_handed_over
    );
}

/// The old generation serves on if nobody waits for the replace any more:
/// enforced by the drop of `Held`.
#[tokio::test(flavor = "multi_thread")]
async fn a_replace_that_is_given_up_holds_nobody() {
    let host = ephemeral();
    counted(&host, TimeSpan::secs(30), &[("restore", "sleep")]).await;
    let replacing = tokio::spawn({
        let host = host.clone();
        async move { host.replace(by("guest-lifecycle")).await }
    });
    // Whoever calls is answered until the state is handed over, and waits then.
    let mut waiter = loop {
        let (_, mut asked) = host
            .request(CallRequest::new("v/sleep", Args::Wave("1")))
            .unwrap();
        let answered = tokio::time::timeout(Duration::from_millis(200), outcome(&mut asked)).await;
        if answered.is_err() && host.status_dump()["plugins"]["v"]["waiting"] == 1 {
            break asked;
        }
        assert!(!replacing.is_finished(), "the new one never ends its restore");
    };
    replacing.abort();
    match outcome(&mut waiter).await {
        Outcome::Succeeded(answer) => assert_eq!(answer.generation.0, 1),
        other => panic!("expected a result, found {other:?}"),
    }
    assert_eq!(ask(&host, "calls", "").await, "3");
}

/// What keeps its state in several instances, or in none, has nothing to hand
/// over, and the operator is told: enforced by `Plugin::hands_over`.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_split_is_left_behind_and_that_is_said() {
    let host = ephemeral();
    let mut two = resident("sample-counter");
    two.placing.workers = Some(2);
    host.load(two).await.unwrap();
    ask(&host, "increment", "5").await;
    let report = host.replace(by("sample-counter")).await.unwrap();
    assert!(!report.state_handed_over);
    assert!(
        report
            .loaded
            .warnings
            .iter()
            .any(|said| said.contains("is not handed over")),
        "{:?}",
        report.loaded.warnings
    );
    assert_eq!(ask(&host, "value", "").await, "0");
}

/// Callers cannot reach the hooks: enforced by `Export::is_hook`.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_calls_save_or_restore() {
    let host = ephemeral();
    host.load(resident("sample-counter")).await.unwrap();
    for hook in ["save", "state.save", "odeon:plugin/state@0.1.0.save"] {
        let path = format!("v/{hook}");
        let called = host.call(&path, Args::Wave(""), CallOptions::default());
        assert_eq!(fault(called.await).code, Code::MethodNotFound, "{hook}");
    }
    let described = host.describe(&"v".parse().unwrap()).unwrap();
    assert!(
        described
            .methods
            .iter()
            .all(|method| !method.path.contains("save"))
    );
}
