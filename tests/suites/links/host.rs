//! Links in a host: loads, replaces and unloads.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use odeon::{
    Args, CallOptions, CallRequest, Compiler, Fault, Host, LoadRequest, Outcome, ReplaceRequest, Source,
    UnloadMode,
};
use odeon_protocol::{Code, LinkRow, PluginName};
use odeon_tests::guests;

use crate::town::{STEPS, perform, soon};

fn host() -> Host {
    Host::builder(Compiler::InProcess)
        .workers(1)
        .start()
        .expect("a host starts")
}

fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

fn load(guest: &str, named: &str) -> LoadRequest {
    LoadRequest::component(guests::component(guest))
        .named(name(named))
        .allow_unsigned()
}

/// A `caller` that is linked to a `provider`.
async fn pair(host: &Host) {
    host.load(load("guest-provider", "provider")).await.unwrap();
    host.load(load("guest-caller", "caller").linked(STEPS, name("provider")))
        .await
        .unwrap();
}

async fn ask(host: &Host, plugin: &str, call: &str) -> Result<String, Fault> {
    let (function, args) = call.split_once('(').unwrap();
    let args = args.strip_suffix(')').unwrap();
    let path = format!("{plugin}/{function}");
    let reply = host.call(&path, Args::Wave(args), CallOptions::default()).await?;
    reply.wave()
}

fn links(host: &Host, plugin: &str) -> Vec<LinkRow> {
    let rows = host.list().into_iter();
    rows.filter(|row| row.name.as_str() == plugin)
        .flat_map(|row| row.links)
        .collect()
}

/// Enforced by `links::settle` and `Near::plugin`.
#[tokio::test]
async fn a_plugin_uses_another_and_the_list_says_which() {
    let host = host();
    pair(&host).await;
    assert_eq!(ask(&host, "caller", "add(2, 3)").await.unwrap(), "5");
    let row = LinkRow {
        interface: "odeon-tests:links/steps@0.1.0".into(),
        provider: name("provider"),
        generation: Some(odeon_protocol::Generation(1)),
    };
    assert_eq!(links(&host, "caller"), [row]);
    assert_eq!(links(&host, "provider"), []);
}

/// Enforced by `request::ended`: rejected is what was not executed, and the
/// plugin that asked another one was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_plugin_found_no_provider_has_failed() {
    let host = host();
    pair(&host).await;
    host.unload(&name("provider"), UnloadMode::Now, host.principal())
        .await
        .unwrap();
    let call = CallRequest::new("caller/add", Args::Wave("2, 3"));
    let (_, mut watcher) = host.request(call).unwrap();
    let fault = match watcher.outcome().await {
        Some(Outcome::Failed { fault, .. }) => fault,
        other => panic!("expected that it failed: {other:?}"),
    };
    assert_eq!(fault.code, Code::LinkUnavailable, "{fault}");
    assert_eq!(host.totals().failed, 1);
    assert_eq!(host.totals().rejected, 0);
}

/// Enforced by `links::missing`.
#[tokio::test]
async fn a_provider_is_loaded_first() {
    let host = host();
    let early = load("guest-caller", "caller").linked(STEPS, name("provider"));
    let fault = host.load(early.clone()).await.unwrap_err();
    assert_eq!(fault.code, Code::ProviderMissing, "{fault}");
    host.load(load("guest-provider", "provider")).await.unwrap();
    host.load(early).await.unwrap();
    assert_eq!(ask(&host, "caller", "add(2, 3)").await.unwrap(), "5");
}

/// Enforced by `links::settle` and `check_links`.
#[tokio::test]
async fn links_that_cannot_be_are_refused_and_idle_ones_are_told() {
    let host = host();
    host.load(load("guest-provider", "provider")).await.unwrap();
    for (interface, provider) in [
        ("wasi:random/random", "provider"),
        ("steps", "provider"),
        (STEPS, "caller"),
    ] {
        let request = load("guest-caller", "caller").linked(interface, name(provider));
        let fault = host.load(request).await.unwrap_err();
        assert_eq!(fault.code, Code::DescriptorInvalid, "{interface}: {fault}");
    }
    let request = load("guest-provider", "second").linked("a:b/c", name("provider"));
    let report = host.load(request).await.unwrap();
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("a:b/c=provider has no effect"))
    );
}

/// An unload is always allowed; dependants have no answer until it is back.
#[tokio::test]
async fn dependants_wait_for_nobody_when_their_provider_is_unloaded() {
    let host = host();
    pair(&host).await;
    let mode = UnloadMode::Drain(Duration::from_secs(5));
    host.unload(&name("provider"), mode, host.principal())
        .await
        .unwrap();
    let fault = ask(&host, "caller", "add(2, 3)").await.unwrap_err();
    assert_eq!(fault.code, Code::LinkUnavailable, "{fault}");
    assert_eq!(links(&host, "caller")[0].generation, None);
    host.load(load("guest-provider", "provider")).await.unwrap();
    assert_eq!(ask(&host, "caller", "add(2, 3)").await.unwrap(), "5");
    assert_eq!(links(&host, "caller")[0].generation.unwrap().0, 2);
}

/// Enforced by `Host::fits_dependants`.
#[tokio::test]
async fn a_provider_is_not_replaced_by_what_its_dependants_do_not_link_to() {
    let host = host();
    pair(&host).await;
    let other = || ReplaceRequest {
        allow_unsigned: true,
        health_window: Duration::ZERO,
        ..ReplaceRequest::new(
            name("provider"),
            Source::Component(guests::component("guest-echo")),
        )
    };
    let fault = host.replace(other()).await.unwrap_err();
    assert_eq!(fault.code, Code::DependantsBroken, "{fault}");
    assert!(
        fault
            .message
            .contains("caller: one import of the component does not link"),
        "{fault}"
    );
    assert!(fault.details.unwrap()["dependants"]["caller"]["mismatches"].is_array());
    assert_eq!(ask(&host, "caller", "add(2, 3)").await.unwrap(), "5");
    let broken = ReplaceRequest {
        break_links: true,
        ..other()
    };
    host.replace(broken).await.unwrap();
    let fault = ask(&host, "caller", "add(2, 3)").await.unwrap_err();
    assert_eq!(fault.code, Code::VersionMismatch, "{fault}");
    let back = ReplaceRequest {
        allow_unsigned: true,
        health_window: Duration::ZERO,
        ..ReplaceRequest::new(
            name("provider"),
            Source::Component(guests::component("guest-provider")),
        )
    };
    host.replace(back).await.unwrap();
    assert_eq!(ask(&host, "caller", "add(2, 3)").await.unwrap(), "5");
}

/// Enforced by `Counters::fault`: a caller is not rolled back because of what it
/// uses.
#[tokio::test]
async fn a_provider_that_traps_does_not_roll_its_dependants_back() {
    let host = host();
    pair(&host).await;
    let again = ReplaceRequest {
        allow_unsigned: true,
        health_window: Duration::from_millis(300),
        ..ReplaceRequest::new(
            name("caller"),
            Source::Component(guests::component("guest-caller")),
        )
    };
    let replaced = host.replace(again).await.unwrap();
    for _ in 0..50 {
        let fault = ask(&host, "caller", &perform(["next", "trap"]))
            .await
            .unwrap_err();
        assert_eq!((fault.code, fault.chain().len()), (Code::Trapped, 2));
    }
    // Its window is over: the version before cannot come back any more.
    soon(|| host.status_dump()["replaced"] == serde_json::json!([])).await;
    let row = host
        .list()
        .into_iter()
        .find(|row| row.name.as_str() == "caller")
        .unwrap();
    assert_eq!(row.generation, replaced.loaded.generation);
}

/// No call is lost when the provider is replaced under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_follow_a_provider_that_is_replaced_again_and_again() {
    let host = host();
    pair(&host).await;
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    assert_eq!(ask(&host, "caller", "add(2, 3)").await.unwrap(), "5");
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let again = ReplaceRequest {
            allow_unsigned: true,
            health_window: Duration::ZERO,
            ..ReplaceRequest::new(
                name("provider"),
                Source::Component(guests::component("guest-provider")),
            )
        };
        host.replace(again).await.unwrap();
    }
    for done in calls {
        done.await.unwrap();
    }
}

fn private() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn trust(state: &Path, guests: &[&str]) {
    let rules: String = guests
        .iter()
        .map(|guest| {
            let digest = odeon_authority::digest_of(&guests::bytes(guest)).unwrap();
            format!("[[digest]]\ndigest = \"{digest}\"\n")
        })
        .collect();
    let path = state.join("trust.toml");
    std::fs::write(&path, rules).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Enforced by `Host::load_all`: whoever needs another is tried again when that
/// serves, whatever their names are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_remembered_comes_back_linked_in_any_order() {
    let state = private();
    trust(state.path(), &["guest-caller", "guest-provider"]);
    let at = || {
        let builder = Host::builder(Compiler::InProcess).workers(1);
        builder.state_dir(state.path()).start().unwrap()
    };
    let signed =
        |guest: &str, named: &str| LoadRequest::component(guests::component(guest)).named(name(named));
    let host = at();
    // The chain is a, b, c; the names come in the order in which they cannot.
    host.load(signed("guest-provider", "c")).await.unwrap();
    host.load(signed("guest-caller", "b").linked(STEPS, name("c")))
        .await
        .unwrap();
    host.load(signed("guest-caller", "a").linked(STEPS, name("b")))
        .await
        .unwrap();
    host.shutdown(Duration::from_secs(5)).await;
    drop(host);
    let host = at();
    for load in host.load_remembered().await.unwrap() {
        assert!(load.outcome.is_ok(), "{:?}", load.outcome);
    }
    assert_eq!(ask(&host, "a", "add(2, 3)").await.unwrap(), "5");
    let mode = UnloadMode::Drain(Duration::from_secs(5));
    host.unload(&name("c"), mode, host.principal()).await.unwrap();
    host.shutdown(Duration::from_secs(5)).await;
    drop(host);
    let host = at();
    for load in host.load_remembered().await.unwrap() {
        assert_eq!(load.outcome.unwrap_err().code, Code::ProviderMissing);
    }
}
