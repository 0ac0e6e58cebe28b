//! A host with a folder of descriptors.
//!
//! Components are let in by their digests, under any name.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odeon::daemon::{Daemon, DaemonConfig, serve};
use odeon::{Args, CallOptions, Compiler, Host, HostLimits};
use odeon_authority::{digest_of, embed_manifest};
use odeon_protocol::{DescriptorRow, DescriptorState, Digest, PluginName, PluginRow};
use odeon_tests::guests;
use tempfile::TempDir;

pub(crate) const ONE: &str = "wat-version-one";
pub(crate) const TWO: &str = "wat-version-two";
pub(crate) const CALC: &str = "sample-calculator";

/// How long something that must happen may take.
const SOON: Duration = Duration::from_secs(20);

/// A host that serves, on folders of its own.
pub(crate) struct Ground {
    pub state: TempDir,
    pub host: Host,
    _daemon: Daemon,
}

/// What is there before the host starts.
pub(crate) struct Before {
    pub state: TempDir,
    pub config: DaemonConfig,
    pub limits: HostLimits,
}

pub(crate) fn before() -> Before {
    let state = tempfile::tempdir().expect("a folder");
    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let plugins = state.path().join("plugins.d");
    fs::create_dir(&plugins).unwrap();
    for guest in [ONE, TWO, CALC, "wat-start-traps"] {
        fs::write(component(state.path(), guest), bytes(guest)).unwrap();
    }
    trust(state.path(), &[ONE, TWO, CALC, "wat-start-traps"]);
    let config = DaemonConfig {
        plugins: Some(plugins),
        signals: false,
        drain: Duration::from_secs(5),
        ..DaemonConfig::default()
    };
    let limits = HostLimits {
        loads_per_minute: 60_000,
        ..HostLimits::default()
    };
    Before {
        state,
        config,
        limits,
    }
}

/// Has the policy of this state directory let these guests in, and nothing else.
pub(crate) fn trust(state: &Path, guests: &[&str]) {
    let rows: Vec<String> = guests
        .iter()
        .map(|guest| format!("[[digest]]\ndigest = \"{}\"\n", digest(guest)))
        .collect();
    let new = state.join("trust.new");
    fs::write(&new, rows.concat()).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, state.join("trust.toml")).unwrap();
}

/// A guest's component. All of them are of one version: a lower one would be
/// refused.
pub(crate) fn bytes(guest: &str) -> Vec<u8> {
    let bytes = guests::bytes(guest);
    let Some(name) = guest.strip_prefix("wat-") else {
        return bytes;
    };
    let manifest = format!("[plugin]\nname = \"{name}\"\nversion = \"0.1.0\"\n");
    embed_manifest(&bytes, manifest.as_bytes()).unwrap()
}

/// Where a guest's component is.
pub(crate) fn component(state: &Path, guest: &str) -> PathBuf {
    state.join(format!("{guest}.wasm"))
}

pub(crate) fn digest(guest: &str) -> Digest {
    digest_of(&bytes(guest)).unwrap()
}

pub(crate) fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

/// A descriptor of this plugin, made of this guest, that is replaced at once.
pub(crate) fn text(name: &str, guest: &str) -> String {
    format!("source = \"../{guest}.wasm\"\nname = \"{name}\"\nhealth-window = \"0s\"\ndrain = \"1s\"\n")
}

impl Before {
    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.state.path().join("plugins.d").join(file), text).unwrap();
    }

    pub(crate) async fn start(self) -> Ground {
        let Before {
            state,
            config,
            limits,
        } = self;
        // The guests here are the project's own: they are compiled in this process.
        let host = Host::builder(Compiler::InProcess)
            .workers(1)
            .host_limits(limits)
            .state_dir(state.path())
            .start()
            .expect("a host starts");
        let daemon = serve(host.clone(), config).await.expect("a daemon starts");
        Ground {
            state,
            host,
            _daemon: daemon,
        }
    }
}

/// A host with an empty folder.
pub(crate) async fn ground() -> Ground {
    before().start().await
}

impl Ground {
    pub(crate) fn folder(&self) -> PathBuf {
        self.state.path().join("plugins.d")
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder().join(file)
    }

    /// Writes a file in place.
    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    /// Puts a whole file in the place of another.
    pub(crate) fn put(&self, file: &str, text: &str) {
        let new = self.folder().join(".new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(file)).unwrap();
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    pub(crate) fn row(&self, file: &str) -> Option<DescriptorRow> {
        self.host
            .status()
            .descriptors
            .into_iter()
            .find(|row| row.file == file)
    }

    pub(crate) fn plugin(&self, name: &str) -> Option<PluginRow> {
        self.host.list().into_iter().find(|row| row.name.as_str() == name)
    }

    /// The generation that serves under this name, and its component.
    pub(crate) fn runs(&self, name: &str) -> Option<(u64, Digest)> {
        self.plugin(name).map(|row| (row.generation.0, row.digest))
    }

    /// Waits until a file has come to be so, and gives its row.
    pub(crate) async fn becomes(&self, file: &str, state: DescriptorState) -> DescriptorRow {
        let is = || self.row(file).is_some_and(|row| row.state == state);
        self.soon(&format!("{file} is {state:?}"), is).await;
        self.row(file).unwrap()
    }

    /// Waits until this component serves under this name.
    pub(crate) async fn serves(&self, name: &str, guest: &str) -> u64 {
        let expected = digest(guest);
        let is = || self.runs(name).is_some_and(|(_, digest)| digest == expected);
        self.soon(&format!("{name} is {guest}"), is).await;
        self.runs(name).unwrap().0
    }

    pub(crate) async fn gone(&self, name: &str) {
        self.soon(&format!("{name} is gone"), || self.runs(name).is_none())
            .await;
    }

    pub(crate) async fn soon(&self, what: &str, holds: impl Fn() -> bool) {
        let waited = tokio::time::timeout(SOON, async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "expected soon: {what}; found {:#?} with {:?}",
            self.host.status().descriptors,
            self.host.status().folder
        );
    }

    /// Waits until everything that has changed so far was looked at and acted
    /// on: something was loaded and unloaded because of changes that came after
    /// all others.
    pub(crate) async fn all_seen(&self) {
        let (file, name) = ("zz-last.toml", "zz-last");
        self.write(file, &text(name, ONE));
        self.becomes(file, DescriptorState::Serving).await;
        self.remove(file);
        self.gone(name).await;
        self.soon("its row is gone", || self.row(file).is_none()).await;
    }

    /// What `answer` of a plugin says.
    pub(crate) async fn answer(&self, name: &str) -> String {
        let reply = self
            .host
            .call(&format!("{name}/answer"), Args::Wave(""), CallOptions::default())
            .await
            .expect("an answer");
        reply.wave().unwrap()
    }

    /// The events of this kind in the audit.
    pub(crate) fn audit(&self, kind: &str) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.state.path().join("audit.jsonl")).expect("there is an audit");
        let lines = text
            .lines()
            .map(|line| -> serde_json::Value { serde_json::from_str(line).unwrap() });
        lines
            .map(|line| line["event"].clone())
            .filter(|event| event["kind"] == kind)
            .collect()
    }
}
