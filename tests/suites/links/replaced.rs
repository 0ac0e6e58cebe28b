//! A provider, and a plugin that uses one, taken away or replaced in a host while
//! a call is in the middle of both.

use std::path::Path;
use std::time::Duration;

use odeon::{Compiler, Host, LimitsPatch, LoadRequest, ReplaceRequest, Source, UnloadMode};
use odeon_authority::TimeSpan;
use odeon_protocol::{Code, PluginName};
use odeon_tests::guests;
use odeon_tests::way::Way;

use crate::town::{STEPS, soon};

fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

/// A `caller` that is linked to a `provider`, neither of which is in a hurry.
async fn pair() -> Host {
    let host = Host::builder(Compiler::InProcess).workers(1).start().unwrap();
    let patient = LimitsPatch {
        deadline: Some(TimeSpan::secs(60)),
        cpu: Some(TimeSpan::secs(60)),
        ..LimitsPatch::default()
    };
    for guest in ["provider", "caller"] {
        let component = guests::component(&format!("guest-{guest}"));
        let load = LoadRequest::component(component)
            .named(name(guest))
            .with_limits(patient.clone())
            .allow_unsigned();
        let load = match guest {
            "caller" => load.linked(STEPS, name("provider")),
            _ => load,
        };
        host.load(load).await.unwrap();
    }
    host
}

/// How many calls of this plugin run, and how many have ended.
fn numbers(host: &Host, plugin: &str) -> (u64, u64) {
    let rows = host.list().into_iter();
    let mut rows = rows.filter(|row| row.name.as_str() == plugin);
    let row = rows.next().expect("it is loaded");
    (row.in_flight, row.calls)
}

async fn replace(host: &Host, plugin: &str, by: &Path) {
    let request = ReplaceRequest {
        allow_unsigned: true,
        health_window: Duration::ZERO,
        ..ReplaceRequest::new(name(plugin), Source::Component(by.to_owned()))
    };
    host.replace(request).await.unwrap();
}

/// Enforced by `Gate::retire`, after which nobody is let in on the stack of his
/// caller either, and by `Outgoing::enter`, which goes on to what serves then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_meets_both_versions_of_its_provider_either_way() {
    let folder = tempfile::tempdir().unwrap();
    let better = folder.path().join("better.wasm");
    std::fs::write(&better, guests::version("guest-provider", 2)).unwrap();
    for way in Way::BOTH {
        let host = pair().await;
        let steps = r#"["until-other", "next", "busy", "100000", "version"]"#;
        let running = way.begin_at(&host, "caller/perform", steps);
        soon(|| numbers(&host, "provider").1 > 0).await;
        replace(&host, "provider", &better).await;
        let told = running.ended().await.unwrap();
        assert_eq!(told, r#"ok("answered by version 2")"#, "{way:?}");
        soon(|| host.status_dump()["replaced"] == serde_json::json!([])).await;
        assert!(host.list().iter().all(|row| row.faults == 0), "{way:?}");
    }
}

/// Enforced by the drain of `Host::see_off`: what runs goes on in the old version,
/// and so does what it is linked to on its stack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_replaced_comes_to_its_end_with_its_provider_either_way() {
    let folder = tempfile::tempdir().unwrap();
    let better = folder.path().join("better.wasm");
    std::fs::write(&better, guests::version("guest-caller", 2)).unwrap();
    for way in Way::BOTH {
        let host = pair().await;
        // Until its provider is another, which is after it is replaced itself.
        let steps = r#"["until-other", "next", "busy", "100000", "version"]"#;
        let running = way.begin_at(&host, "caller/perform", steps);
        soon(|| numbers(&host, "provider").1 > 0).await;
        replace(&host, "caller", &better).await;
        let own = way.ask(&host, "caller/perform", r#"["version"]"#).await;
        assert_eq!(own.unwrap(), r#"ok("answered by version 2")"#, "{way:?}");
        assert!(!running.has_ended(), "{way:?}");
        let provider = folder.path().join("provider.wasm");
        std::fs::write(&provider, guests::version("guest-provider", 3)).unwrap();
        replace(&host, "provider", &provider).await;
        let told = running.ended().await.unwrap();
        assert_eq!(told, r#"ok("answered by version 3")"#, "{way:?}");
        soon(|| host.status_dump()["replaced"] == serde_json::json!([])).await;
    }
}

/// Enforced by `Call::ends_caller` for the provider on its caller's stack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_taken_out_leaves_its_provider_serving_either_way() {
    for way in Way::BOTH {
        let host = pair().await;
        let running = way.begin_at(&host, "caller/perform", r#"["next", "spin"]"#);
        soon(|| numbers(&host, "provider").0 == 1).await;
        host.unload(&name("caller"), UnloadMode::Now, host.principal())
            .await
            .unwrap();
        let fault = running.ended().await.unwrap_err();
        assert_eq!(
            (fault.code, fault.chain().len()),
            (Code::Unloaded, 0),
            "{way:?}: {fault}"
        );
        soon(|| numbers(&host, "provider").0 == 0).await;
        let told = way.ask(&host, "provider/perform", r#"["version"]"#).await;
        assert_eq!(told.unwrap(), r#"ok("answered by version 1")"#, "{way:?}");
    }
}
