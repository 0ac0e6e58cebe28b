//! State directories from which hosts start with any number of plugins.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use odeon::{Compiler, Host, LoadRequest, PoolSize};
use odeon_tests::guests;
use tempfile::TempDir;

/// What every plugin is: it exports `add` and asks for nothing.
const GUEST: &str = "guest-provider";

/// A state directory with a folder of descriptors. Whoever starts a host there
/// finds the native code in its cache, as after any restart.
pub(crate) struct Ground {
    folder: TempDir,
    plugins: usize,
}

/// A host that has started, with what that took.
pub(crate) struct Started {
    pub(crate) host: Host,
    /// From nothing until every plugin serves.
    pub(crate) took: Duration,
}

/// A plugin that was called keeps a file open, the first state of its memory, and
/// the usual soft limit is a thousand.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("room for open files");
}

impl Ground {
    /// For so many plugins, `p0`, `p1` and so on.
    pub(crate) async fn of(plugins: usize) -> Self {
        // In memory: what a disk does is another test's.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let ground = Ground { folder, plugins };
        let component = ground.path("plugin.wasm");
        std::fs::write(&component, guests::bytes(GUEST)).unwrap();
        let digest = odeon_authority::digest_of(&guests::bytes(GUEST)).unwrap();
        let trust = ground.path("trust.toml");
        std::fs::write(&trust, format!("[[digest]]\ndigest = \"{digest}\"\n")).unwrap();
        std::fs::set_permissions(trust, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::create_dir(ground.path("plugins.d")).unwrap();
        for number in 0..plugins {
            let text = format!("name = \"p{number}\"\nsource = \"../plugin.wasm\"\n");
            std::fs::write(ground.path(&format!("plugins.d/p{number}.toml")), text).unwrap();
        }
        let host = ground.host();
        let mut once = LoadRequest::component(component).named("p0".parse().unwrap());
        once.transient = true;
        host.load(once).await.expect("the guest loads");
        host.shutdown(Duration::ZERO).await;
        ground
    }

    /// A host with all of them.
    pub(crate) async fn start(&self) -> Started {
        let began = Instant::now();
        let host = self.host();
        let loads = host.load_descriptors(&self.path("plugins.d")).await.unwrap();
        let took = began.elapsed();
        assert_eq!(loads.len(), self.plugins);
        assert!(loads.iter().all(|load| load.outcome.is_ok()), "{loads:?}");
        assert_eq!(host.list().len(), self.plugins);
        Started { host, took }
    }

    fn host(&self) -> Host {
        // Room for the calls of one thread, so that eight hosts find the address
        // space for their pools.
        let pool = PoolSize {
            instances: 64,
            ..PoolSize::default()
        };
        let builder = Host::builder(Compiler::InProcess).workers(1).pool(pool);
        builder
            .state_dir(self.folder.path())
            .start()
            .expect("a host starts")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Started {
    /// Ends, and gives back all that it took.
    pub(crate) async fn end(self) {
        self.host.shutdown(Duration::from_secs(5)).await;
    }
}
