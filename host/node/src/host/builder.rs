//! Setting a host up.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use odeon_authority::{Audit, HostLimits, Ledger, Limits, Policy, Principal, SigningKey, sweep};
use odeon_rmi::{RequestLimits, Requests};
use odeon_runtime::{
    CacheConfig, CompileLimits, Compiler, LogSink, PoolSize, Resolver, Runtime, RuntimeConfig,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Host, Inner, Tasks};
use crate::audit::{Recorder, WriterStart};
use crate::daemon::lock::StateLock;
use crate::error::StartHostError;
use crate::load::Gatekeeper;
use crate::logs::Logs;
use crate::observe::{self, Observing};
use crate::registry::Registry;
use crate::remember::Remembered;
use crate::request::{Caller, Cancels};
use crate::telemetry::{OtlpConfig, Telemetry};
use crate::watch::Descriptors;
use crate::web::Web;

/// How a host is set up. Everything but the compiler has a default.
pub struct HostBuilder {
    compiler: Compiler,
    state_dir: Option<PathBuf>,
    trust_policy: Option<PathBuf>,
    versions: Option<PathBuf>,
    workers: Option<usize>,
    pool: PoolSize,
    host_limits: HostLimits,
    limits: Limits,
    requests: RequestLimits,
    log_sink: Option<Arc<dyn LogSink>>,
    resolver: Option<Arc<dyn Resolver>>,
    cache: bool,
    one_shot: bool,
    principal: Principal,
    environment: BTreeMap<String, String>,
    secrets: BTreeMap<String, PathBuf>,
    audit_head: Option<PathBuf>,
    otlp: Option<OtlpConfig>,
}

impl HostBuilder {
    pub(super) fn new(compiler: Compiler) -> Self {
        HostBuilder {
            compiler,
            state_dir: None,
            trust_policy: None,
            versions: None,
            workers: None,
            pool: PoolSize::default(),
            host_limits: HostLimits::default(),
            limits: Limits::default(),
            requests: RequestLimits::default(),
            log_sink: None,
            resolver: None,
            cache: true,
            one_shot: false,
            principal: Principal::Embedder,
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            audit_head: None,
            otlp: None,
        }
    }

    /// Where the audit, the record of versions, the cache, the host's keys,
    /// the trust policy and the list of remembered loads live. Made with mode
    /// 0700 when missing. Without it the host is ephemeral: its audit is gone
    /// with it, nothing is cached or remembered.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// The trust policy's file. By default the one that the state directory
    /// names, see [`Policy::file_of`]; without a state directory and a policy, only
    /// what is loaded with `allow_unsigned` gets in. Whoever names another file for
    /// good writes that down with [`Policy::keep_in`], so that `odeon trust` changes
    /// the file that counts.
    #[must_use]
    pub fn trust_policy(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust_policy = Some(path.into());
        self
    }

    /// The record of accepted versions that an ephemeral host goes by, and does
    /// not change. A host with a state directory has its own there.
    #[must_use]
    pub fn known_versions(mut self, path: impl Into<PathBuf>) -> Self {
        self.versions = Some(path.into());
        self
    }

    /// Engines and pools side by side; by default one per core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The room of each worker's pools.
    #[must_use]
    pub fn pool(mut self, pool: PoolSize) -> Self {
        self.pool = pool;
        self
    }

    /// What loading and keeping plugins may cost the host.
    #[must_use]
    pub fn host_limits(mut self, limits: HostLimits) -> Self {
        self.host_limits = limits;
        self
    }

    /// What one plugin may cost when nobody says otherwise.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many requests there may be, and how large.
    #[must_use]
    pub fn request_limits(mut self, limits: RequestLimits) -> Self {
        self.requests = limits;
        self
    }

    /// Where the lines of plugins go, besides [`Host::logs`].
    #[must_use]
    pub fn log_sink(mut self, sink: Arc<dyn LogSink>) -> Self {
        self.log_sink = Some(sink);
        self
    }

    /// How names that guests use are resolved; by default as the system does.
    /// What it answers is checked against the grants like any other answer.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Whether native code is kept in the state directory; yes by default.
    #[must_use]
    pub fn cache(mut self, cache: bool) -> Self {
        self.cache = cache;
        self
    }

    /// Sets the host up for one load and one call, after which the program
    /// ends: the audit's writer is started when a guest causes something to be
    /// written, and a load leaves its decision in the audit but no line of its
    /// own. Decisions are as durable as ever.
    #[must_use]
    pub fn one_shot(mut self) -> Self {
        self.one_shot = true;
        self
    }

    /// Who loads and calls when nobody else is named; by default
    /// [`Principal::Embedder`].
    #[must_use]
    pub fn principal(mut self, principal: Principal) -> Self {
        self.principal = principal;
        self
    }

    /// Where the values of granted environment variables come from that the
    /// grant itself does not give. The library reads no environment of its
    /// own.
    #[must_use]
    pub fn environment(mut self, environment: BTreeMap<String, String>) -> Self {
        self.environment = environment;
        self
    }

    /// The files of secrets that any plugin with a grant for them may read.
    #[must_use]
    pub fn secrets(mut self, secrets: BTreeMap<String, PathBuf>) -> Self {
        self.secrets = secrets;
        self
    }

    /// Another file for the signed head of the audit, outside of the state
    /// directory: written whenever there is a new one, at most once per
    /// `audit-interval`. Whoever checks the audit compares it.
    #[must_use]
    pub fn audit_head(mut self, path: impl Into<PathBuf>) -> Self {
        self.audit_head = Some(path.into());
        self
    }

    /// The collector that is told of requests and log lines; by default none is.
    #[must_use]
    pub fn otlp(mut self, config: OtlpConfig) -> Self {
        self.otlp = Some(config);
        self
    }

    /// Starts the host. Must be called inside a tokio runtime, on which the
    /// host's tasks then run.
    ///
    /// # Errors
    ///
    /// When the state directory, the audit, the cache or the file of header fields
    /// for the collector cannot be used, a limit is too high, or a thread cannot be
    /// started.
    pub fn start(self) -> Result<Host, StartHostError> {
        let handle = tokio::runtime::Handle::try_current().map_err(|_| StartHostError::NoRuntime)?;
        self.limits.check()?;
        self.host_limits.check()?;
        let telemetry = self.otlp.map(Telemetry::new).transpose()?;
        let (folder, ephemeral, key) = match &self.state_dir {
            Some(folder) => {
                make_private(folder)?;
                // Left behind by a process that was killed while it wrote.
                if let Err(error) = sweep(folder) {
                    tracing::warn!(%error, "unfinished files stay in the state directory");
                }
                observe::sweep_in(folder);
                (
                    folder.clone(),
                    None,
                    SigningKey::load_or_create(&folder.join("host.key"))?,
                )
            }
            None => {
                let made = tempfile::Builder::new().prefix("odeon-").tempdir();
                let folder = made.map_err(|source| StartHostError::StateDir {
                    path: std::env::temp_dir(),
                    source,
                })?;
                // What is removed with the host needs no key that outlives it.
                (folder.path().to_owned(), Some(folder), SigningKey::generate()?)
            }
        };
        let elsewhere = self.audit_head.as_deref();
        let elsewhere = elsewhere
            .map(|path| outside(path, self.state_dir.as_deref()))
            .transpose()?;
        let audit = Audit::open_sized(&folder, key, self.host_limits.audit_size)?;
        // A host that will be turned away, because another serves from this state
        // directory, changes nothing of what that one said.
        if !self.one_shot && !StateLock::is_held(&folder) {
            audit.say_elsewhere(elsewhere.as_deref())?;
        }
        let start = match self.one_shot {
            true => WriterStart::WhenNeeded,
            false => WriterStart::Now,
        };
        let recorder = Recorder::start(audit, self.host_limits.audit_interval.duration(), start)
            .map_err(StartHostError::Thread)?;
        if let Some(path) = elsewhere {
            let every = self.host_limits.audit_interval.duration();
            recorder
                .keep_elsewhere(path, every)
                .map_err(StartHostError::Thread)?;
        }
        let policy = match (&self.state_dir, self.trust_policy) {
            (Some(state), None) => Some(Policy::file_of(state)?),
            (_, policy) => policy,
        };
        let own = folder.join("versions.json");
        let ledger = match (&self.state_dir, &self.versions) {
            (None, Some(versions)) => Ledger::open(versions)?.kept_at(&own),
            _ => Ledger::open(&own)?,
        };
        let gatekeeper = Gatekeeper::new(policy, ledger, &self.host_limits);
        let remembered = self
            .state_dir
            .as_ref()
            .map(|folder| Remembered::at(folder.join("loads.toml")));
        let cache = self
            .state_dir
            .as_ref()
            .filter(|_| self.cache)
            .map(|folder| CacheConfig {
                dir: folder.join("cache"),
                key: folder.join("cache.key"),
                max_bytes: self.host_limits.cache_size.bytes(),
            });
        let mut config = match self.workers {
            Some(workers) => RuntimeConfig::with_workers(self.compiler, workers),
            None => RuntimeConfig::new(self.compiler),
        };
        config.pool = self.pool;
        config.compile = compile_limits(&self.host_limits);
        config.cache = cache;
        config.connect_time = self.host_limits.connect_time.duration();
        if let Some(resolver) = self.resolver {
            config.resolver = resolver;
        }
        let runtime = Runtime::new(config)?;
        let tasks = Tasks {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            no_loads: CancellationToken::new(),
            handle,
        };
        let requests = Requests::new(self.requests);
        let (sweeper, stop) = (requests.clone(), tasks.stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(sweeper.run_sweeper()).await;
        });
        if let Some(telemetry) = &telemetry {
            telemetry.begin(&tasks);
        }
        let inner = Inner {
            runtime,
            registry: Registry::new(),
            requests,
            gatekeeper,
            recorder,
            logs: Logs::new(self.log_sink, telemetry.clone()),
            telemetry,
            remembered,
            descriptors: Descriptors::default(),
            web: Web::default(),
            observing: Observing::default(),
            tasks,
            caller: Caller::new(&self.principal),
            cancels: Cancels::new(self.host_limits.audit_interval.duration()),
            principal: self.principal,
            limits: self.limits,
            host_limits: self.host_limits,
            environment: self.environment,
            secrets: Arc::new(self.secrets),
            state_dir: self.state_dir,
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            serving: AtomicBool::new(false),
            one_shot: self.one_shot,
            _ephemeral: ephemeral,
        };
        Ok(Host {
            inner: Arc::new(inner),
        })
    }
}

/// The absolute path of a file that is not lost with the state directory.
fn outside(path: &Path, state: Option<&Path>) -> Result<PathBuf, StartHostError> {
    let wrong = |problem| StartHostError::AuditHead {
        path: path.to_owned(),
        problem,
    };
    let state = state.ok_or_else(|| wrong("a host with a state directory, whose audit lasts"))?;
    let absolute = std::path::absolute(path).map_err(|_| wrong("the path of a file"))?;
    let parent = absolute.parent().ok_or_else(|| wrong("the path of a file"))?;
    // A folder that is not there now may be mounted later.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(parent).starts_with(real(state)) {
        return Err(wrong("a file outside of the state directory"));
    }
    Ok(absolute)
}

/// A folder that nobody else can look into.
fn make_private(path: &Path) -> Result<(), StartHostError> {
    let failed = |source| StartHostError::StateDir {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        return Err(StartHostError::StateDirOwner {
            path: path.to_owned(),
            owner: metadata.uid(),
            expected: me,
        });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StartHostError::StateDirOpen {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn compile_limits(limits: &HostLimits) -> CompileLimits {
    CompileLimits {
        time: limits.compile_time.duration(),
        memory: limits.compile_memory.bytes(),
        output: limits.native_size.bytes(),
        type_depth: u32::try_from(limits.type_depth).unwrap_or(u32::MAX),
        type_nodes: u32::try_from(limits.type_nodes).unwrap_or(u32::MAX),
    }
}
