//! What becomes of a call in which the host's own code panics.

use std::path::PathBuf;
use std::sync::Arc;

use odeon_protocol::{Code, Fault};
use odeon_runtime::{Plugin, Runtime, SecretError, SecretSource};
use odeon_tests::runtime::{call, call_blocking, method, runtime, spec};
use zeroize::Zeroizing;

use crate::flight::eventually;

/// A defect of the host, which a guest can reach.
struct Defect;

impl SecretSource for Defect {
    fn reveal(&self, _: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        panic!("a defect of the host, as this test wants it");
    }

    fn place(&self, _: &str) -> Option<PathBuf> {
        None
    }
}

const REACHES: &str = "perform([\"secret\", \"key\"])";

async fn defective(runtime: &Runtime, guest: &str) -> Plugin {
    let spec = spec().resident().grant("secret=key").secrets(Arc::new(Defect));
    spec.load(runtime, guest).await
}

/// The call is over, its instance and its place are gone, it is counted, and the
/// next one is served.
async fn assert_is_over(how: &str, plugin: &Plugin, called: Result<String, Fault>) {
    let fault = called.expect_err("the defect was reached");
    assert_eq!(fault.code, Code::Internal, "{how}: {fault}");
    eventually("it has let go", || {
        let stats = plugin.stats();
        (stats.in_flight, stats.instances) == (0, 0)
    })
    .await;
    let counted = plugin.stats().faults_by_code;
    assert_eq!(
        counted.get(Code::Internal.as_str()),
        Some(&1),
        "{how}: {counted:?}"
    );
    let next = call(plugin, "perform([\"version\"])").await;
    assert!(next.is_ok(), "{how}: {next:?}");
}

/// Enforced by `Running::poll`, `Shared::guarded`, and `blocking::guarded`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_host_ends_the_call_it_is_in_and_nothing_else() {
    let runtime = runtime();
    let direct = || defective(&runtime, "guest-provider");

    let plugin = direct().await;
    assert_is_over("in a task", &plugin, call(&plugin, REACHES).await).await;

    let plugin = direct().await;
    let called = beside(&plugin, |plugin| {
        call_blocking(plugin, REACHES, Default::default())
    })
    .await;
    assert_is_over("on a thread", &plugin, called).await;

    let plugin = direct().await;
    let called = beside(&plugin, typed).await;
    assert_is_over("with Rust types", &plugin, called).await;

    // One that can wait is called on a fiber there.
    let waiting = defective(&runtime, "guest-holder").await;
    call(&waiting, "kept.take(\"key\")").await.unwrap();
    let called = beside(&waiting, |plugin| {
        call_blocking(plugin, "kept.reveal", Default::default())
    });
    let fault = called.await.expect_err("the defect was reached");
    assert_eq!(fault.code, Code::Internal, "on a fiber: {fault}");
    assert_eq!((waiting.stats().in_flight, waiting.stats().instances), (0, 0));
}

fn typed(plugin: &Plugin) -> Result<String, Fault> {
    let (id, _) = method(plugin, "perform");
    let perform = plugin.typed::<(Vec<String>,), (Result<String, String>,)>(id)?;
    let (done,) = perform.call((vec!["secret".into(), "key".into()],))?;
    Ok(format!("{done:?}"))
}

/// Calls on a thread that is no task's.
async fn beside(
    plugin: &Plugin,
    called: impl FnOnce(&Plugin) -> Result<String, Fault> + Send + 'static,
) -> Result<String, Fault> {
    let plugin = plugin.clone();
    let thread = std::thread::spawn(move || called(&plugin));
    let joined = tokio::task::spawn_blocking(move || thread.join());
    joined
        .await
        .unwrap()
        .expect("nothing comes through to whoever called")
}
