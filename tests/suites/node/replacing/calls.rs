//! Calls of all kinds while generations come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use odeon::{Args, CallOptions, CallRequest, Outcome};

use super::{ONE, THREE, TWO, answer, by};
use crate::host::{builder, load, outcome, soon};

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
