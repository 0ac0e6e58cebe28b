//! What is revoked while a plugin is being made ready, and runs its own hooks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use odeon::{
    Args, CallOptions, Code, Compiler, Fault, Host, LimitsPatch, LoadReport, LoadRequest, ReplaceRequest,
    Source,
};
use odeon_authority::{InstanceMode, TimeSpan};
use odeon_protocol::Digest;
use odeon_tests::guests;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::host::{audit, fault, soon, state};
use crate::revoking::waiting_compiler;

/// A guest whose hooks reveal a secret for as long as they may.
const GUEST: &str = "guest-lifecycle";

fn host(folder: &Path, compiler: Compiler) -> Host {
    let secret = folder.join("token");
    fs::write(&secret, "hidden").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    Host::builder(compiler)
        .workers(1)
        .state_dir(folder)
        .secrets([("token".to_owned(), secret)].into())
        .start()
        .unwrap()
}

/// The policy lets the guest in, and has these rows besides.
fn trust(folder: &Path, decision: &str, rows: &str) {
    let digest = Digest::of(&guests::bytes(GUEST));
    let text = format!("[[digest]]\ndigest = \"{digest}\"\ndecision = \"{decision}\"\n{rows}");
    let path = folder.join("trust.new");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(path, folder.join("trust.toml")).unwrap();
}

const TAKEN: &str = "[[name]]\nname = \"v\"\nwithout = [\"secret=token\"]\n";

fn revealing(hook: &str) -> LoadRequest {
    let mut load = LoadRequest::component(guests::component(GUEST))
        .named("v".parse().unwrap())
        .with_grants(odeon::GrantSet::parse(["secret=token"]).unwrap())
        .with_limits(LimitsPatch {
            load_deadline: Some(TimeSpan::secs(60)),
            ..LimitsPatch::default()
        });
    load.config.insert(hook.to_owned(), "reveal".to_owned());
    load
}

async fn it_reveals(host: &Host) {
    let name = "v".parse().unwrap();
    soon("its hook has begun", || has_revealed(host, &name)).await;
}

fn has_revealed(host: &Host, name: &odeon_protocol::PluginName) -> bool {
    let lines = host.logs().tail(Some(name), 10);
    lines.iter().any(|line| line.text.contains("it reveals"))
}

/// Long before the deadline of the hook.
async fn ended<T>(work: JoinHandle<Result<T, Fault>>) -> Result<T, Fault> {
    let ended = tokio::time::timeout(Duration::from_secs(20), work).await;
    ended.expect("it ends long before its deadline").unwrap()
}

fn loading(host: &Host, request: LoadRequest) -> JoinHandle<Result<LoadReport, Fault>> {
    let host = host.clone();
    tokio::spawn(async move { host.load(request).await })
}

/// A host at which the guest's own `load` reveals the secret.
async fn being_loaded() -> (TempDir, Host, JoinHandle<Result<LoadReport, Fault>>) {
    let folder = state();
    trust(folder.path(), "allow", "");
    let host = host(folder.path(), Compiler::InProcess);
    let loading = loading(&host, revealing("load"));
    it_reveals(&host).await;
    (folder, host, loading)
}

/// Enforced by `Host::measure_all`, which sees what is being made ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_runs_loses_what_the_policy_takes_away() {
    let (folder, host, loading) = being_loaded().await;
    trust(folder.path(), "allow", TAKEN);
    assert!(host.review().await.unwrap().is_empty());
    ended(loading).await.unwrap();
    let grants = host.describe(&"v".parse().unwrap()).unwrap().grants;
    assert_eq!(grants, [""; 0]);
    let audit = audit(folder.path());
    let change = audit.iter().find(|line| line["event"]["kind"] == "grant-change");
    let removed = &change.expect("it is on record")["event"]["removed"];
    assert_eq!(*removed, serde_json::json!(["secret=token"]));
}

/// Enforced by `Host::measure_all`, and `Host::refuse_denied`: what is denied is
/// ended where it is, and refused as that.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_runs_is_ended_by_a_denial() {
    let (folder, host, loading) = being_loaded().await;
    trust(folder.path(), "deny", "");
    assert!(host.review().await.unwrap().is_empty(), "nothing serves yet");
    assert_eq!(fault(ended(loading).await).code, Code::PolicyDenied);
    assert!(host.list().is_empty());
    let audit = audit(folder.path());
    let decisions: Vec<_> = audit
        .iter()
        .filter(|line| line["event"]["kind"] == "decision")
        .map(|line| line["event"]["allowed"].clone())
        .collect();
    assert_eq!(decisions, [serde_json::json!(true), serde_json::json!(false)]);
}

/// Enforced by `Host::refuse_denied`: it was closed for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_was_denied_is_not_let_in_by_a_later_word() {
    let (folder, host, loading) = being_loaded().await;
    // Taken back before it can be told.
    trust(folder.path(), "deny", "");
    let review = host.review().await;
    trust(folder.path(), "allow", "");
    assert!(review.unwrap().is_empty());
    assert_eq!(fault(ended(loading).await).code, Code::PolicyDenied);
    assert!(host.list().is_empty());
}

/// Enforced by `Host::let_in_still`: no review saw it while it was compiled.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_has_nothing_that_was_taken_away_while_it_was_compiled() {
    let folder = state();
    trust(folder.path(), "allow", "");
    let host = host(folder.path(), waiting_compiler(folder.path()));
    let loading = loading(&host, revealing("load"));
    let asked = folder.path().join("asked");
    soon("the compiler is asked", || asked.exists()).await;
    trust(folder.path(), "allow", TAKEN);
    assert!(host.review().await.unwrap().is_empty());
    fs::write(folder.path().join("go"), "").unwrap();
    ended(loading).await.unwrap();
    assert!(!has_revealed(&host, &"v".parse().unwrap()));
}

/// Enforced by `Host::measure_all`, until the new generation serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_runs_loses_what_the_policy_takes_away() {
    let folder = state();
    trust(folder.path(), "allow", "");
    let host = host(folder.path(), Compiler::InProcess);
    let mut first = revealing("restore");
    first.placing.instance = Some(InstanceMode::Resident);
    first.placing.workers = Some(1);
    host.load(first).await.unwrap();
    let calls = || host.call("v/calls", Args::Wave(""), CallOptions::default());
    assert_eq!(calls().await.unwrap().wave().unwrap(), "1");
    let replacing = tokio::spawn({
        let host = host.clone();
        let source = Source::Component(guests::component(GUEST));
        async move {
            host.replace(ReplaceRequest::new("v".parse().unwrap(), source))
                .await
        }
    });
    it_reveals(&host).await;
    trust(folder.path(), "allow", TAKEN);
    assert!(host.review().await.unwrap().is_empty());
    assert!(ended(replacing).await.unwrap().state_handed_over);
    assert_eq!(calls().await.unwrap().wave().unwrap(), "2");
}
