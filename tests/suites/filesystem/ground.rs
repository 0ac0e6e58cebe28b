//! A granted directory, what lies outside of it, and a guest that wants out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odeon_runtime::Plugin;
use odeon_tests::records::Records;
use odeon_tests::runtime::{Spec, call, hits, runtime, spec};
use tempfile::TempDir;

/// What the file outside holds.
pub(crate) const SECRET: &str = "the secret";

/// What a file looks like to somebody who watches over it.
type Watched = (u32, u64, i64, i64, Vec<u8>);

/// `granted` is the guest's `/data`; beside it lies `outside`, which is not
/// granted and must stay as it is.
pub(crate) struct Ground {
    dir: TempDir,
    plugin: Plugin,
    records: Arc<Records>,
    before: BTreeMap<PathBuf, Watched>,
}

impl Ground {
    /// With `/data` for reading and writing.
    pub(crate) async fn writable() -> Self {
        Ground::new("guest-fs-escape", ",rw", |spec, _| spec).await
    }

    /// With `/data` for reading.
    pub(crate) async fn readable() -> Self {
        Ground::new("guest-fs-escape", "", |spec, _| spec).await
    }

    /// With other limits.
    pub(crate) async fn limited(change: impl FnOnce(Spec) -> Spec) -> Self {
        Ground::new("guest-fs-escape", ",rw", |spec, _| change(spec)).await
    }

    pub(crate) async fn new(guest: &str, access: &str, change: impl FnOnce(Spec, &Path) -> Spec) -> Self {
        let dir = TempDir::new().unwrap();
        let granted = dir.path().join("granted");
        fs::create_dir_all(granted.join("sub/deep")).unwrap();
        fs::write(granted.join("hello"), "hello").unwrap();
        fs::create_dir_all(dir.path().join("outside/folder")).unwrap();
        fs::write(dir.path().join("outside/secret"), SECRET).unwrap();
        let grant = format!("fs={}::/data{access}", granted.display());
        let spec = change(spec().grant(&grant), dir.path());
        let plugin = spec.load(&runtime(), guest).await;
        let before = watch(&dir.path().join("outside"));
        Ground {
            records: spec.records(),
            dir,
            plugin,
            before,
        }
    }

    /// A path on the host, inside the granted directory.
    pub(crate) fn granted(&self, path: &str) -> PathBuf {
        self.dir.path().join("granted").join(path)
    }

    /// A path on the host, outside of it.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.dir.path().join("outside").join(path)
    }

    /// Calls the guest and gives what it answers.
    #[track_caller]
    pub(crate) fn ask(&self, invocation: impl Into<String>) -> impl Future<Output = String> {
        let (plugin, invocation) = (self.plugin.clone(), invocation.into());
        async move {
            match call(&plugin, &invocation).await {
                Ok(answer) => answer,
                Err(fault) => panic!("{invocation}: {fault}"),
            }
        }
    }

    /// The call must be answered with this error of `wasi:filesystem`, and, as
    /// a denial, be in the audit under this path of the guest's.
    pub(crate) async fn refused(&self, invocation: &str, error: &str, target: &str) {
        let before = self.records.denials().len();
        assert_eq!(
            self.ask(invocation).await,
            format!("err({error:?})"),
            "{invocation}"
        );
        let denials = self.records.denials();
        let new = &denials[before..];
        assert!(
            new.iter()
                .any(|denied| denied.kind == "fs" && denied.target == target),
            "{invocation}: expected {target} in the audit, found {new:?}"
        );
        self.assert_untouched(invocation);
    }

    /// The reasons in the audit, in their order.
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.records.reasons()
    }

    /// How often a limit said no.
    pub(crate) fn hits(&self, limit: &str) -> u64 {
        hits(&self.plugin, limit)
    }

    /// Nothing outside has been read from, written to, linked or renamed.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, after: &str) {
        assert_eq!(
            watch(&self.outside("")),
            self.before,
            "outside was changed by {after}"
        );
    }
}

/// Everything there is below a directory.
fn watch(dir: &Path) -> BTreeMap<PathBuf, Watched> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let contents = match metadata.is_file() {
            true => fs::read(&path).unwrap(),
            false => Vec::new(),
        };
        if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let seen = (
            metadata.mode(),
            metadata.nlink(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            contents,
        );
        found.insert(path, seen);
    }
    found
}

/// What a guest gives back that has read these bytes.
pub(crate) fn read(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    format!("ok([{}])", bytes.join(", "))
}

/// These bytes as an argument.
pub(crate) fn bytes(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    format!("[{}]", bytes.join(", "))
}
