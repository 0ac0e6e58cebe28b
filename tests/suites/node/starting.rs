//! What a host loads by itself when it starts.
#![expect(clippy::disallowed_methods, reason = "a test waits for its own tasks")]

use std::time::Duration;

use odeon::Code;
use odeon::daemon::{DaemonConfig, serve};
use odeon_authority::{Claim, SigningKey, sign};
use odeon_tests::guests;
use rustix::process::{Signal, getpid, kill_process};

use crate::host::{at, builder, config, fault, few_loads, soon, state, state_in_memory};
use crate::signed::{signed, trust};
use crate::stopping::kinds;

/// A folder of descriptors of plugins whose files the policy lets in.
fn descriptors(folder: &std::path::Path, load: &str) -> std::path::PathBuf {
    let key = SigningKey::generate().unwrap();
    trust(folder, &key);
    let claim = Claim {
        name: "guest-lifecycle".parse().unwrap(),
        version: "0.1.0".parse().unwrap(),
    };
    let life = sign(&guests::bytes("guest-lifecycle"), &key, &claim).unwrap();
    std::fs::write(folder.join("life.wasm"), life).unwrap();
    std::fs::write(folder.join("echo.wasm"), signed("1.2.0", &key)).unwrap();
    let plugins = folder.join("plugins.d");
    std::fs::create_dir(&plugins).unwrap();
    let life =
        format!("source = \"../life.wasm\"\n[config]\nload = \"{load}\"\n[limits]\nload-deadline = \"5s\"\n");
    std::fs::write(plugins.join("a-life.toml"), life).unwrap();
    std::fs::write(plugins.join("echo.toml"), "source = \"../echo.wasm\"\n").unwrap();
    plugins
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_heard_while_plugins_are_loaded_at_start() {
    let folder = state_in_memory();
    let plugins = descriptors(folder.path(), "sleep");
    let starting = DaemonConfig {
        plugins: Some(plugins),
        signals: true,
        ..config()
    };
    let host = at(folder.path());
    let serving = tokio::spawn(serve(host.clone(), starting));
    soon("one is loaded, the other loads for as long as it may", || {
        host.list().len() == 1
    })
    .await;
    kill_process(getpid(), Signal::TERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        serving.await.unwrap().unwrap().stopped().await
    });
    ended.await.expect("it does not wait for the load").unwrap();
    assert_eq!(kinds(folder.path()).last().unwrap(), "stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_at_start_is_no_flood() {
    let folder = state();
    let plugins = descriptors(folder.path(), "ok");
    let host = builder()
        .state_dir(folder.path())
        .host_limits(few_loads(1))
        .start()
        .unwrap();
    let loads = host.load_descriptors(&plugins).await.unwrap();
    assert!(loads.iter().all(|load| load.outcome.is_ok()), "{loads:?}");
    assert_eq!(loads.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_hangs_at_start_delays_no_other() {
    let folder = state_in_memory();
    let plugins = descriptors(folder.path(), "sleep");
    let host = at(folder.path());
    let starting = {
        let host = host.clone();
        tokio::spawn(async move { host.load_descriptors(&plugins).await })
    };
    soon("the second in line is loaded", || host.list().len() == 1).await;
    assert!(!starting.is_finished(), "the first is under way");
    let loads = starting.await.unwrap().unwrap();
    let [life, echo] = &loads[..] else {
        panic!("expected two loads, found {loads:?}");
    };
    assert!(life.path.ends_with("a-life.toml"), "in the order of the names");
    assert_eq!(fault(life.outcome.clone()).code, Code::LoadHookFailed);
    assert_eq!(echo.outcome.as_ref().unwrap().as_str(), "echo");
}

/// Who comes next has the name of one that fails, however long that took.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_one_that_fails_at_start_is_for_the_next_that_wants_it() {
    let folder = state_in_memory();
    let plugins = descriptors(folder.path(), "sleep");
    let life = |load: &str| {
        format!("source = \"../life.wasm\"\n[config]\nload = \"{load}\"\n[limits]\nload-deadline = \"2s\"\n")
    };
    for (name, load) in [("a-life", "sleep"), ("b-life", "ok"), ("c-life", "ok")] {
        std::fs::write(plugins.join(name).with_extension("toml"), life(load)).unwrap();
    }
    let host = at(folder.path());
    let loads = host.load_descriptors(&plugins).await.unwrap();
    let [first, second, third, echo] = &loads[..] else {
        panic!("expected four loads, found {loads:?}");
    };
    assert_eq!(fault(first.outcome.clone()).code, Code::LoadHookFailed);
    assert_eq!(second.outcome.as_ref().unwrap().as_str(), "guest-lifecycle");
    assert_eq!(fault(third.outcome.clone()).code, Code::NameTaken);
    assert_eq!(echo.outcome.as_ref().unwrap().as_str(), "echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_descriptors_that_want_one_name_the_first_has_it() {
    let folder = state();
    let plugins = descriptors(folder.path(), "ok");
    for name in ["b-echo.toml", "z-echo.toml"] {
        std::fs::write(plugins.join(name), "source = \"../echo.wasm\"\n").unwrap();
    }
    let host = at(folder.path());
    let loads = host.load_descriptors(&plugins).await.unwrap();
    let served: Vec<_> = loads
        .iter()
        .map(|load| {
            (
                load.path.file_stem().unwrap().to_str().unwrap(),
                load.outcome.is_ok(),
            )
        })
        .collect();
    let expected = [
        ("a-life", true),
        ("b-echo", true),
        ("echo", false),
        ("z-echo", false),
    ];
    assert_eq!(served, expected);
    assert_eq!(fault(loads[3].outcome.clone()).code, Code::NameTaken);
}
