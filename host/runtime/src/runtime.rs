//! The runtime: what all plugins of a host stand on.
//!
//! Owns the workers' shards, the ticker, the compiler, the cache, and the threads
//! that calls are moved to. What becomes of a component's bytes is `prepare`'s.

mod fit;
mod prepare;
mod template;
mod threads;

use std::sync::Arc;
use std::time::Duration;

use odeon_protocol::{Code, Fault};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::threads::Threads;
use crate::cache::{Cache, CacheConfig, CacheError};
use crate::compile::{CompileError, CompileLimits, Compiler, Confined};
use crate::engine::{Capture, PoolSize, open_page_map};
use crate::interfaces::egress::{Network, Resolver, SystemResolver};
use crate::link::LinkReport;
use crate::observe::Observatory;
use crate::shard::Shard;
use crate::ticker::Ticker;
use crate::wall::Standing;

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Engines and pools side by side, usually one per core.
    pub workers: usize,
    /// The room of each worker's pools.
    pub pool: PoolSize,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// What compiling one may take.
    pub compile: CompileLimits,
    /// Components compiled at the same time.
    pub compile_jobs: usize,
    /// Where native code is kept; nowhere if absent.
    pub cache: Option<CacheConfig>,
    /// How names that guests use are resolved.
    pub resolver: Arc<dyn Resolver>,
    /// How long it may take from the address of a guest's HTTP request to its
    /// connection, TLS included.
    pub connect_time: Duration,
}

impl RuntimeConfig {
    /// One worker per core, no cache, and the rest as by default.
    pub fn new(compiler: Compiler) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_workers(compiler, workers)
    }

    /// This many workers, no cache, and the rest as by default. Does not ask
    /// the system how many cores there are.
    pub fn with_workers(compiler: Compiler, workers: usize) -> Self {
        RuntimeConfig {
            workers,
            pool: PoolSize::default(),
            compiler,
            compile: CompileLimits::default(),
            compile_jobs: workers.div_ceil(2),
            cache: None,
            resolver: Arc::new(SystemResolver),
            connect_time: Duration::from_secs(10),
        }
    }
}

/// Why a runtime does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a component did not become a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its imports cannot be satisfied; says which and how to mend it.
    #[error("{0}")]
    Link(Box<LinkReport>),
    /// Plugins that were named as its providers are not loaded.
    #[error("{0}")]
    ProviderMissing(String),
    /// What it exports to be run at its load or unload is of another type.
    #[error("{0}")]
    Lifecycle(String),
    /// One instance of it takes more than the plugin's limits allow.
    #[error("{0}")]
    DoesNotFit(String),
    /// A limit was asked for that cannot be kept.
    #[error("{0}")]
    LimitUnsupported(String),
    /// The engine fails for a reason of its own.
    #[error("the engine failed: {0}")]
    Engine(String),
}

impl LoadError {
    /// The stable code of this error.
    pub fn code(&self) -> Code {
        match self {
            LoadError::Compile(CompileError::Refused(_)) => Code::CompileFailed,
            LoadError::Compile(CompileError::TooComplex(_)) => Code::TypeTooDeep,
            LoadError::Compile(CompileError::WrongClass(_)) | LoadError::DoesNotFit(_) => Code::DoesNotFit,
            LoadError::Compile(CompileError::Time(_) | CompileError::Memory(_) | CompileError::Output(_)) => {
                Code::CompileLimit
            }
            LoadError::Compile(CompileError::Process(_)) | LoadError::Engine(_) => Code::Internal,
            LoadError::Link(_) | LoadError::Lifecycle(_) => Code::LinkFailed,
            LoadError::ProviderMissing(_) => Code::ProviderMissing,
            LoadError::LimitUnsupported(_) => Code::LimitUnsupported,
        }
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Fault {
        let fault = Fault::new(error.code(), error.to_string());
        match error {
            LoadError::Link(report) => match serde_json::to_value(&report) {
                Ok(details) => fault.with_details(details),
                Err(_) => fault,
            },
            _ => fault,
        }
    }
}

/// A runtime. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shards: Vec<Shard>,
    pub(crate) ticker: Ticker,
    pub(crate) network: Arc<Network>,
    pub(crate) observatory: Observatory,
    config: RuntimeConfig,
    cache: Option<Arc<Cache>>,
    compile_permits: Semaphore,
    confined: Mutex<Option<Confined>>,
    threads: Threads,
}

impl Runtime {
    /// Starts a runtime. Engines and threads are made when they are first
    /// needed.
    ///
    /// # Errors
    ///
    /// When the cache cannot be opened or the ticker's thread not be started.
    pub fn new(config: RuntimeConfig) -> Result<Self, StartError> {
        let workers = config.workers.max(1);
        open_page_map();
        let ticker = Ticker::start()?;
        let cache = config.cache.as_ref().map(Cache::open).transpose()?.map(Arc::new);
        let pool = config.pool.for_each_of(workers);
        let config = RuntimeConfig { pool, ..config };
        let shards = (0..workers)
            .map(|_| Shard::new(config.pool, Capture::Backtrace, ticker.clone()))
            .collect();
        let observatory = Observatory::new(config.pool, ticker.clone());
        let compile_permits = Semaphore::new(config.compile_jobs.max(1));
        let network = Network::new(config.resolver.clone(), config.connect_time);
        Ok(Runtime {
            inner: Arc::new(Inner {
                shards,
                ticker,
                network,
                observatory,
                config,
                cache,
                compile_permits,
                confined: Mutex::default(),
                threads: Threads::new(workers),
            }),
        })
    }

    /// Bytes of native code in the cache; nothing where there is none.
    pub fn cache_bytes(&self) -> Option<u64> {
        self.inner.cache.as_ref().map(|cache| cache.bytes())
    }

    /// Waits until every core dump is written whose call has ended.
    /// Cancellation safe.
    pub async fn dumps_written(&self) {
        self.inner.observatory.dumps_written().await;
    }

    /// What a compile child says of the walls around it.
    fn note_confined(&self, confined: Confined) {
        let before = self.inner.confined.lock().replace(confined);
        let walls = [("landlock", confined.files), ("seccomp", confined.calls)];
        // Once, and not with every compile.
        if before != Some(confined) {
            for (wall, _) in walls
                .iter()
                .filter(|(_, standing)| *standing == Standing::Missing)
            {
                tracing::warn!(wall, around = "compile child", "missing: this kernel has none");
            }
        }
    }

    /// Whether components are compiled in a process of their own.
    pub fn has_compile_child(&self) -> bool {
        !matches!(self.inner.config.compiler, Compiler::InProcess)
    }

    /// What stands around a compile child, as the last one said; nothing before
    /// the first.
    pub fn compile_child(&self) -> Option<Confined> {
        *self.inner.confined.lock()
    }
}

impl Inner {
    /// The shard of this number: a worker's, or behind them the one where guests
    /// are observed.
    pub(crate) fn shard(&self, number: usize) -> Option<&Shard> {
        match number == self.shards.len() {
            true => Some(self.observatory.shard()),
            false => self.shards.get(number),
        }
    }

    /// What the pool of each worker has room for.
    pub(crate) fn pool(&self) -> PoolSize {
        self.config.pool
    }

    /// Threads for calls that overran their turn.
    pub(crate) fn overrun(&self) -> std::io::Result<&tokio::runtime::Runtime> {
        self.threads.overrun()
    }

    /// The clock and the connections of calls that wait on their caller's thread.
    pub(crate) fn waiting(&self) -> std::io::Result<&tokio::runtime::Runtime> {
        self.threads.waiting()
    }
}
