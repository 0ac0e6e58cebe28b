//! From a component's bytes to a plugin that can be called.
//!
//! Owns the order of the steps: the cache, else the compiler; what fits into
//! which class; the links. What takes long happens where it holds no task, and
//! what is in the cache takes one such step from there to the plugin.

use std::sync::Arc;
use std::time::Instant;

use odeon_authority::digest_of;
use odeon_protocol::Digest;

use crate::EngineClass;
use crate::cache::{Cache, Circumstances, Entry};
use crate::compile::{CompileError, Compiled, compile};
use crate::describe::{Description, Export};
use crate::engine::STACK;
use crate::link::flavour;
use crate::links::{self, Beside, Links};
use crate::plugin::{Plugin, Source, lifecycle};
use crate::unit::PluginSpec;

use super::fit::{beyond_pool, fits};
use super::{LoadError, Runtime};

/// Where the native code of a component is kept, or will be.
type Place = (Arc<Cache>, Entry);

/// Why native code did not become a plugin.
enum Unready {
    /// It wants more than its class has room for, and may have another one.
    Heavier,
    Failed(LoadError),
}

impl<E: Into<LoadError>> From<E> for Unready {
    fn from(error: E) -> Self {
        Unready::Failed(error.into())
    }
}

impl Runtime {
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
        let place = self.place(&digest(bytes), class);
        if let Some(description) = self.cached(&place, |compiled| compiled.description).await {
            return Ok(description);
        }
        self.compiled_anew(bytes, class, place, |compiled| compiled.description)
            .await
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
            let place = self.place(digest, class);
            let ready = |from_cache| {
                let (runtime, spec) = (self.clone(), spec.clone());
                move |compiled| runtime.ready(compiled, from_cache, spec)
            };
            let kept = match ask_cache {
                true => self.cached(&place, ready(true)).await,
                false => None,
            };
            let from_cache = kept.is_some();
            let ready = match kept {
                Some(kept) => kept,
                None => self.compiled_anew(bytes, class, place, ready(false)).await?,
            };
            match ready {
                Ok(plugin) => return Ok(plugin),
                Err(Unready::Heavier) => class = Some(EngineClass::Heavy),
                // Made for another processor, or by another build of this program.
                Err(Unready::Failed(LoadError::Engine(_))) if from_cache => {
                    tracing::debug!("native code from the cache does not fit here; compiling again");
                    ask_cache = false;
                }
                Err(Unready::Failed(error)) => return Err(error),
            }
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

    /// Makes native code a plugin: taking it, linking, and saying everything that
    /// does not link takes its time.
    fn ready(&self, compiled: Compiled, from_cache: bool, spec: PluginSpec) -> Result<Plugin, Unready> {
        let compiled_at = Instant::now();
        let (asked, found) = (spec.class, compiled.description.class);
        if let Some(beyond) = beyond_pool(&compiled.description, &spec, self.inner.config.pool) {
            if asked.is_some() || found == EngineClass::Async {
                return Err(Unready::Failed(LoadError::LimitUnsupported(beyond)));
            }
            return Err(Unready::Heavier);
        }
        fits(&compiled.description, &spec)?;
        let links = Links::of(&spec, &compiled.description);
        if !links.is_empty() {
            // What the engine does not know: what its providers export.
            let report = links::check(&spec, &compiled.description);
            if !report.is_empty() {
                return Err(Unready::Failed(LoadError::Link(Box::new(report))));
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
        let linked = Plugin::new(self, spec, source, compiled.native.sealed());
        // What the engine itself adds to a component is its pool's to count.
        let pool_is_full = matches!(linked, Err(LoadError::DoesNotFit(_)));
        if pool_is_full && asked.is_none() && found == EngineClass::Fast {
            return Err(Unready::Heavier);
        }
        Ok(linked?)
    }

    /// Where the native code of this component is, or will be, if any is kept.
    fn place(&self, digest: &Digest, class: Option<EngineClass>) -> Option<Place> {
        let config = &self.inner.config;
        let made_for = Circumstances {
            class,
            pool: config.pool,
            limits: config.compile,
        };
        let cache = self.inner.cache.as_ref()?;
        Some((cache.clone(), cache.entry(digest, &made_for)))
    }

    /// Takes native code from the cache, and does something with it. Nothing if it
    /// is not there.
    async fn cached<R: Send + 'static>(
        &self,
        place: &Option<Place>,
        then: impl FnOnce(Compiled) -> R + Send + 'static,
    ) -> Option<R> {
        let (cache, entry) = place.clone()?;
        let limits = self.inner.config.compile;
        aside(move || cache.get(&entry, &limits).map(then)).await?
    }

    /// Compiles, keeps the native code where there is a place for it, and does
    /// something with it.
    async fn compiled_anew<R: Send + 'static>(
        &self,
        bytes: &[u8],
        class: Option<EngineClass>,
        place: Option<Place>,
        then: impl FnOnce(Compiled) -> R + Send + 'static,
    ) -> Result<R, CompileError> {
        let compiled = self.compile_only(bytes, class).await?;
        let keep = move || {
            if let Some((cache, entry)) = place
                && let Err(error) = cache.put(&entry, &compiled)
            {
                // The next start is slower; nothing else is lost.
                tracing::warn!(%error, "native code was not kept in the cache");
            }
            then(compiled)
        };
        let broke_off =
            || CompileError::Process("keeping and linking the native code broke off; see the log".into());
        aside(keep).await.ok_or_else(broke_off)
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
