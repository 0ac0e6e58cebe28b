//! The host: what an embedding program, or the daemon, holds.
//!
//! Owns the composition of authority, runtime and requests, and their end. The
//! ways in (`load`), through (`call`, `request`) and out (`unload`) are files
//! of their own. Two hosts in one process share nothing.

mod builder;
mod shutdown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use odeon_authority::{HostLimits, Limits, Principal};
use odeon_protocol::{Code, Fault};
use odeon_rmi::Requests;
use odeon_runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::builder::HostBuilder;
pub(crate) use self::shutdown::Until;
use crate::audit::Recorder;
use crate::load::Gatekeeper;
use crate::logs::Logs;
use crate::observe::Observing;
use crate::registry::Registry;
use crate::remember::Remembered;
use crate::request::{Caller, Cancels};
use crate::telemetry::Telemetry;
use crate::watch::Descriptors;
use crate::web::Web;

/// A host. Cheap to clone; it ends with the last clone, or by
/// [`Host::shutdown`].
#[derive(Clone)]
pub struct Host {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) runtime: Runtime,
    pub(crate) registry: Arc<Registry>,
    pub(crate) requests: Requests,
    pub(crate) gatekeeper: Gatekeeper,
    pub(crate) recorder: Recorder,
    pub(crate) logs: Logs,
    /// What is traced, if anything is told to a collector.
    pub(crate) telemetry: Option<Telemetry>,
    pub(crate) remembered: Option<Remembered>,
    pub(crate) descriptors: Descriptors,
    pub(crate) web: Web,
    pub(crate) observing: Observing,
    pub(crate) tasks: Tasks,
    pub(crate) principal: Principal,
    /// The same, as requests need it.
    pub(crate) caller: Caller,
    pub(crate) cancels: Cancels,
    pub(crate) limits: Limits,
    pub(crate) host_limits: HostLimits,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) secrets: Arc<BTreeMap<String, PathBuf>>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) started: Instant,
    pub(crate) stopping: AtomicBool,
    /// Whether the audit says that the host began to serve.
    pub(crate) serving: AtomicBool,
    /// Whether the host is for one load and one call.
    pub(crate) one_shot: bool,
    /// Where an ephemeral host keeps its audit; removed with the host.
    _ephemeral: Option<tempfile::TempDir>,
}

/// The tasks of a host, and the word that ends them.
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// Ends what is being loaded: the host takes no more plugins.
    pub(crate) no_loads: CancellationToken,
    pub(crate) handle: tokio::runtime::Handle,
}

impl Tasks {
    pub(crate) fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(task, &self.handle)
    }

    /// Does a step of a load, unless the host begins to stop: then the step is
    /// dropped.
    pub(crate) async fn unless_stopping<T>(&self, step: impl Future<Output = T>) -> Result<T, Fault> {
        let done = self.no_loads.run_until_cancelled(step).await;
        done.ok_or_else(no_more_plugins)
    }
}

impl Host {
    /// Begins to set up a host.
    pub fn builder(compiler: odeon_runtime::Compiler) -> HostBuilder {
        HostBuilder::new(compiler)
    }

    /// What plugins and the host wrote.
    pub fn logs(&self) -> &Logs {
        &self.inner.logs
    }

    /// The state directory, if the host has one.
    pub fn state_dir(&self) -> Option<&Path> {
        self.inner.state_dir.as_deref()
    }

    /// The longest message that anything here takes, in bytes.
    pub(crate) fn longest_message(&self) -> usize {
        let usual = usize::try_from(self.inner.limits.message.bytes()).unwrap_or(usize::MAX);
        self.inner.registry.longest_message().max(usual)
    }

    /// Who calls when nobody else is named.
    pub fn principal(&self) -> &Principal {
        &self.inner.principal
    }
}

pub(crate) fn no_more_plugins() -> Fault {
    Fault::new(Code::Draining, "the host stops and takes no more plugins")
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}
