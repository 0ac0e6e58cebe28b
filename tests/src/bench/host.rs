//! The host that is measured: everything on, as an embedding program has it.

use std::path::Path;

use odeon::{CompileChild, Compiler, Host, HostLimits, LoadRequest, PoolSize};
use odeon_authority::InstanceMode;
use odeon_protocol::PluginName;

use super::raw;
use crate::guests;

/// A host with its state directory and the threads it runs on.
pub(super) struct Stage {
    pub(super) host: Host,
    pub(super) tokio: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

/// The program that compiles: this one, started again.
pub(super) fn compiler() -> Compiler {
    Compiler::ThisProgram(CompileChild::enter().expect("the path of this program"))
}

impl Stage {
    /// A host of so many workers.
    pub(super) fn new(workers: usize) -> Self {
        let folder = tempfile::tempdir().expect("a state directory");
        Stage::at(folder, workers, compiler(), HostLimits::default())
    }

    /// The same with its files in memory, for rows in which the disk has no part
    /// and compiling neither: as many loads as there can be, compiled here.
    pub(super) fn in_memory(workers: usize) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").expect("a state directory in memory");
        let limits = HostLimits {
            loads_per_minute: 60_000,
            ..HostLimits::default()
        };
        Stage::at(folder, workers, Compiler::InProcess, limits)
    }

    fn at(folder: tempfile::TempDir, workers: usize, compiler: Compiler, limits: HostLimits) -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("tokio");
        let builder = Host::builder(compiler)
            .state_dir(folder.path().join("state"))
            .host_limits(limits)
            .workers(workers)
            .pool(PoolSize {
                instances: raw::INSTANCES,
                memory: raw::MEMORY,
            });
        let host = {
            let _context = tokio.enter();
            builder.start().expect("a host")
        };
        Stage { host, tokio, folder }
    }

    /// A folder for files of the measurement, which goes with the stage.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Loads `guest-echo` under this name.
    pub(super) fn load_echo(&self, name: &str, mode: InstanceMode) {
        self.load("guest-echo", name, mode, None);
    }

    /// Loads a guest under this name, with an interface that another one serves.
    pub(super) fn load(&self, guest: &str, name: &str, mode: InstanceMode, link: Option<(&str, &str)>) {
        let name: PluginName = name.parse().expect("a name");
        let component = guests::component(guest);
        let mut request = LoadRequest::component(component).named(name).allow_unsigned();
        request.placing.instance = Some(mode);
        if let Some((interface, provider)) = link {
            request = request.linked(interface, provider.parse().expect("a name"));
        }
        self.tokio
            .block_on(self.host.load(request))
            .expect("the guest is loaded");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tokio.block_on(self.host.shutdown(std::time::Duration::ZERO));
    }
}
