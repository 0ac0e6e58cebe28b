//! State directories to begin with, and commands on copies of them.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    components, desk,
    tracer::{PATIENCE, Tracer, run},
};

/// What a plugin is called that comes and goes.
pub const P: &str = "p";
/// And another.
pub const Q: &str = "q";
/// What it may use.
pub const VARIABLE: &str = "env=A=1";

/// One engine, few instances: a start is quick.
const USUAL: &str = "[host]\nworkers = 1\npool-instances = 8\n";
/// And segments of the audit as small as they may be.
const SMALL: &str = "[host]\nworkers = 1\npool-instances = 8\n[host-limits]\naudit-size = \"4KiB\"\n";
/// So long is a segment when the next load does not fit into it.
const NEARLY: u64 = 3_400;

/// Who can be loaded, and states to begin with.
pub struct Ground {
    folder: tempfile::TempDir,
    pub tracer: Tracer,
}

/// The state that a point begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The author's key is trusted and nothing is loaded.
    Empty,
    /// Version 1 of `p` is loaded.
    One,
    /// Version 2 of `p` is loaded, in the place of version 1.
    Two,
    /// Version 1 of `p` is loaded, and may use a variable.
    Granted,
    /// The same by a descriptor.
    Described,
}

/// A copy of a state to do something with.
pub struct Site<'a> {
    ground: &'a Ground,
    pub folder: PathBuf,
    pub state: PathBuf,
}

/// A host that is not traced. Dropping it kills it, at once.
pub struct Host(Child);

impl Base {
    fn folder(self) -> &'static str {
        match self {
            Base::Empty => "empty",
            Base::One => "one",
            Base::Two => "two",
            Base::Granted => "granted",
            Base::Described => "described",
        }
    }
}

/// A component whose `version` answers this number and whose `trap` traps.
fn component(number: u64) -> Vec<u8> {
    components::bytes(&format!(
        r#"(component
          (core module $m
            (func (export "version") (result i32) (i32.const {number}))
            (func (export "trap") unreachable))
          (core instance $i (instantiate $m))
          (func (export "version") (result u32) (canon lift (core func $i "version")))
          (func (export "trap") (canon lift (core func $i "trap"))))"#
    ))
}

impl Ground {
    /// On a file system in memory where there is one: what a killed process wrote
    /// is there all the same, and nothing waits for a disk.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let builder = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix("odeon-crash-");
            builder
        };
        let folder = match builder().tempdir_in(memory) {
            Ok(folder) => folder,
            Err(_) => builder().tempdir().unwrap(),
        };
        let ground = Ground {
            tracer: Tracer::build(folder.path()),
            folder,
        };
        std::fs::create_dir(ground.path("home")).unwrap();
        ground.author();
        ground.states();
        ground
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a version of a plugin lies.
    pub fn file(&self, name: &str, number: u64) -> String {
        self.path(&format!("{name}-{number}.wasm"))
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// A descriptor of a version of `p` that allows this, or nothing.
    pub fn describing(&self, number: u64, grant: &str) -> String {
        let grants = if grant.is_empty() {
            String::new()
        } else {
            format!("{grant:?}")
        };
        format!(
            "source = {:?}\nname = \"{P}\"\ngrants = [{grants}]\ndrain = \"0s\"\nhealth-window = \"0s\"\n",
            self.file(P, number)
        )
    }

    /// Components with a version each, signed with one key; and another key.
    fn author(&self) {
        for key in ["author.key", "other.key"] {
            self.ends(&["keygen", "-o", key]);
        }
        for (name, number) in [(P, 1), (P, 2), (P, 3), (Q, 1)] {
            let file = self.file(name, number);
            std::fs::write(&file, component(number)).unwrap();
            let manifest = format!(
                "[plugin]\nname = \"{name}\"\nversion = \"{number}.0.0\"\n[grants]\nenv = {{ A = true }}\n"
            );
            std::fs::write(self.path("manifest.toml"), manifest).unwrap();
            self.ends(&["pack", &file, "--manifest", "manifest.toml"]);
            self.ends(&["sign", &file, "--key", "author.key"]);
        }
    }

    /// The states, with everything in their caches that is ever loaded.
    fn states(&self) {
        std::fs::write(self.path("usual.toml"), USUAL).unwrap();
        std::fs::write(self.path("small.toml"), SMALL).unwrap();
        let warm = self.made("warm", "empty-handed");
        warm.odeon(&["trust", "add", "--key", "../author.key.pub"]).ends();
        let host = warm.serve(false);
        for (name, number) in [(P, 1), (P, 2), (P, 3), (Q, 1)] {
            warm.odeon(&["load", &self.file(name, number)]).ends();
            warm.odeon(&["unload", name, "--now"]).ends();
        }
        drop(host);

        let empty = self.made("empty", "warm");
        for entry in std::fs::read_dir(&empty.state).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.file_name().unwrap() != "cache.key" {
                std::fs::remove_file(path).unwrap();
            }
        }
        empty
            .odeon(&["trust", "add", "--key", "../author.key.pub"])
            .ends();
        let [first, second] = [1, 2].map(|number| self.file(P, number));
        for (state, before, steps) in [
            ("one", "empty", &["load", &first][..]),
            ("two", "one", &["replace", P, &second][..]),
            ("granted", "empty", &["load", &first, "--grant", VARIABLE][..]),
            (
                "described",
                "empty",
                &["describe", &self.describing(1, VARIABLE)][..],
            ),
        ] {
            let site = self.made(state, before);
            if let ["describe", text] = steps {
                site.describe(text);
            }
            let host = site.serve(false);
            if !matches!(steps, ["describe", ..]) {
                site.odeon(steps).ends();
            }
            site.odeon(&["stop", "--now"]).ends();
            host.ended();
        }
    }

    /// A folder with a state directory that is a copy of another's.
    fn made(&self, name: &str, from: &str) -> Site<'_> {
        let folder = self.path(name);
        let state = folder.join("state");
        std::fs::create_dir(&folder).unwrap();
        for (part, copied) in [("state", &state), ("plugins.d", &folder.join("plugins.d"))] {
            let from = self.path(from).join(part);
            if from.exists() {
                copy(&from, copied);
            }
        }
        Site {
            ground: self,
            folder,
            state,
        }
    }

    /// A copy of a state under a name of its own.
    pub fn site(&self, name: &str, base: Base) -> Site<'_> {
        self.made(name, base.folder())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(desk::binary());
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.path("home"));
        command
    }

    fn ends(&self, args: &[&str]) {
        assert_eq!(run(&mut self.command(args)).0, Some(0), "odeon {args:?}");
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub out: String,
}

impl Ran {
    /// Checks that it did what it was told.
    #[track_caller]
    pub fn ends(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out
    }
}

impl Site<'_> {
    /// The command with this state directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.ground.command(args);
        command.current_dir(&self.folder).arg("--state").arg(&self.state);
        command
    }

    /// Runs it to its end.
    pub fn odeon(&self, args: &[&str]) -> Ran {
        let (status, out) = run(&mut self.command(args));
        Ran { status, out }
    }

    /// Where descriptors are, if there are any: beside the state, so that to look
    /// at them is no change of it.
    pub fn descriptors(&self) -> PathBuf {
        self.folder.join("plugins.d")
    }

    /// Has the folder of descriptors say this of `p`, and there be one.
    pub fn describe(&self, text: &str) {
        let folder = self.descriptors();
        if !folder.exists() {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        }
        let new = folder.join(".new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, folder.join(format!("{P}.toml"))).unwrap();
    }

    /// The command that starts a host here.
    pub fn serving(&self, small: bool) -> Command {
        let config = if small { "small.toml" } else { "usual.toml" };
        let mut config = self.ground.path(config);
        let descriptors = self.descriptors();
        if descriptors.exists() {
            config = self.folder.join("described.toml");
            std::fs::write(&config, format!("plugins = {descriptors:?}\n{USUAL}")).unwrap();
        }
        self.command(&["serve", "--log", "warn", "--config", config.to_str().unwrap()])
    }

    /// Starts a host and waits until it accepts calls.
    #[track_caller]
    pub fn serve(&self, small: bool) -> Host {
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let out = std::fs::File::create(self.folder.join("said")).unwrap();
        let child = self
            .serving(small)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()
            .unwrap();
        let mut host = Host(child);
        let until = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(self.folder.join("said"))
            .unwrap()
            .contains("ready ")
        {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap();
            assert_eq!(host.0.try_wait().unwrap(), None, "the host ended:\n{}", log());
            assert!(Instant::now() < until, "the host is not ready:\n{}", log());
            std::thread::sleep(Duration::from_millis(2));
        }
        host
    }

    /// Brings the end of the audit's segment so near that a load does not fit
    /// into it. Changes nothing else: the row is there already.
    pub fn fill(&self) {
        let log = self.state.join("audit.jsonl");
        let until = Instant::now() + PATIENCE;
        while std::fs::metadata(&log).unwrap().len() < NEARLY {
            self.odeon(&["trust", "add", "--key", "../author.key.pub"]).ends();
            assert!(Instant::now() < until, "the audit does not grow");
        }
    }

    /// What is loaded, by the host that serves here; nothing if none does.
    pub fn list(&self) -> Option<serde_json::Value> {
        let ran = self.odeon(&["list", "--json"]);
        (ran.status == Some(0)).then(|| serde_json::from_str(&ran.out).unwrap())
    }

    /// How many segments of the audit have ended.
    pub fn segments(&self) -> usize {
        let entries = std::fs::read_dir(&self.state).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.starts_with("audit.") && name.ends_with(".jsonl") && name != "audit.jsonl")
            .count()
    }

    /// Gives the room back.
    pub fn remove(self) {
        std::fs::remove_dir_all(self.folder).unwrap();
    }
}

impl Host {
    /// Waits until it has ended by itself.
    pub fn ended(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Copies a state directory; what is no file, such as a dead socket, stays.
fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}
