//! Hosts for tests, on folders of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odeon::daemon::{Daemon, DaemonConfig, serve};
use odeon::{Compiler, Fault, GrantSet, Host, HostBuilder, HostLimits, LimitsPatch, LoadReport, LoadRequest};
use odeon_tests::guests;
use tempfile::TempDir;

/// A builder of small hosts. The guests here are the project's own, so that they
/// are compiled in this process; what the compile child stops is another suite's.
pub(crate) fn builder() -> HostBuilder {
    Host::builder(Compiler::InProcess).workers(1)
}

/// A host that leaves nothing behind.
pub(crate) fn ephemeral() -> Host {
    builder().start().expect("a host starts")
}

/// A host on this folder.
pub(crate) fn at(folder: &Path) -> Host {
    builder().state_dir(folder).start().expect("a host starts")
}

pub(crate) fn state() -> TempDir {
    private(tempfile::tempdir().expect("a folder"))
}

/// One in memory, where times are compared: what a disk does is another test's.
pub(crate) fn state_in_memory() -> TempDir {
    private(tempfile::tempdir_in("/dev/shm").expect("a folder"))
}

fn private(folder: TempDir) -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("its mode");
    folder
}

/// Loads a guest although nothing vouches for it.
pub(crate) async fn load(host: &Host, guest: &str, name: &str) -> LoadReport {
    let request = LoadRequest::component(guests::component(guest))
        .named(name.parse().unwrap())
        .allow_unsigned();
    host.load(request).await.expect("the guest loads")
}

/// Loads a guest under these grants and limits, although nothing vouches for it.
pub(crate) async fn load_with(host: &Host, guest: &str, name: &str, grants: &[&str], limits: LimitsPatch) {
    let request = request(guest, name, grants).with_limits(limits);
    host.load(request).await.expect("the guest loads");
}

/// A load of a guest under these grants, although nothing vouches for it.
pub(crate) fn request(guest: &str, name: &str, grants: &[&str]) -> LoadRequest {
    LoadRequest::component(guests::component(guest))
        .named(name.parse().unwrap())
        .with_grants(GrantSet::parse(grants.iter().copied()).unwrap())
        .allow_unsigned()
}

/// A daemon on this folder, with short times.
pub(crate) async fn daemon(host: &Host) -> Daemon {
    serve(host.clone(), config()).await.expect("a daemon starts")
}

pub(crate) fn config() -> DaemonConfig {
    DaemonConfig {
        drain: Duration::from_secs(5),
        // Longer than a peer may stand still that has something to say.
        handshake: Duration::from_secs(2),
        write_timeout: Duration::from_millis(500),
        signals: false,
        ..DaemonConfig::default()
    }
}

pub(crate) fn few_loads(most: u64) -> HostLimits {
    HostLimits {
        loads_per_minute: most,
        ..HostLimits::default()
    }
}

/// What the audit of this folder says, one JSON object per line.
pub(crate) fn audit(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("audit.jsonl")).expect("there is an audit");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

/// The fault of something that must fail.
pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, Fault>) -> Fault {
    result.expect_err("expected a fault")
}

/// Waits until something holds, which must happen soon.
pub(crate) async fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "expected soon: {what}");
}

/// Lines that a host passed on.
#[derive(Default)]
pub(crate) struct Lines(pub std::sync::Mutex<Vec<String>>);

impl odeon::LogSink for Lines {
    fn line(&self, line: odeon::LogLine<'_>) {
        self.0.lock().unwrap().push(line.text.to_owned());
    }
}

pub(crate) fn lines() -> Arc<Lines> {
    Arc::default()
}

/// How a request ends, which it does.
pub(crate) async fn outcome(watcher: &mut odeon::Watcher) -> odeon::Outcome {
    tokio::time::timeout(Duration::from_secs(20), watcher.outcome())
        .await
        .expect("an end")
        .expect("the end")
}
