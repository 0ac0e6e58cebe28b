//! Where a test's commands are run.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use odeon_tests::clock::until;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::components;

/// The longest that any one command may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the signed kit says of itself.
pub(crate) const MANIFEST: &str = "[plugin]\nname = \"kit\"\nversion = \"1.2.3\"\n";

/// A folder of its own, with a home directory in it.
pub(crate) struct Desk {
    folder: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `odeon serve`, accepting calls. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) ready: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Desk::within(&std::env::temp_dir())
    }

    /// One whose folder is in memory, where times are compared: what a disk does is
    /// another test's.
    pub(crate) fn in_memory() -> Self {
        Desk::within(Path::new("/dev/shm"))
    }

    fn within(folder: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("odeon-cli-").tempdir_in(folder);
        let desk = Desk {
            folder: folder.unwrap(),
        };
        std::fs::create_dir(desk.path("home")).unwrap();
        desk
    }

    /// A desk with the kit of functions on it, as `kit.wasm`.
    pub(crate) fn with_kit() -> Self {
        let desk = Desk::new();
        desk.component("kit.wasm", components::KIT);
        desk
    }

    /// The same with a key, and the kit packed and signed with it as
    /// `signed.wasm`.
    pub(crate) fn with_signed_kit() -> Self {
        let desk = Desk::with_kit();
        desk.write("odeon.toml", MANIFEST);
        desk.odeon(&["keygen", "-o", "author.key"]).ended(0);
        desk.odeon(&[
            "pack",
            "kit.wasm",
            "--manifest",
            "odeon.toml",
            "-o",
            "packed.wasm",
        ])
        .ended(0);
        desk.odeon(&["sign", "packed.wasm", "--key", "author.key", "-o", "signed.wasm"])
            .ended(0);
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn component(&self, name: &str, text: &str) {
        self.write(name, components::bytes(text));
    }

    /// Runs `odeon` with these arguments to its end.
    pub(crate) fn odeon(&self, args: &[&str]) -> Ran {
        let mut command = assert_cmd::Command::from_std(self.command(args));
        let output = command.timeout(PATIENCE).output().unwrap();
        Ran {
            status: output
                .status
                .code()
                .unwrap_or_else(|| panic!("odeon {args:?} was killed: {output:?}")),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `odeon run kit.wasm INVOKE --allow-unsigned`
    pub(crate) fn run_kit(&self, invoke: &str) -> Ran {
        self.odeon(&["run", "kit.wasm", invoke, "--allow-unsigned"])
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    /// Waits until the host of this desk, started by somebody else, accepts
    /// calls.
    pub(crate) fn until_it_answers(&self) {
        until("the host answers", PATIENCE, || self.odeon(&["list"]).status == 0);
    }

    /// Where a host that is told nothing answers.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("home/.local/state/odeon/control.sock")
    }

    /// Starts a host on two of the cores there are, however many that is.
    pub(crate) fn serve_on_two_cores(&self, args: &[&str]) -> Server {
        // A process has the cores of the thread that starts it.
        std::thread::scope(|scope| {
            let starts = scope.spawn(|| {
                let all = rustix::thread::sched_getaffinity(None).unwrap();
                let mut two = rustix::thread::CpuSet::new();
                let cores = (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
                cores.take(2).for_each(|core| two.set(core));
                rustix::thread::sched_setaffinity(None, &two).unwrap();
                self.serve(args)
            });
            starts.join().unwrap()
        })
    }

    /// Starts a host and waits until it accepts calls.
    pub(crate) fn serve(&self, args: &[&str]) -> Server {
        let mut command = self.command(&[&["serve"], args].concat());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        if ready.is_empty() {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("the host ended before it was ready ({:?}):\n{log}", child.wait());
        }
        // Nobody reads its log, and that holds nothing up.
        Server {
            child,
            ready: ready.trim_end().to_owned(),
        }
    }
}

impl Ran {
    /// Checks the status, and shows everything if it is another.
    #[track_caller]
    pub(crate) fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Standard error in one line, without the marks of lines that were wrapped.
    pub(crate) fn said(&self) -> String {
        let words = self.stderr.split_whitespace();
        words.filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Server {
    /// Waits until the host has ended by itself; its exit status.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal to a process that a test started.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "kill -{name} {process}");
}

/// The binary beside the folder that this test was built into.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let binary = folder.join("odeon");
    assert!(
        binary.is_file(),
        "expected {} to be built; run `cargo build --release`",
        binary.display()
    );
    binary
}
