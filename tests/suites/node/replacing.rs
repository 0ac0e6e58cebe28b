//! Another generation in the place of the one that serves: no call is lost, and
//! none is answered by the old one after the first by the new one.

mod calls;
mod draining;
mod failing;
mod rolled_back;

use std::time::Duration;

use odeon::{Args, CallOptions, CallRequest, Host, LimitsPatch, ReplaceRequest, Source, Watcher};
use odeon_authority::TimeSpan;
use odeon_protocol::PluginName;
use odeon_tests::guests;

use crate::host::{at, audit, ephemeral, load, load_with, soon, state};

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

/// A request of this that has begun, where no other runs.
async fn running(host: &Host, path: &str, args: &str) -> Watcher {
    let (_, watcher) = host.request(CallRequest::new(path, Args::Wave(args))).unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
    watcher
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
