//! The trust policy, changed while something is loaded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use odeon::{Args, CallOptions, Code, Host};
use odeon_authority::InstanceMode;
use serde_json::json;

use crate::ground::{Folder, GUEST, HELLO};
use crate::host::{at, audit, fault, request, state};

/// The trust policy of this folder is this.
pub(crate) fn policy(folder: &Path, text: &str) {
    let path = folder.join("trust.new");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(path, folder.join("trust.toml")).unwrap();
}

pub(crate) async fn told(host: &Host, method: &str, args: &str, on_behalf_of: &[&str]) -> String {
    let options = CallOptions {
        on_behalf_of: on_behalf_of.iter().map(|name| name.parse().unwrap()).collect(),
        ..CallOptions::default()
    };
    let reply = host.call(method, Args::Wave(args), options).await.unwrap();
    reply.wave().unwrap()
}

/// The lines of the audit of this kind.
pub(crate) fn events(folder: &Path, kind: &str) -> Vec<serde_json::Value> {
    let lines = audit(folder).into_iter().map(|line| line["event"].clone());
    lines.filter(|event| event["kind"] == kind).collect()
}

const OPEN: &str = "\"/data\", \"hello\"";

/// Enforced by `Host::measure_all`, and `decision::grants` that takes away.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_takes_away_is_gone_from_what_runs_and_what_it_gives_back_is_there() {
    let (state, folder) = (state(), Folder::new());
    policy(state.path(), "");
    let host = at(state.path());
    let grant = folder.grant("");
    let mut load = request(GUEST, "b", &[&grant, "secret=token"]);
    load.placing.instance = Some(InstanceMode::Resident);
    host.load(load).await.unwrap();
    assert_eq!(told(&host, "b/kept.open", OPEN, &[]).await, "ok");
    policy(
        state.path(),
        "[[name]]\nname = \"b*\"\nwithout = [\"fs=::/data\"]\n",
    );
    assert!(host.review().await.unwrap().is_empty(), "nothing is taken out");
    assert_eq!(
        told(&host, "b/kept.read", "", &[]).await,
        "err(\"not-permitted\")"
    );
    let name = "b".parse().unwrap();
    assert_eq!(host.describe(&name).unwrap().grants, ["secret=token"]);
    let changes = events(state.path(), "grant-change");
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (&changes[0]["removed"], &changes[0]["added"], &changes[0]["rule"]),
        (&json!([grant]), &json!([]), &json!("trust policy"))
    );
    policy(state.path(), "");
    host.review().await.unwrap();
    assert_eq!(told(&host, "b/kept.read", "", &[]).await, HELLO);
    assert_eq!(events(state.path(), "grant-change")[1]["added"], json!([grant]));
    // Whoever looks afterwards finds whose word it was.
    host.shutdown(std::time::Duration::ZERO).await;
    let denials = events(state.path(), "denial");
    assert_eq!(denials.len(), 2, "{denials:#?}");
    // The guest asked for writing at first, which was never granted.
    assert_eq!(
        denials[0]["reason"].as_str().unwrap().split(';').next(),
        Some("the directory is granted for reading only")
    );
    assert_eq!(denials[1]["rule"], "trust policy: name b* takes it away");
}

/// Enforced by `Host::begin_change` and `Host::finish_change`: what is lost
/// needs no record, what is given does.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_record_grants_are_lost_and_none_is_given() {
    let (state, folder) = (state(), Folder::new());
    policy(
        state.path(),
        "[[name]]\nname = \"b\"\nwithout = [\"secret=token\"]\n",
    );
    let host = at(state.path());
    host.load(request(GUEST, "b", &[&folder.grant(""), "secret=token"]))
        .await
        .unwrap();
    fs::write(state.path().join("audit.head"), "nonsense").unwrap();
    policy(
        state.path(),
        "[[name]]\nname = \"b\"\nwithout = [\"fs=::/data\"]\n",
    );
    let fault = fault(host.review().await);
    assert_eq!(fault.code, Code::AuditUnwritable);
    let name = "b".parse().unwrap();
    assert_eq!(host.describe(&name).unwrap().grants, [""; 0]);
    assert_eq!(told(&host, "b/kept.open", OPEN, &[]).await, "err(\"no-preopen\")");
}

/// Enforced by `Host::chain`, and `Policy::acts_for` at the review.
#[tokio::test(flavor = "multi_thread")]
async fn a_deputy_is_refused_by_default_and_allowed_by_a_row() {
    let (state, folder) = (state(), Folder::new());
    policy(state.path(), "");
    let host = at(state.path());
    let mut load = request(GUEST, "b", &[&folder.grant("")]);
    load.placing.instance = Some(InstanceMode::Resident);
    host.load(load).await.unwrap();
    host.load(request("guest-echo", "a", &[])).await.unwrap();
    assert_eq!(told(&host, "b/kept.open", OPEN, &[]).await, "ok");
    assert_eq!(
        told(&host, "b/kept.read", "", &["a"]).await,
        "err(\"not-permitted\")"
    );
    policy(state.path(), "[[deputy]]\nplugin = \"b\"\nfor = [\"a\"]\n");
    host.review().await.unwrap();
    assert_eq!(told(&host, "b/kept.read", "", &["a"]).await, HELLO);
    let changes = events(state.path(), "grant-change");
    assert_eq!(changes[0]["added"], json!(["acts for a"]));
    policy(state.path(), "");
    host.review().await.unwrap();
    assert_eq!(
        told(&host, "b/kept.read", "", &["a"]).await,
        "err(\"not-permitted\")"
    );
    let options = CallOptions {
        on_behalf_of: vec!["nobody".parse().unwrap()],
        ..CallOptions::default()
    };
    let absent = host.call("b/kept.read", Args::Wave(""), options).await;
    assert_eq!(fault_code(absent), Code::PluginNotFound);
    host.shutdown(std::time::Duration::ZERO).await;
    let mut denials = events(state.path(), "denial");
    // By itself it was denied to write, when it opened the file.
    denials.retain(|denial| denial["chain"] != json!(null));
    assert_eq!(denials[0]["chain"], json!(["a", "b"]));
    assert!(
        denials[0]["rule"]
            .as_str()
            .unwrap()
            .starts_with("deputy: b works for a here")
    );
}

fn fault_code<T>(result: Result<T, odeon::Fault>) -> Code {
    match result {
        Err(fault) => fault.code,
        Ok(_) => panic!("expected a fault"),
    }
}
