//! The way in: from a file to a generation that serves calls.
//!
//! Owns the order of the steps: read once, decide, write the decision down,
//! compile and link, run the plugin's own `load`, put it into service. There
//! is no other way in; descriptors, remembered loads, the API and operators
//! all come through here.
//!
//! **Invariant:** a component's code is compiled only after the decision to
//! let it in is on disk.
//!
//! **Invariant:** what goes into service would be let in at that very moment:
//! compiling takes seconds, and a revocation of meanwhile counts. It counts for
//! the plugin's own `load` as well, before that and while it runs.

mod again;
mod failed;
mod gatekeeper;
mod keep;
mod offer;
mod request;
mod settle;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use odeon_authority::{Event, GrantSet, LoadStep};
use odeon_protocol::{Code, Digest, Fault, Generation, PluginName};
use odeon_runtime::{LifecycleError, Plugin};

pub(crate) use self::failed::{About, Failed};
pub(crate) use self::gatekeeper::{Gatekeeper, Stamp};
pub(crate) use self::offer::{beside, look_at};
pub use self::request::{LoadRequest, Source};
pub(crate) use self::settle::{absent, engine_class, unused};
use crate::host::{Host, no_more_plugins};
use crate::links;
use crate::registry::{Loaded, Origin, Readying, Reservation};
use crate::web;

/// What was put into service.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadReport {
    /// Its name.
    pub name: PluginName,
    /// Its generation.
    pub generation: Generation,
    /// Its digest.
    pub digest: Digest,
    /// The version it states.
    pub version: Option<semver::Version>,
    /// The keys that let it in, by their ids.
    pub signed_by: Vec<String>,
    /// The rule that let it in.
    pub rule: String,
    /// What it may touch.
    pub grants: GrantSet,
    /// Whether it is forgotten when the host ends.
    pub transient: bool,
    /// Whether its native code came from the cache.
    pub from_cache: bool,
    /// How long loading took.
    pub elapsed: Duration,
    /// How much of it came after the native code was at hand: linking, the
    /// plugin's own `load`, the record, and the switch.
    pub after_compile: Duration,
    /// What the operator should know although it went well.
    pub warnings: Vec<String>,
}

/// A component that was let in under a name that is kept for it.
pub(crate) struct LetIn {
    admitted: offer::Admitted,
    started: Instant,
}

/// What becomes of a name.
pub(crate) enum Way {
    /// It is free, and kept for what is let in.
    Load,
    /// It is in use, and what is let in comes in the place of this one.
    Replace {
        reservation: Reservation,
        before: Arc<Loaded>,
    },
}

/// A generation that only has to be put into service.
pub(crate) struct Ready {
    loaded: Arc<Loaded>,
    /// Until it serves, so that what is revoked meanwhile is revoked for it.
    readying: Readying,
    reservation: Reservation,
    report: LoadReport,
    started: Instant,
}

impl Ready {
    /// Whether the policy has denied it since it was let in.
    pub(crate) fn is_condemned(&self) -> bool {
        self.loaded.is_condemned()
    }

    /// What is put into service.
    pub(crate) fn plugin(&self) -> &Plugin {
        &self.loaded.plugin
    }

    /// Tells the operator something although it went well.
    pub(crate) fn warn(&mut self, warning: Option<String>) {
        self.report.warnings.extend(warning);
    }
}

impl LetIn {
    /// The name that is kept for it.
    pub(crate) fn name(&self) -> &PluginName {
        self.admitted.admission.name()
    }
}

impl Host {
    /// Loads a component and puts it into service.
    ///
    /// Dropping the future before it is ready leaves nothing behind but the
    /// decision in the audit.
    ///
    /// # Errors
    ///
    /// A fault whose code says which step refused: the file (3001–3005), the
    /// decision (40xx), the name (3015), compiling and linking (3006–3017),
    /// the plugin's own `load` (3010), the host itself (1011, 3011).
    pub async fn load(&self, request: LoadRequest) -> Result<LoadReport, Fault> {
        self.inner.gatekeeper.count_load(Instant::now())?;
        self.load_uncounted(request).await
    }

    /// The same for what a host loads by itself when it starts: that is no
    /// flood, however much it is.
    pub(crate) async fn load_uncounted(&self, request: LoadRequest) -> Result<LoadReport, Fault> {
        let let_in = self.let_in(request, Way::Load).await?;
        self.put_into_service(let_in).await
    }

    /// The first half of a load: the file, the decision, the name.
    pub(crate) async fn let_in(&self, request: LoadRequest, way: Way) -> Result<LetIn, Fault> {
        let started = Instant::now();
        if self.inner.stopping.load(Ordering::SeqCst) {
            return Err(no_more_plugins());
        }
        let host = self.clone();
        let admitted = blocking(move || host.admit(request, way)).await??;
        Ok(LetIn { admitted, started })
    }

    /// The second: what takes long, and runs the plugin's own code; then it
    /// serves.
    pub(crate) async fn put_into_service(&self, let_in: LetIn) -> Result<LoadReport, Fault> {
        let ready = self.make_ready(let_in).await?;
        let host = self.clone();
        blocking(move || {
            let about = About::of(&ready);
            host.publish(ready)
                .map_err(|failed| host.note_failed_now(about, failed))
        })
        .await?
    }

    /// Compiles and links it, and runs its own `load`. What fails is on record.
    pub(crate) async fn make_ready(&self, let_in: LetIn) -> Result<Ready, Fault> {
        let about = About::new(self, &let_in);
        match self.try_make_ready(let_in).await {
            Ok(ready) => Ok(ready),
            Err(failed) => Err(self.note_failed(about, failed).await),
        }
    }

    async fn try_make_ready(&self, let_in: LetIn) -> Result<Ready, Failed> {
        let inner = &self.inner;
        let LetIn { admitted, started } = let_in;
        let offer::Admitted {
            bytes,
            admission,
            manifest,
            offered,
            reservation,
            request,
            asked,
            observe,
            mut warnings,
        } = admitted;
        let settling = Failed::at(LoadStep::Settle);
        let spec = self
            .settle(
                &reservation,
                &admission,
                manifest.as_ref(),
                &request,
                &mut warnings,
            )
            .map_err(&settling)?;
        let folders = settle::folders(&admission, &request);
        if !folders.is_empty() {
            // Where that waits for a disk, or a network, it holds no task.
            let absent = inner
                .tasks
                .unless_stopping(blocking(move || settle::absent(&folders)));
            let absent = absent.await.and_then(|absent| absent);
            warnings.extend(absent.map_err(&settling)?);
        }
        let route = self.settle_route(admission.name(), &request).map_err(&settling)?;
        let preparing = inner.runtime.prepare_known(&bytes, admission.digest(), spec);
        let prepared = inner.tasks.unless_stopping(preparing);
        let plugin = prepared.await.map_err(Failed::at(LoadStep::Compile))??;
        warnings.extend(links::unused(&plugin));
        if let Ok(policy) = inner.gatekeeper.policy() {
            // Its own `load` may use them, and be denied what it has not.
            let (offer, terms) = &offered;
            let (name, granted) = (admission.name(), admission.grants());
            plugin.regrant(self.grants_of(&policy, name, (offer, terms), granted));
        }
        if let Some(at) = &route {
            web::check_handler(&plugin, at).map_err(&settling)?;
        }
        let size = bytes.len();
        drop(bytes);
        let principal = request
            .principal
            .clone()
            .unwrap_or_else(|| inner.principal.clone());
        let origin = Origin::new(&admission, offered, principal, asked, request, size);
        let loaded = Arc::new(Loaded::new(plugin, origin, route));
        let readying = inner.registry.make_ready(&loaded);
        if loaded.plugin.runs_before_service() {
            // No review saw it before now.
            self.let_in_still(&loaded).await?;
        }
        if let Some(observe) = observe {
            // Its own `load` makes the first instance.
            self.observe_first(&observe, &loaded).await.map_err(&settling)?;
        }
        let hooked = inner.tasks.unless_stopping(loaded.plugin.load()).await;
        if loaded.is_condemned() {
            // That is why, whatever became of its own `load`.
            self.let_in_still(&loaded).await?;
        }
        hooked
            .and_then(|hooked| hooked.map_err(hook_failed))
            .map_err(Failed::at(LoadStep::Hook))?;
        let report = LoadReport {
            name: loaded.name.clone(),
            generation: loaded.generation,
            digest: loaded.origin.digest,
            version: loaded.origin.version.clone(),
            signed_by: loaded.origin.signed_by.clone(),
            rule: loaded.origin.rule.clone(),
            grants: admission.grants().clone(),
            transient: loaded.origin.transient,
            from_cache: loaded.plugin.from_cache(),
            elapsed: Duration::ZERO,
            after_compile: Duration::ZERO,
            warnings,
        };
        Ok(Ready {
            loaded,
            readying,
            reservation,
            report,
            started,
        })
    }

    /// Puts it into service under a name that was free. Blocks on the disk.
    fn publish(&self, ready: Ready) -> Result<LoadReport, Failed> {
        let Ready {
            loaded,
            readying,
            reservation,
            mut report,
            started,
        } = ready;
        // Until it is published, so that a review sees it or it sees the
        // policy that the review goes by.
        let turn = self.inner.gatekeeper.turn();
        let route = loaded.route.as_ref();
        self.check_route(&loaded.name, route)
            .map_err(Failed::at(LoadStep::Settle))?;
        self.link_again(&loaded.plugin)
            .map_err(Failed::at(LoadStep::Link))?;
        self.refuse_denied(&loaded)?;
        let failed = Failed::at(LoadStep::Publish);
        self.note_load(&loaded).map_err(&failed)?;
        // A version counts as accepted when the load is on record.
        let warning = self.keep(&loaded).map_err(&failed)?;
        report.warnings.extend(warning);
        let compiled_at = loaded.plugin.compiled_at();
        reservation.publish(loaded);
        drop(readying);
        report.elapsed = started.elapsed();
        report.after_compile = compiled_at.elapsed();
        drop(turn);
        self.inner.descriptors.provider_came();
        Ok(report)
    }

    /// Puts it into service in the place of `before`. Says how long nobody took
    /// calls. Blocks on the disk.
    pub(crate) fn switch(
        &self,
        ready: Ready,
        before: &Arc<Loaded>,
        break_links: bool,
    ) -> Result<(LoadReport, Arc<Loaded>, Duration), Failed> {
        let Ready {
            loaded,
            readying,
            reservation,
            mut report,
            started,
        } = ready;
        let _turn = self.inner.gatekeeper.turn();
        let route = loaded.route.as_ref();
        self.check_route(&loaded.name, route)
            .map_err(Failed::at(LoadStep::Settle))?;
        self.refuse_denied(&loaded)?;
        let unlinked = Failed::at(LoadStep::Link);
        self.link_again(&loaded.plugin).map_err(&unlinked)?;
        if !break_links {
            self.fits_dependants(&loaded.plugin).map_err(&unlinked)?;
        }
        let failed = Failed::at(LoadStep::Publish);
        self.note_replace(&loaded, before).map_err(&failed)?;
        let warning = self.keep(&loaded).map_err(&failed)?;
        report.warnings.extend(warning);
        self.take_at_switch(before, &loaded);
        let began = Instant::now();
        reservation.switch(loaded.clone(), before);
        drop(readying);
        let switched_in = began.elapsed();
        before.set_draining();
        report.elapsed = started.elapsed();
        report.after_compile = loaded.plugin.compiled_at().elapsed();
        Ok((report, loaded, switched_in))
    }

    /// Writes down that a generation goes into service, before it does.
    fn note_load(&self, loaded: &Loaded) -> Result<(), Fault> {
        if self.inner.one_shot {
            // The decision says all there is to say.
            return Ok(());
        }
        self.note(Event::Load {
            name: loaded.name.clone(),
            generation: loaded.generation,
            digest: loaded.origin.digest,
            principal: loaded.origin.principal.to_string().into(),
        })?;
        tracing::info!(
            plugin = loaded.name.as_str(),
            generation = loaded.generation.0,
            digest = %loaded.origin.digest,
            rule = loaded.origin.rule,
            "loaded"
        );
        Ok(())
    }

    /// The same of a generation that comes in the place of another.
    fn note_replace(&self, loaded: &Loaded, before: &Loaded) -> Result<(), Fault> {
        self.note(Event::Replace {
            name: loaded.name.clone(),
            from: before.generation,
            to: loaded.generation,
            digest: loaded.origin.digest,
            principal: loaded.origin.principal.to_string().into(),
        })?;
        tracing::info!(
            plugin = loaded.name.as_str(),
            from = before.generation.0,
            generation = loaded.generation.0,
            digest = %loaded.origin.digest,
            rule = loaded.origin.rule,
            "replaced"
        );
        Ok(())
    }

    /// Writes something down before it takes effect.
    pub(crate) fn note(&self, event: Event) -> Result<(), Fault> {
        let written = self.inner.recorder.append(event);
        written
            .map(drop)
            .map_err(|error| Fault::new(error.code(), error.to_string()))
    }
}

/// How much of a guest's own words about its failure is passed on, in
/// characters.
const HOOK_WORDS: usize = 1024;

fn hook_failed(error: LifecycleError) -> Fault {
    let error = match error {
        LifecycleError::Refused(text) => LifecycleError::Refused(cut(text)),
        failed => failed,
    };
    let details = match &error {
        LifecycleError::Failed(fault) => serde_json::json!({ "cause": fault }),
        LifecycleError::Refused(text) => serde_json::json!({ "error": text }),
    };
    Fault::new(Code::LoadHookFailed, error.to_string()).with_details(details)
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(HOOK_WORDS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Runs what waits for the disk where that holds no task.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Fault::new(Code::Internal, "a step broke off in the host; see its log"))
}
