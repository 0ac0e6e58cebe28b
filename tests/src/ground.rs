//! State directories from which hosts start with any number of plugins.
//!
//! Owns what starting there, and calling every plugin, takes a process that has
//! done nothing else: what it gave back before would serve what comes after.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odeon::{Compiler, Host, PoolSize};
use serde::{Deserialize, Serialize};

use crate::clock::process_cpu;
use crate::footprint::{descriptors, resident};
use crate::guests;

/// What every plugin is: it exports `add` and asks for nothing.
const GUEST: &str = "guest-provider";

/// The plugins of one ground have so many digests, if they are as many.
pub const DIGESTS: usize = 100;

/// Workers of a host.
pub const WORKERS: usize = 2;

/// A state directory with a folder of descriptors. Whoever starts a host there
/// finds the native code in its cache, as after any restart.
pub struct Ground {
    folder: PathBuf,
    plugins: usize,
}

/// A host that has started, with what that took.
pub struct Started {
    /// The host.
    pub host: Host,
    /// From nothing until every plugin serves.
    pub took: Duration,
    plugins: usize,
}

/// What a process takes whose hosts have started, and then call every plugin
/// once from as many threads as there are workers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// Milliseconds until every plugin serves.
    pub time: f64,
    /// Milliseconds of processor time until then.
    pub cpu: f64,
    /// KiB of memory then.
    pub loaded: f64,
    /// KiB of memory after the calls.
    pub called: f64,
    /// Microseconds of processor time of such a call: the mean.
    pub first: f64,
    /// Descriptors that the hosts, and the calls, have opened.
    pub opened: usize,
}

/// A plugin that was called keeps a file open for each worker, the first state of
/// its memory, and the usual soft limit is a thousand.
///
/// # Panics
///
/// When it cannot be raised.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("room for open files");
}

/// The threads that hosts run on.
///
/// # Panics
///
/// When there are none.
pub fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .expect("tokio")
}

/// `add(2, 3)` of a plugin.
///
/// # Panics
///
/// When it is not five.
pub fn add(host: &Host, method: &str) {
    const ARGS: [u8; 8] = [2, 0, 0, 0, 3, 0, 0, 0];
    let reply = host.call_encoded(method, &ARGS).expect("a sum");
    assert_eq!(reply.bytes, [5, 0, 0, 0]);
}

/// What hosts take that start on these grounds at once.
///
/// # Panics
///
/// When anything goes wrong.
#[expect(clippy::cast_precision_loss, reason = "so much memory there is not")]
pub fn taken(grounds: &[Ground]) -> Taken {
    raise_open_files();
    let tokio = threads();
    let (before, open, busy) = (resident(), descriptors(), process_cpu());
    let grown = || resident().saturating_sub(before) as f64;
    let started = futures::future::join_all(grounds.iter().map(Ground::start));
    let started = tokio.block_on(started);
    let time = started.iter().map(|started| started.took).max();
    let cpu = process_cpu() - busy;
    let loaded = grown();
    let busy = process_cpu();
    // One after the other, so that they go to different workers: threads are
    // dealt out in turn.
    for _ in 0..WORKERS {
        std::thread::scope(|scope| {
            let calls = scope.spawn(|| started.iter().for_each(Started::call_each));
            calls.join().expect("the calls");
        });
    }
    let calls: usize = started.iter().map(|started| started.plugins * WORKERS).sum();
    let taken = Taken {
        time: time.expect("a host").as_secs_f64() * 1e3,
        cpu: cpu.as_secs_f64() * 1e3,
        loaded,
        called: grown(),
        first: (process_cpu() - busy).as_secs_f64() * 1e6 / calls as f64,
        opened: descriptors().saturating_sub(open),
    };
    tokio.block_on(futures::future::join_all(started.into_iter().map(Started::end)));
    taken
}

impl Ground {
    /// One that somebody has made, for so many plugins.
    pub fn at(folder: PathBuf, plugins: usize) -> Self {
        Ground { folder, plugins }
    }

    /// Makes one in a folder that is not there, with as many plugins as there are
    /// digests, and compiles them.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub async fn make(folder: PathBuf) -> Self {
        fs::create_dir(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("its mode");
        let ground = Ground::at(folder, DIGESTS);
        let mut trust = String::new();
        for number in 0..DIGESTS {
            let mut bytes = guests::bytes(GUEST);
            // A section that means nothing to anybody.
            bytes.extend([0, 6, 1, b'n']);
            bytes.extend(u32::try_from(number).expect("a few").to_le_bytes());
            let digest = odeon_authority::digest_of(&bytes).expect("a component");
            trust.push_str(&format!("[[digest]]\ndigest = \"{digest}\"\n"));
            fs::write(ground.path(&format!("plugin-{number}.wasm")), bytes).expect("a component");
        }
        let policy = ground.path("trust.toml");
        fs::write(&policy, trust).expect("a policy");
        fs::set_permissions(policy, fs::Permissions::from_mode(0o600)).expect("its mode");
        ground.describe();
        ground.start().await.end().await;
        ground
    }

    /// Another one for so many plugins, in a folder that is not there, with all
    /// that this one has in its cache.
    ///
    /// # Panics
    ///
    /// When that does not work.
    #[must_use]
    pub fn again(&self, folder: PathBuf, plugins: usize) -> Self {
        copy(&self.folder, &folder);
        let ground = Ground::at(folder, plugins);
        fs::remove_dir_all(ground.path("plugins.d")).expect("the descriptors of the other one");
        ground.describe();
        ground
    }

    /// Plugins `p0`, `p1` and so on, which take turns with the digests.
    fn describe(&self) {
        fs::create_dir(self.path("plugins.d")).expect("a folder");
        for number in 0..self.plugins {
            let component = number % DIGESTS;
            let text = format!("name = \"p{number}\"\nsource = \"../plugin-{component}.wasm\"\n");
            fs::write(self.path(&format!("plugins.d/p{number}.toml")), text).expect("a descriptor");
        }
    }

    /// A host with all of them.
    ///
    /// # Panics
    ///
    /// When one does not load.
    pub async fn start(&self) -> Started {
        let began = Instant::now();
        let host = self.host();
        let loads = host.load_descriptors(&self.path("plugins.d")).await;
        let took = began.elapsed();
        let loads = loads.expect("the folder can be read");
        assert_eq!(loads.len(), self.plugins);
        assert!(loads.iter().all(|load| load.outcome.is_ok()), "{loads:?}");
        assert_eq!(host.list().len(), self.plugins);
        Started {
            host,
            took,
            plugins: self.plugins,
        }
    }

    fn host(&self) -> Host {
        // Room for the calls of few threads, so that many hosts find the address
        // space for their pools.
        let pool = PoolSize {
            instances: 64,
            ..PoolSize::default()
        };
        let builder = Host::builder(Compiler::InProcess).workers(WORKERS).pool(pool);
        builder.state_dir(&self.folder).start().expect("a host starts")
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many plugins it is for.
    pub fn plugins(&self) -> usize {
        self.plugins
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Started {
    fn call_each(&self) {
        for number in 0..self.plugins {
            add(&self.host, &format!("p{number}/add"));
        }
    }

    /// Ends, and gives back all that it took.
    pub async fn end(self) {
        self.host.shutdown(Duration::from_secs(5)).await;
    }
}

/// A folder with all that is in it, for the same people.
fn copy(from: &Path, to: &Path) {
    let metadata = fs::metadata(from).expect("a folder");
    fs::create_dir(to).expect("a folder");
    fs::set_permissions(to, metadata.permissions()).expect("its mode");
    for entry in fs::read_dir(from).expect("what is in it") {
        let entry = entry.expect("a name");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("its kind").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file");
        }
    }
}
