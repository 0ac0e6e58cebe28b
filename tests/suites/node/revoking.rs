//! What is revoked while something else goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use odeon::{
    Args, CallOptions, Code, Compiler, Fault, Host, LoadReport, LoadRequest, ReplaceReport, ReplaceRequest,
    Source, UnloadMode,
};
use odeon_authority::{Claim, SigningKey, sign};
use odeon_tests::guests;
use odeon_tests::stall::Stalls;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::host::{at, audit, daemon, fault, soon, state, state_in_memory};

/// A signed component in this folder, which trusts its key.
fn signed(folder: &Path, key: &SigningKey) -> LoadRequest {
    let claim = Claim {
        name: "echo".parse().unwrap(),
        version: "1.2.0".parse().unwrap(),
    };
    let path = folder.join("echo.wasm");
    fs::write(&path, sign(&guests::bytes("guest-echo"), key, &claim).unwrap()).unwrap();
    policy(folder, key, "allow");
    LoadRequest::component(path)
}

fn policy(folder: &Path, key: &SigningKey, decision: &str) {
    let path = folder.join("trust.new");
    let text = format!("[[key]]\nkey = \"{}\"\ndecision = \"{decision}\"\n", key.public());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(path, folder.join("trust.toml")).unwrap();
}

/// The odeon command as a compiler that begins when there is a file `go`.
pub(crate) fn waiting_compiler(folder: &Path) -> Compiler {
    let path = folder.join("compiler");
    let (asked, go, odeon) = (folder.join("asked"), folder.join("go"), guests::odeon());
    let text = format!(
        "#!/bin/sh\n: >{}\nwhile [ ! -e {} ]; do /bin/sleep 0.01; done\nexec {} \"$@\"\n",
        asked.display(),
        go.display(),
        odeon.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    Compiler::Program(path)
}

fn with_waiting_compiler(folder: &Path) -> Host {
    Host::builder(waiting_compiler(folder))
        .workers(1)
        .state_dir(folder)
        .start()
        .unwrap()
}

/// A host with the counter, whose compiler waits from now on.
async fn with_counter(folder: &Path) -> (Host, LoadReport) {
    let host = with_waiting_compiler(folder);
    let (asked, go) = (folder.join("asked"), folder.join("go"));
    fs::write(&go, "").unwrap();
    let first = LoadRequest::component(guests::component("sample-counter")).allow_unsigned();
    let report = host.load(first).await.unwrap();
    fs::remove_file(&go).unwrap();
    fs::remove_file(&asked).unwrap();
    (host, report)
}

/// The counter's next version is on its way as far as the compiler.
async fn being_replaced(host: &Host, folder: &Path) -> JoinHandle<Result<ReplaceReport, Fault>> {
    let source = Source::Component(guests::component("sample-counter-v2"));
    let mut next = ReplaceRequest::new("counter".parse().unwrap(), source);
    next.allow_unsigned = true;
    let host = host.clone();
    let replacing = tokio::spawn(async move { host.replace(next).await });
    let asked = folder.join("asked");
    soon("the compiler is asked", || asked.exists()).await;
    replacing
}

/// A host with the echo guest, and the key that it is let in by.
async fn with_echo() -> (TempDir, SigningKey, Host) {
    let folder = state();
    let key = SigningKey::generate().unwrap();
    let request = signed(folder.path(), &key);
    let host = at(folder.path());
    host.load(request).await.unwrap();
    (folder, key, host)
}

/// What is denied while another version comes up gives no state away, and its
/// `save` does not run; the new version serves. Enforced by
/// `Host::try_hand_over`.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_denied_while_it_is_replaced_hands_nothing_over() {
    let folder = state();
    let (host, LoadReport { digest, .. }) = with_counter(folder.path()).await;
    let call = |method: &'static str, args: &'static str| {
        let host = host.clone();
        async move {
            let called = host.call(method, Args::Wave(args), CallOptions::default()).await;
            called.map(|reply| reply.wave().unwrap())
        }
    };
    assert_eq!(call("counter/increment", "5").await.unwrap(), "ok(5)");
    let replacing = being_replaced(&host, folder.path()).await;
    let denied = format!("[[digest]]\ndigest = \"{digest}\"\ndecision = \"deny\"\n");
    let path = folder.path().join("trust.new");
    fs::write(&path, denied).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(path, folder.path().join("trust.toml")).unwrap();
    // It is closed at once, and looked at again when the replace is over.
    assert_eq!(fault(host.review().await).code, Code::Draining);
    fs::write(folder.path().join("go"), "").unwrap();
    let report = replacing.await.unwrap().unwrap();
    assert!(!report.state_handed_over);
    assert!(
        report.loaded.warnings.iter().any(|said| said.contains("denies")),
        "{:?}",
        report.loaded.warnings
    );
    assert_eq!(call("counter/value", "").await.unwrap(), "0");
    assert!(host.review().await.unwrap().is_empty());
    host.shutdown(Duration::from_secs(5)).await;
}

/// Whoever unloads a plugin does not wait for what was to replace it: that is
/// given up. Enforced by the token of `Host::replace_by`.
#[tokio::test(flavor = "multi_thread")]
async fn an_unload_gives_up_a_replace_that_has_not_switched() {
    let folder = state();
    let (host, LoadReport { name, .. }) = with_counter(folder.path()).await;
    let replacing = being_replaced(&host, folder.path()).await;
    // The compiler never ends.
    let unloading = host.unload(
        &name,
        UnloadMode::Drain(Duration::from_secs(60)),
        host.principal(),
    );
    let unloaded = tokio::time::timeout(Duration::from_secs(10), unloading).await;
    assert_eq!(unloaded.expect("it does not wait").unwrap().generation.0, 1);
    let given_up = fault(replacing.await.unwrap());
    assert_eq!(given_up.code, Code::Draining);
    assert!(given_up.message.contains("given up"), "{}", given_up.message);
    assert!(host.list().is_empty());
    host.shutdown(Duration::from_secs(5)).await;
}

/// Enforced by `Host::decide_again`: the review of meanwhile could not see it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_while_it_compiles_does_not_go_into_service() {
    let folder = state();
    let key = SigningKey::generate().unwrap();
    let request = signed(folder.path(), &key);
    let host = with_waiting_compiler(folder.path());
    let loading = tokio::spawn({
        let host = host.clone();
        async move { host.load(request).await }
    });
    let asked = folder.path().join("asked");
    soon("the compiler is asked", || asked.exists()).await;
    policy(folder.path(), &key, "deny");
    assert!(host.review().await.unwrap().is_empty(), "nothing is loaded yet");
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(fault(loading.await.unwrap()).code, Code::KeyRevoked);
    assert!(host.list().is_empty());
    let events: Vec<_> = audit(folder.path())
        .iter()
        .map(|line| (line["event"]["kind"].clone(), line["event"]["allowed"].clone()))
        .collect();
    assert_eq!(
        events,
        [
            ("decision".into(), true.into()),
            ("decision".into(), false.into())
        ],
        "the second decision is on record and no load is"
    );
}

/// Enforced by `Host::refused_now`: letting in needs the record, taking out
/// does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_goes_even_if_that_cannot_be_recorded() {
    let (folder, key, host) = with_echo().await;
    fs::write(folder.path().join("audit.head"), "nonsense").unwrap();
    policy(folder.path(), &key, "deny");
    let fault = fault(host.review().await);
    assert_eq!(fault.code, Code::AuditUnwritable);
    assert_eq!(fault.details.unwrap()["unloaded"][0], "echo");
    assert!(host.list().is_empty());
}

/// Enforced by `Host::review_changes`, which takes no change for applied that
/// was not, and by `Gatekeeper::policy_for_review`.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_gone_takes_nothing_out() {
    let (folder, _key, host) = with_echo().await;
    fs::remove_file(folder.path().join("trust.toml")).unwrap();
    assert_eq!(fault(host.review().await).code, Code::PolicyUnreadable);
    assert_eq!(host.list().len(), 1);
    let empty = folder.path().join("trust.toml");
    fs::write(&empty, "").unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        host.review().await.unwrap().len(),
        1,
        "an empty policy trusts nobody"
    );
    let remembered = fs::read_to_string(folder.path().join("loads.toml")).unwrap();
    assert!(
        remembered.contains("echo"),
        "it may be let in again: {remembered}"
    );
}

/// Enforced by `Host::review_changes`: the same file is looked at again until
/// it could be applied, also when nothing but its mode changes.
#[tokio::test(flavor = "multi_thread")]
async fn timed_a_review_that_failed_is_done_again_until_it_works() {
    let (folder, key, host) = with_echo().await;
    let daemon = daemon(&host).await;
    let path = folder.path().join("trust.toml");
    policy(folder.path(), &key, "deny");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(
        host.list().len(),
        1,
        "whoever wrote that policy, it may not have been the operator"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    soon("it is taken out", || host.list().is_empty()).await;
    daemon.stop(Some(Duration::ZERO));
    daemon.stopped().await.unwrap();
}

/// Enforced by `Host::refused_now`, which closes all of them first, and by
/// `Host::take_out`.
#[tokio::test(flavor = "multi_thread")]
async fn timed_revoked_plugins_are_closed_at_once_and_their_unload_does_not_run() {
    let folder = state_in_memory();
    let host = at(folder.path());
    for name in ["aaa", "zzz"] {
        let mut request = LoadRequest::component(guests::component("guest-lifecycle"))
            .named(name.parse().unwrap())
            .allow_unsigned();
        request.config.insert("unload".into(), "spin".into());
        host.load(request).await.unwrap();
    }
    let denied = "[[name]]\nname = \"*\"\ndecision = \"deny\"\n";
    let path = folder.path().join("trust.toml");
    fs::write(&path, denied).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let stalls = Stalls::watch();
    let began = std::time::Instant::now();
    assert_eq!(host.review().await.unwrap().len(), 2);
    // Each `unload` would go on for ten seconds.
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(3), "{took:?}");
}

/// Enforced by `Gatekeeper::new`, which takes the stamp before anything is
/// loaded.
#[tokio::test(flavor = "multi_thread")]
async fn timed_what_is_revoked_before_a_daemon_serves_is_taken_out() {
    let (folder, key, host) = with_echo().await;
    policy(folder.path(), &key, "deny");
    let daemon = daemon(&host).await;
    soon("it is taken out", || host.list().is_empty()).await;
    daemon.stop(Some(Duration::ZERO));
    daemon.stopped().await.unwrap();
}

/// A remembered load is of what it was of. Enforced by `Remembered::add` and
/// `decision::refuse_another`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_for_its_author_alone() {
    let folder = state();
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let request = signed(folder.path(), &key);
    let policy = format!(
        "[[key]]\nkey = \"{}\"\n[[key]]\nkey = \"{}\"\n",
        key.public(),
        other.public()
    );
    fs::write(folder.path().join("trust.toml"), policy).unwrap();
    let grants = odeon::GrantSet::parse(["env=GREETING=the operator's"]).unwrap();
    let host = at(folder.path());
    host.load(request.with_grants(grants)).await.unwrap();
    host.shutdown(Duration::ZERO).await;
    // Its values are remembered, or the host's own variable would be shown.
    let remembered = fs::read_to_string(folder.path().join("loads.toml")).unwrap();
    assert!(remembered.contains("the operator's"), "{remembered}");

    // And what a start loads is not counted against what operators may ask for.
    let host = crate::host::builder()
        .state_dir(folder.path())
        .host_limits(crate::host::few_loads(0))
        .start()
        .unwrap();
    let again = host.load_remembered().await.unwrap();
    assert_eq!(again[0].outcome.as_ref().unwrap().as_str(), "echo");
    host.shutdown(Duration::ZERO).await;

    let claim = Claim {
        name: "echo".parse().unwrap(),
        version: "1.3.0".parse().unwrap(),
    };
    let file = sign(&guests::bytes("guest-echo"), &other, &claim).unwrap();
    fs::write(folder.path().join("echo.wasm"), file).unwrap();
    let host = at(folder.path());
    let again = host.load_remembered().await.unwrap();
    assert_eq!(fault(again[0].outcome.clone()).code, Code::NamePinned);
}

/// Enforced by `Host::note_load`: a one-shot's decision is on record, and it
/// alone.
#[tokio::test]
async fn a_one_shot_records_its_decision_and_no_load() {
    let folder = state();
    let host = crate::host::builder()
        .state_dir(folder.path())
        .one_shot()
        .start()
        .unwrap();
    crate::host::load(&host, "guest-echo", "echo").await;
    host.shutdown(Duration::ZERO).await;
    let kinds: Vec<_> = audit(folder.path())
        .iter()
        .map(|line| line["event"]["kind"].clone())
        .collect();
    assert_eq!(kinds, ["decision"]);
}
