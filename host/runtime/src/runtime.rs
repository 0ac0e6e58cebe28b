//! The runtime: from a component's bytes to a plugin that can be called.
//!
//! Owns the workers' shards, the ticker, the compiler, the cache, and the
//! threads to which calls that overrun their turn are moved.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use odeon_authority::digest_of;
use odeon_protocol::{Code, Digest, Fault};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use crate::EngineClass;
use crate::cache::{Cache, CacheConfig, CacheError, Circumstances};
use crate::compile::{CompileError, CompileLimits, Compiled, Compiler, Confined, compile};
use crate::describe::{Description, Export};
use crate::engine::{Capture, HEAVY_MEMORIES, HEAVY_TABLES, PoolSize, STACK, TABLE_ELEMENTS, open_page_map};
use crate::instance::Template;
use crate::interfaces::egress::{Network, Resolver, SystemResolver};
use crate::link::{self, LinkReport, flavour};
use crate::links::{self, Beside, Links};
use crate::observe::Observatory;
use crate::plugin::{Plugin, Source, lifecycle};
use crate::shard::Shard;
use crate::ticker::Ticker;
use crate::unit::PluginSpec;
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
    background: OnceLock<tokio::runtime::Runtime>,
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
        let background = OnceLock::new();
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
                background,
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

    /// Compiles a component, or takes it from the cache, without making it a
    /// plugin.
    ///
    /// # Errors
    ///
    /// When it does not compile.
    pub async fn describe(
        &self,
        bytes: &[u8],
        class: Option<EngineClass>,
    ) -> Result<Description, CompileError> {
        self.compiled(bytes, &digest(bytes), class, true)
            .await
            .map(|(compiled, _)| compiled.description)
    }

    /// Makes a component a plugin: compiled, linked and ready to be
    /// instantiated. No code of it has run yet; see [`Plugin::load`].
    ///
    /// Dropping the future ends a compile that is under way.
    ///
    /// # Errors
    ///
    /// When it does not compile or link, or needs more than its limits.
    pub async fn prepare(&self, bytes: &[u8], spec: PluginSpec) -> Result<Plugin, LoadError> {
        self.prepare_known(bytes, &digest(bytes), spec).await
    }

    /// The same for whoever knows the digest of these bytes
    /// ([`odeon_authority::digest_of`]), so that they are not read once more. It
    /// must be theirs: it says which native code of the cache is.
    ///
    /// # Errors
    ///
    /// As for [`Runtime::prepare`].
    pub async fn prepare_known(
        &self,
        bytes: &[u8],
        digest: &Digest,
        spec: PluginSpec,
    ) -> Result<Plugin, LoadError> {
        debug_assert_eq!(*digest, self::digest(bytes), "the digest of other bytes");
        if spec.limits.stack.bytes() < STACK as u64 {
            return Err(LoadError::LimitUnsupported(format!(
                "limits.stack expected at least {} KiB, the size of a guest's stack here, found {}; \
                 leave it out or raise it",
                STACK >> 10,
                spec.limits.stack
            )));
        }
        if let Some(missing) = links::missing(&spec) {
            return Err(LoadError::ProviderMissing(missing));
        }
        let (mut class, mut ask_cache) = (spec.class, true);
        loop {
            let (compiled, from_cache) = self.compiled(bytes, digest, class, ask_cache).await?;
            let found = compiled.description.class;
            if let Some(beyond) = beyond_pool(&compiled.description, &spec, self.inner.config.pool) {
                if spec.class.is_some() || found == EngineClass::Async {
                    return Err(LoadError::LimitUnsupported(beyond));
                }
                class = Some(EngineClass::Heavy);
                continue;
            }
            fits(&compiled.description, &spec)?;
            let linked = self.linked(compiled, from_cache, spec.clone()).await;
            // What the engine itself adds to a component is its pool's to count.
            let pool_is_full = matches!(linked, Err(LoadError::DoesNotFit(_)));
            if pool_is_full && spec.class.is_none() && found == EngineClass::Fast {
                class = Some(EngineClass::Heavy);
                continue;
            }
            if !from_cache || !matches!(linked, Err(LoadError::Engine(_))) {
                return linked;
            }
            // Made for another processor, or by another build of this program.
            tracing::debug!("native code from the cache does not fit here; compiling again");
            ask_cache = false;
        }
    }

    /// Whether a component would become a plugin of these terms, and what it is.
    /// For bytes that nobody has decided about: none of it becomes executable
    /// here, and nothing of it is kept. What the engine alone can tell, which
    /// resource a handle is of, comes out when it is loaded.
    ///
    /// # Errors
    ///
    /// When it does not compile or link, or needs more than its limits.
    pub async fn check(
        &self,
        bytes: &[u8],
        spec: &PluginSpec,
        beside: &[Beside<'_>],
    ) -> Result<Description, LoadError> {
        let mut description = self.compile_only(bytes, spec.class).await?.description;
        if let Some(beyond) = beyond_pool(&description, spec, self.inner.config.pool) {
            if spec.class.is_some() || description.class == EngineClass::Async {
                return Err(LoadError::LimitUnsupported(beyond));
            }
            description = self
                .compile_only(bytes, Some(EngineClass::Heavy))
                .await?
                .description;
        }
        fits(&description, spec)?;
        lifecycle::check_hooks(&description.exports).map_err(LoadError::Lifecycle)?;
        let report = links::check_beside(beside, &description);
        match report.is_empty() {
            true => Ok(description),
            false => Err(LoadError::Link(Box::new(report))),
        }
    }

    /// What a component exports. Compiles it, and keeps nothing of that.
    ///
    /// # Errors
    ///
    /// When it does not compile.
    pub async fn exports(&self, bytes: &[u8]) -> Result<Vec<Export>, CompileError> {
        Ok(self.compile_only(bytes, None).await?.description.exports)
    }

    /// Makes native code a plugin, on a thread that serves nobody: taking it,
    /// linking, and saying everything that does not link takes its time.
    async fn linked(
        &self,
        compiled: Compiled,
        from_cache: bool,
        spec: PluginSpec,
    ) -> Result<Plugin, LoadError> {
        let compiled_at = Instant::now();
        let runtime = self.clone();
        let made = move || {
            let links = Links::of(&spec, &compiled.description);
            if !links.is_empty() {
                // What the engine does not know: what its providers export.
                let report = links::check(&spec, &compiled.description);
                if !report.is_empty() {
                    return Err(LoadError::Link(Box::new(report)));
                }
            }
            let flavour = flavour(&compiled.description);
            let source = Source {
                links,
                compiled: compiled_at,
                description: Arc::new(compiled.description),
                lines: compiled.lines,
                flavour,
                from_cache,
            };
            Plugin::new(&runtime, spec, source, &compiled.native)
        };
        aside(made)
            .await
            .unwrap_or_else(|| Err(LoadError::Engine("linking broke off; see the log".into())))
    }

    /// Native code, from the cache if that may have it.
    async fn compiled(
        &self,
        bytes: &[u8],
        digest: &Digest,
        class: Option<EngineClass>,
        ask_cache: bool,
    ) -> Result<(Compiled, bool), CompileError> {
        let inner = &*self.inner;
        let config = &inner.config;
        let made_for = Circumstances {
            class,
            pool: config.pool,
            limits: config.compile,
        };
        let entry = match &inner.cache {
            Some(cache) => {
                let (cache, entry) = (cache.clone(), cache.entry(digest, &made_for));
                let look_up = move || {
                    let found = ask_cache.then(|| cache.get(&entry, &made_for.limits)).flatten();
                    (cache, entry, found)
                };
                match aside(look_up).await {
                    Some((_, _, Some(compiled))) => return Ok((compiled, true)),
                    Some((cache, entry, None)) => Some((cache, entry)),
                    None => None,
                }
            }
            None => None,
        };
        let compiled = self.compile_only(bytes, class).await?;
        let Some((cache, entry)) = entry else {
            return Ok((compiled, false));
        };
        let keep = move || {
            if let Err(error) = cache.put(&entry, &compiled) {
                // The next start is slower; nothing else is lost.
                tracing::warn!(%error, "native code was not kept in the cache");
            }
            compiled
        };
        let compiled = aside(keep)
            .await
            .ok_or_else(|| CompileError::Process("keeping the native code broke off".into()))?;
        Ok((compiled, false))
    }

    async fn compile_only(&self, bytes: &[u8], class: Option<EngineClass>) -> Result<Compiled, CompileError> {
        let _permit = self
            .inner
            .compile_permits
            .acquire()
            .await
            .map_err(|_| CompileError::Process("the runtime is stopping".into()))?;
        let config = &self.inner.config;
        let told = |confined| self.note_confined(confined);
        compile(&config.compiler, bytes, class, config.pool, config.compile, told).await
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

/// What names a component: all its bytes but its signatures.
fn digest(bytes: &[u8]) -> Digest {
    // Where those are out of place, all of them.
    digest_of(bytes).unwrap_or_else(|_| Digest::of(bytes))
}

/// Does something long where that holds no task: beside the workers, or here
/// when there is only this one thread. Nothing when it broke off.
async fn aside<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let serves_others =
        Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() != RuntimeFlavor::CurrentThread);
    match serves_others {
        true => tokio::task::spawn_blocking(work).await.ok(),
        false => Some(work()),
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

    /// Threads for calls that overran their turn, at a lower priority than
    /// those that answer short calls.
    pub(crate) fn background(&self) -> std::io::Result<&tokio::runtime::Runtime> {
        /// Enough that the operating system runs anything else first, not so
        /// much that a stopped guest waits long for its end.
        const NICE: i32 = 10;
        if let Some(background) = self.background.get() {
            return Ok(background);
        }
        let made = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.shards.len())
            .thread_name("odeon-overrun")
            .on_thread_start(|| {
                // Without the permission to lower it, it stays as it is.
                if rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE).is_err() {
                    tracing::debug!("overrun threads keep their priority");
                }
            })
            .enable_all()
            .build()?;
        Ok(self.background.get_or_init(|| made))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(background) = self.background.take() {
            // Never waits: the last handle may be dropped inside a runtime.
            background.shutdown_background();
        }
    }
}

/// Whether the plugin may grow beyond what an instance of its pooled class can.
/// Says how.
fn beyond_pool(description: &Description, spec: &PluginSpec, pool: PoolSize) -> Option<String> {
    let (class, limits) = (description.class, &spec.limits);
    if class == EngineClass::Heavy {
        return None;
    }
    if limits.memory.bytes() > pool.memory as u64 {
        return Some(format!(
            "limits.memory expected at most {} MiB, the most an instance of the engine class {class} can have here, \
             found {}; lower it, raise host.pool-memory, or ask for the class heavy",
            pool.memory >> 20,
            limits.memory
        ));
    }
    (limits.table_elements > TABLE_ELEMENTS as u64).then(|| {
        format!(
            "limits.table-elements expected at most {TABLE_ELEMENTS}, the most a table of the engine class {class} can \
             have, found {}; lower it, or ask for the class heavy",
            limits.table_elements
        )
    })
}

fn fits(description: &Description, spec: &PluginSpec) -> Result<(), LoadError> {
    let (needs, limits) = (&description.needs, &spec.limits);
    let memory = limits.memory.bytes();
    if needs.memory > memory {
        return Err(LoadError::DoesNotFit(format!(
            "one instance starts with {} KiB of memory, expected at most limits.memory = {}; raise it, or build the \
             component with a smaller stack and heap",
            needs.memory >> 10,
            limits.memory
        )));
    }
    if u64::from(needs.core_instances) > limits.core_instances {
        return Err(LoadError::DoesNotFit(format!(
            "the component is made of {} core instances, expected at most limits.core-instances = {}",
            needs.core_instances, limits.core_instances
        )));
    }
    if needs.memories > HEAVY_MEMORIES || needs.tables > HEAVY_TABLES {
        return Err(LoadError::DoesNotFit(format!(
            "one instance is made of {} memories and {} tables, expected at most {HEAVY_MEMORIES} and {HEAVY_TABLES}",
            needs.memories, needs.tables
        )));
    }
    let state = match needs.partial {
        // As many of the largest as there may be.
        true => needs
            .state
            .max(needs.largest_state.saturating_mul(limits.core_instances)),
        false => needs.state,
    };
    if state > memory {
        return Err(LoadError::DoesNotFit(format!(
            "the host keeps up to {} KiB of globals and functions for one instance, expected at most limits.memory = {}; \
             raise it, or build the component with fewer of them",
            state >> 10,
            limits.memory
        )));
    }
    if needs.table_elements > limits.table_elements {
        return Err(LoadError::DoesNotFit(format!(
            "a table starts with {} elements, expected at most limits.table-elements = {}",
            needs.table_elements, limits.table_elements
        )));
    }
    Ok(())
}

impl Inner {
    /// Makes the component ready on one shard, from its native code.
    pub(crate) fn template(
        &self,
        shard: &Shard,
        native: &[u8],
        source: &Source,
        spec: &PluginSpec,
    ) -> Result<Template, LoadError> {
        let engine_failed = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let class = source.description.class;
        let engine = shard.engine(class).map_err(engine_failed)?;
        let component = deserialize(engine, native).map_err(|error| pool_refused(&error))?;
        let linker = shard.linker(class, source.flavour).map_err(engine_failed)?;
        let pre = match source.links.is_empty() {
            true => linker.instantiate_pre(&component),
            false => {
                let mut linker = linker.clone();
                links::define(&mut linker, &source.links).map_err(engine_failed)?;
                linker.instantiate_pre(&component)
            }
        };
        let pre = pre.map_err(|error| {
            let report = links::check(spec, &source.description);
            LoadError::Link(Box::new(link::explain(report, &error)))
        })?;
        let index = |interface: Option<&str>, function: &str| {
            let interface = match interface {
                Some(name) => Some(component.get_export_index(None, name)?),
                None => None,
            };
            component.get_export_index(interface.as_ref(), function)
        };
        let methods = source
            .description
            .exports
            .iter()
            .map(|export| {
                index(export.interface.as_deref(), &export.function)
                    .ok_or_else(|| LoadError::Engine(format!("the export {} is gone", export.function)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Template {
            pre,
            methods,
            capture: shard.capture(),
        })
    }
}

/// Says why an engine does not take native code that was made for it: only its
/// pool looks at what the engine itself puts between nested components, and at
/// the size of each part.
fn pool_refused(error: &wasmtime::Error) -> LoadError {
    let words = format!("{error:#}");
    match words.contains("pooling allocator") {
        true => LoadError::DoesNotFit(format!(
            "the component is too large for its engine class: {words}; make it of fewer parts, or ask for the class \
             heavy"
        )),
        false => LoadError::Engine(words),
    }
}

/// Turns native code into a component.
#[allow(unsafe_code, reason = "native code has to become executable somewhere")]
fn deserialize(engine: &wasmtime::Engine, native: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: these bytes were made by this host's own compiler: they come
    // straight from it, or from a cache entry that was authenticated in the
    // very memory that is passed here, or from a component that was made of
    // such bytes and has been in this process's memory since.
    unsafe { Component::deserialize(engine, native) }
}
