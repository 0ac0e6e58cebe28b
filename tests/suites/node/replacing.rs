//! Another generation in the place of the one that serves: no call is lost, and
//! none is answered by the old one after the first by the new one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use odeon::{
    Args, CallOptions, CallRequest, Code, Host, LimitsPatch, LoadRequest, Outcome, ReplaceRequest, Source,
};
use odeon_authority::{InstanceMode, TimeSpan};
use odeon_protocol::PluginName;
use odeon_tests::guests;

use crate::host::{at, audit, builder, ephemeral, fault, load, load_with, outcome, request, soon, state};

const ONE: &str = "wat-version-one";
const TWO: &str = "wat-version-two";
const THREE: &str = "wat-version-three";

/// Another guest for this name, although nothing vouches for it.
fn by(name: &str, guest: &str) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new(name.parse().unwrap(), Source::Component(guests::component(guest)))
    }
}

/// The same file again.
fn again(name: &str) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::reload(name.parse().unwrap())
    }
}

fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

/// What serves, by generation and answer.
async fn answer(host: &Host) -> (u64, String) {
    let reply = host
        .call("v/answer", Args::Wave(""), CallOptions::default())
        .await
        .expect("an answer");
    (reply.generation.0, reply.wave().unwrap())
}

/// Enforced by `Reservation::switch`.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_answers_from_the_switch_on() {
    let folder = state();
    let host = at(folder.path());
    load(&host, ONE, "v").await;
    let add = host.method("v/answer").unwrap();
    let typed = host.typed::<(), (u32,)>("v/answer").unwrap();
    assert_eq!(answer(&host).await, (1, "1".to_owned()));

    let report = host.replace(by("v", TWO)).await.unwrap();
    assert_eq!((report.from.0, report.loaded.generation.0), (1, 2));
    assert_eq!(answer(&host).await, (2, "2".to_owned()));
    // What was looked up before finds the new generation.
    assert_eq!(add.call(&[]).unwrap().bytes, [2, 0, 0, 0]);
    assert_eq!(typed.call(()).unwrap(), (2,));
    assert_eq!(host.call_encoded("v/answer", &[]).unwrap().bytes, [2, 0, 0, 0]);
    let event = audit(folder.path())
        .into_iter()
        .map(|line| line["event"].clone())
        .find(|event| event["kind"] == "replace")
        .expect("a line in the audit");
    assert_eq!(
        (&event["from"], &event["to"], &event["digest"]),
        (
            &1.into(),
            &2.into(),
            &serde_json::json!(report.loaded.digest.to_string())
        )
    );
    host.shutdown(Duration::from_secs(5)).await;
}

/// Calls of all kinds while generations come and go. Every one is answered, by
/// a generation at least as new as the one that served when it was made, and
/// each generation gives its own answer.
async fn storm(replaces: u64) {
    let host = builder()
        .workers(2)
        .host_limits(crate::host::few_loads(60_000))
        .start()
        .unwrap();
    load(&host, ONE, "v").await;
    let serving = Arc::new(AtomicU64::new(1));
    let done = Arc::new(AtomicBool::new(false));
    // Three take turns: the one before a generation differs from the one after.
    let expected = |generation: u64| ((generation - 1) % 3 + 1).to_string();
    let mut callers = Vec::new();
    for kind in 0..6 {
        let (host, serving, done) = (host.clone(), serving.clone(), done.clone());
        callers.push(tokio::spawn(async move {
            let mut calls = 0_u64;
            while !done.load(Ordering::SeqCst) {
                let before = serving.load(Ordering::SeqCst);
                let (path, args) = match kind % 3 {
                    0 => ("v/answer", ""),
                    1 => ("v/busy", "2000"),
                    _ => ("v/busy", "4000000"),
                };
                let (generation, text) = if kind < 3 {
                    let reply = host
                        .call(path, Args::Wave(args), CallOptions::default())
                        .await
                        .expect("no call is lost");
                    (reply.generation.0, reply.wave().unwrap())
                } else {
                    let (_, mut watcher) = host
                        .request(CallRequest::new(path, Args::Wave(args)))
                        .expect("every request is taken");
                    match outcome(&mut watcher).await {
                        Outcome::Succeeded(answer) => (answer.generation.0, answer.body[0].to_string()),
                        other => panic!("no request is lost: {other:?}"),
                    }
                };
                assert!(
                    generation >= before,
                    "{generation} answered after {before} had come"
                );
                assert_eq!(text, expected(generation), "generation {generation}");
                calls += 1;
            }
            calls
        }));
    }
    // On threads of their own, as an embedding program calls.
    let threads: Vec<_> = (0..2)
        .map(|kind| {
            let (host, serving, done) = (host.clone(), serving.clone(), done.clone());
            std::thread::spawn(move || {
                let method = host.method("v/answer").unwrap();
                let typed = host.typed::<(), (u32,)>("v/answer").unwrap();
                let mut calls = 0_u64;
                while !done.load(Ordering::SeqCst) {
                    let before = serving.load(Ordering::SeqCst);
                    let (generation, answer) = match kind {
                        0 => {
                            let reply = method.call(&[]).expect("no call is lost");
                            (before, u32::from(reply.bytes[0]))
                        }
                        _ => {
                            let (answer,) = typed.call(()).expect("no call is lost");
                            (before, answer)
                        }
                    };
                    // It serves now what serves, or what has come meanwhile.
                    let after = serving.load(Ordering::SeqCst) + 1;
                    let fits = (generation..=after).any(|number| answer.to_string() == expected(number));
                    assert!(fits, "{answer} between {generation} and {after}");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for round in 0..replaces {
        let guest = [ONE, TWO, THREE][(round as usize + 1) % 3];
        let mut request = by("v", guest);
        request.health_window = Duration::ZERO;
        let report = host.replace(request).await.expect("a replace");
        serving.store(report.loaded.generation.0, Ordering::SeqCst);
    }
    done.store(true, Ordering::SeqCst);
    let mut calls = Vec::new();
    for caller in callers {
        calls.push(caller.await.expect("the caller saw what it had to see"));
    }
    for thread in threads {
        calls.push(
            tokio::task::spawn_blocking(|| thread.join())
                .await
                .unwrap()
                .expect("the caller saw what it had to see"),
        );
    }
    assert!(
        calls.iter().all(|calls| *calls > 0),
        "every caller called: {calls:?}"
    );
    assert_eq!(answer(&host).await.0, replaces + 1);
    soon("every old generation is gone", || {
        host.status_dump()["replaced"]
            .as_array()
            .is_some_and(Vec::is_empty)
    })
    .await;
    host.shutdown(Duration::from_secs(5)).await;
}

/// Enforced by `Inner::enter`, which follows a call to the new generation, and
/// by `Gate::retire`, after which the old one admits nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_while_generations_come_and_go() {
    storm(300).await;
}

/// What runs goes on; enforced by `Host::drain_replaced`.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_on_the_old_generation_ends_there() {
    let host = ephemeral();
    load(&host, "guest-spin", "v").await;
    let (_, mut slow) = host
        .request(CallRequest::new("v/wait.sleep", Args::Wave("300")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
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
    let (_, mut stuck) = host
        .request(CallRequest::new("v/wait.sleep-forever", Args::Wave("")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
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
    let (_, mut stuck) = host
        .request(CallRequest::new("v/wait.sleep-forever", Args::Wave("")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
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

/// A bad version changes nothing: each way of being bad, by the code that says
/// so.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_come_up_leaves_the_old_one() {
    let folder = state();
    let host = at(folder.path());
    load(&host, ONE, "v").await;
    let cut = folder.path().join("cut.wasm");
    let bytes = guests::bytes(TWO);
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let file = |path: PathBuf| ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new(name("v"), Source::Component(path))
    };
    let unsigned = ReplaceRequest::new(name("v"), Source::Component(guests::component(TWO)));
    for (request, code) in [
        (by("v", "wat-missing-imports"), Code::LinkFailed),
        (by("v", "wat-huge-memory"), Code::DoesNotFit),
        (file(cut), Code::Malformed),
        (file(folder.path().join("none.wasm")), Code::FileUnreadable),
        (unsigned, Code::Unsigned),
    ] {
        let refused = fault(host.replace(request).await);
        assert_eq!(refused.code, code, "{refused:?}");
        assert_eq!(answer(&host).await, (1, "1".to_owned()));
    }
    // The numbers go on where they were.
    host.replace(by("v", TWO)).await.unwrap();
    assert_eq!(answer(&host).await, (2, "2".to_owned()));
}

/// Enforced by the `load` hook of `Host::make_ready`.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_load_fails_or_hangs_leaves_the_old_one() {
    let folder = state();
    let host = at(folder.path());
    let descriptor = |load: &str| {
        let path = folder.path().join("v.toml");
        let text = format!(
            "name = \"v\"\nsource = \"{}\"\n[limits]\nload-deadline = \"200ms\"\n[config]\nload = \"{load}\"\n",
            guests::component("guest-lifecycle").display()
        );
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut first = LoadRequest::descriptor(descriptor("ok"));
    first.allow_unsigned = true;
    host.load(first).await.unwrap();
    for load in ["fail-config", "trap", "spin", "sleep"] {
        descriptor(load);
        let refused = fault(host.replace(again("v")).await);
        assert_eq!(refused.code, Code::LoadHookFailed, "{load}: {refused:?}");
        assert_eq!(host.list()[0].generation.0, 1, "{load}");
        host.call("v/calls", Args::Wave(""), CallOptions::default())
            .await
            .unwrap();
    }
    descriptor("ok");
    host.replace(again("v")).await.unwrap();
    assert_eq!(host.list()[0].generation.0, 2);
}

/// Enforced by `Health::watch` and `Host::roll_back`.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_traps_on_every_call_is_rolled_back() {
    let folder = state();
    let host = at(folder.path());
    load(&host, ONE, "v").await;
    host.replace(by("v", "wat-start-traps")).await.unwrap();
    let mut trapped = 0;
    while host.list()[0].generation.0 == 2 {
        // Before the old one is back every call traps, and afterwards none.
        match host
            .call("v/answer", Args::Wave(""), CallOptions::default())
            .await
        {
            Ok(reply) => assert_eq!((reply.generation.0, reply.wave().unwrap().as_str()), (3, "1")),
            Err(fault) => {
                assert_eq!(fault.code, Code::Trapped, "{fault:?}");
                trapped += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(trapped >= 3, "it takes three: {trapped}");
    assert_eq!(answer(&host).await, (3, "1".to_owned()));
    let rolled_back: Vec<_> = audit(folder.path())
        .into_iter()
        .map(|line| line["event"].clone())
        .filter(|event| event["kind"] == "rollback")
        .collect();
    assert_eq!(rolled_back.len(), 1);
    assert!(rolled_back[0]["reason"].as_str().unwrap().contains("trapped"));
    // Another version can come after that.
    host.replace(by("v", TWO)).await.unwrap();
    assert_eq!(answer(&host).await, (4, "2".to_owned()));
    host.shutdown(Duration::from_secs(5)).await;
}

/// The state of a resident plugin is its generation's own, and is there again
/// when that comes back: enforced by the parked plugin of `Host::see_off`.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_what_went() {
    let host = ephemeral();
    let mut first = request("sample-counter", "v", &[]);
    first.placing.instance = Some(InstanceMode::Resident);
    host.load(first).await.unwrap();
    let count = |by: &'static str| {
        let host = host.clone();
        async move {
            host.call("v/increment", Args::Wave(by), CallOptions::default())
                .await
        }
    };
    assert_eq!(count("5").await.unwrap().wave().unwrap(), "ok(5)");
    host.replace(by("v", "guest-spin")).await.unwrap();
    for _ in 0..3 {
        let ended = host
            .call("v/unreachable", Args::Wave(""), CallOptions::default())
            .await;
        assert_eq!(fault(ended).code, Code::Trapped);
    }
    soon("the counter is back", || host.list()[0].generation.0 == 3).await;
    assert_eq!(count("1").await.unwrap().wave().unwrap(), "ok(6)");
}

/// Enforced by the `Release` of `Interrupt::lower`: a call of the old generation
/// that was interrupted is no reason to interrupt those of the revived one.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_comes_back_even_if_its_last_calls_were_interrupted() {
    let host = ephemeral();
    load(&host, "guest-spin", "v").await;
    let (_, mut stuck) = host
        .request(CallRequest::new("v/wait.sleep-forever", Args::Wave("")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
    let mut request = by("v", "wat-traps");
    request.drain = Duration::ZERO;
    host.replace(request).await.unwrap();
    assert!(matches!(outcome(&mut stuck).await, Outcome::Cancelled(_)));
    for _ in 0..3 {
        let ended = host
            .call("v/unreachable", Args::Wave(""), CallOptions::default())
            .await;
        assert_eq!(fault(ended).code, Code::Trapped);
    }
    soon("the old one is back", || host.list()[0].generation.0 == 3).await;
    host.call("v/wait.sleep", Args::Wave("1"), CallOptions::default())
        .await
        .unwrap();
}

/// Nobody who waited is handed to a method of another type: enforced by
/// `Inner::follow`.
#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_changed_its_type_is_not_called_with_old_arguments() {
    let host = ephemeral();
    let limits = LimitsPatch {
        calls_in_flight: Some(1),
        ..LimitsPatch::default()
    };
    load_with(&host, ONE, "v", &[], limits).await;
    let (_, _stuck) = host
        .request(CallRequest::new("v/busy", Args::Wave("2000000000")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
    let (_, mut waiter) = host.request(CallRequest::new("v/busy", Args::Wave("1"))).unwrap();
    soon("it waits", || host.status_dump()["plugins"]["v"]["waiting"] == 1).await;
    let other = guests::assemble(
        "(component
           (core module $m (func (export \"busy\") (param i64) (result i32) i32.const 3))
           (core instance $i (instantiate $m))
           (func (export \"busy\") (param \"turns\" u64) (result u32) (canon lift (core func $i \"busy\"))))",
    );
    let request = ReplaceRequest {
        source: Some(Source::Bytes(other)),
        ..by("v", ONE)
    };
    host.replace(request).await.unwrap();
    match outcome(&mut waiter).await {
        // There is a `busy` in both; what it takes is not the same.
        Outcome::Rejected(fault) | Outcome::Failed { fault, .. } => {
            assert_eq!(fault.code, Code::VersionMismatch, "{fault:?}");
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
    host.shutdown(Duration::ZERO).await;
}

/// Neither is inherited: enforced by `ReplaceRequest::load`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_let_in_unsigned_once_is_not_let_in_so_again() {
    let host = ephemeral();
    load(&host, ONE, "v").await;
    let reload = ReplaceRequest::reload(name("v"));
    assert_eq!(fault(host.replace(reload).await).code, Code::Unsigned);
    let missing = ReplaceRequest::reload(name("nobody"));
    assert_eq!(fault(host.replace(missing).await).code, Code::PluginNotFound);
    assert_eq!(answer(&host).await, (1, "1".to_owned()));
}

/// Grants and limits stay as the plugin was loaded: enforced by
/// `ReplaceRequest::load`.
#[tokio::test(flavor = "multi_thread")]
async fn grants_and_limits_stay() {
    let host = ephemeral();
    let limits = LimitsPatch {
        deadline: Some(TimeSpan::secs(12)),
        ..LimitsPatch::default()
    };
    load_with(&host, ONE, "v", &["tcp=10.0.0.1:80"], limits).await;
    host.replace(by("v", TWO)).await.unwrap();
    let described = host.describe(&name("v")).unwrap();
    assert_eq!(described.grants, ["tcp=10.0.0.1:80"]);
    assert_eq!(described.limits["deadline"], "12s");
}
