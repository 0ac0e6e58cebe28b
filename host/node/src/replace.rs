//! The way from one generation to the next, without a gap.
//!
//! Owns the order: the new generation is let in, compiled and made ready beside
//! the old one, which serves all the while; then it takes the old one's place,
//! for every caller at once; what runs on the old one goes on until the drain
//! time is over. Whatever fails before the switch leaves the old one where it
//! is.
//!
//! **Invariant:** no call is lost. Every call is admitted by one generation,
//! and none by the old one after the first by the new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::{Event, Principal};
use odeon_protocol::{Code, Fault, Generation, PluginName};
use odeon_runtime::Reason;

use crate::health::Health;
use crate::host::{Host, no_more_plugins};
use crate::load::{LoadReport, LoadRequest, Source, Way, blocking};
use crate::registry::Loaded;
use crate::unload::LET_GO;

/// How many generations of one name may have calls left at a time. A further
/// replace waits for one of them.
const MOST_LEAVING: usize = 4;

/// What is to take the place of a loaded plugin, and on which terms. Whatever
/// is not named here stays as the plugin was loaded: grants, limits,
/// configuration, secrets, placing.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaceRequest {
    /// The plugin that is replaced.
    pub name: PluginName,
    /// The new component or descriptor; none: what it was loaded from, read
    /// again.
    pub source: Option<Source>,
    /// Lets it in although nothing vouches for it. Such a load is transient.
    pub allow_unsigned: bool,
    /// Lets in a lower version than was accepted before.
    pub allow_downgrade: bool,
    /// How long calls of the old generation may go on.
    pub drain: Duration,
    /// How long the new generation is watched: if it traps too often within
    /// that time, the old one comes back. Zero: it is not watched.
    pub health_window: Duration,
    /// Who asks; absent: the host's own principal.
    pub principal: Option<Principal>,
}

impl ReplaceRequest {
    /// How long a new generation is watched unless somebody says so.
    pub const HEALTH_WINDOW: Duration = Duration::from_secs(10);

    /// A new component or descriptor for this plugin.
    pub fn new(name: PluginName, source: Source) -> Self {
        ReplaceRequest {
            source: Some(source),
            ..Self::reload(name)
        }
    }

    /// What it was loaded from, read again.
    pub fn reload(name: PluginName) -> Self {
        ReplaceRequest {
            name,
            source: None,
            allow_unsigned: false,
            allow_downgrade: false,
            drain: Duration::from_secs(30),
            health_window: Self::HEALTH_WINDOW,
            principal: None,
        }
    }

    /// The load that this comes to.
    fn load(&self, before: &Loaded) -> Result<LoadRequest, Fault> {
        let mut load = before.origin.asked.clone();
        match (&self.source, &load.source) {
            (Some(source), _) => load.source = source.clone(),
            (None, Source::Component(_) | Source::Descriptor(_)) => {}
            (None, Source::Bytes(_)) => {
                return Err(Fault::new(
                    Code::InvalidArguments,
                    format!(
                        "{} was loaded from memory, and there is no file to read again; replace it by one",
                        self.name
                    ),
                ));
            }
        }
        load.name = Some(self.name.clone());
        load.name_if_nameless = None;
        // Neither is ever inherited: each is said for one file.
        load.allow_unsigned = self.allow_unsigned;
        load.allow_downgrade = self.allow_downgrade;
        // Other bytes, and maybe another author's, are what a replace is for;
        // the policy says who may have the name.
        load.bound_to = None;
        load.principal = self.principal.clone();
        Ok(load)
    }
}

/// What became of a replace.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaceReport {
    /// The generation that was replaced.
    pub from: Generation,
    /// The one that serves now.
    pub loaded: LoadReport,
    /// From the moment at which the old generation took no more calls until the
    /// new one did.
    pub switched_in: Duration,
}

impl Host {
    /// Puts another generation in the place of a loaded plugin. Calls that run
    /// go on; calls that wait, and all that come, are the new one's.
    ///
    /// Dropping the future before the switch leaves the old generation where
    /// it is.
    ///
    /// # Errors
    ///
    /// As for [`Host::load`]; and `ODN-1001` when no such plugin is loaded. The
    /// old generation serves on.
    pub async fn replace(&self, request: ReplaceRequest) -> Result<ReplaceReport, Fault> {
        let inner = &self.inner;
        inner.gatekeeper.count_load(Instant::now())?;
        if inner.stopping.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(no_more_plugins());
        }
        inner.registry.fewer_leave(&request.name, MOST_LEAVING).await;
        let (reservation, before) = inner.registry.claim_to_replace(&request.name)?;
        let load = request.load(&before)?;
        let (drain, window) = (request.drain, request.health_window);
        let way = Way::Replace {
            reservation,
            before: before.clone(),
        };
        let ready = self.make_ready(self.let_in(load, way).await?).await?;
        let (host, from) = (self.clone(), before.clone());
        let (report, after, switched_in) = blocking(move || host.switch(ready, &from)).await??;
        let (host, from) = (self.clone(), before.generation);
        inner
            .tasks
            .spawn(async move { host.see_off(before, after, drain, window).await });
        Ok(ReplaceReport {
            from,
            loaded: report,
            switched_in,
        })
    }

    /// Waits until the old generation is not needed any more: its calls have
    /// ended, and the new one has proved itself. Brings it back if that does
    /// not.
    async fn see_off(&self, before: Arc<Loaded>, after: Arc<Loaded>, drain: Duration, window: Duration) {
        let health = Health::new(&before, &after, window);
        let (well, ()) = tokio::join!(
            self.inner.tasks.unless_stopping(health.watch()),
            self.drain_replaced(&before, drain)
        );
        if let Ok(Err(reason)) = well {
            match self.roll_back(&before, &after, &reason).await {
                Ok(()) => return,
                Err(fault) => tracing::error!(
                    plugin = before.name.as_str(), %fault, %reason,
                    "a bad generation could not be rolled back"
                ),
            }
        }
        if let Err(fault) = before.plugin.unload().await {
            tracing::warn!(plugin = before.name.as_str(), %fault, "the replaced generation's unload failed");
        }
        self.inner.registry.let_go(&before);
    }

    /// Lets the calls of a generation that was replaced come to their end, for
    /// as long as they may.
    async fn drain_replaced(&self, before: &Loaded, drain: Duration) {
        let plugin = &before.plugin;
        if tokio::time::timeout(drain, plugin.drained()).await.is_ok() {
            return;
        }
        plugin.interrupt(Reason::Replaced);
        if tokio::time::timeout(LET_GO, plugin.drained()).await.is_err() {
            tracing::warn!(plugin = before.name.as_str(), "calls did not let go in time");
        }
    }

    /// Puts the old generation back in the place of one that went bad, under a
    /// number of its own. What the bad one runs is interrupted.
    async fn roll_back(&self, before: &Arc<Loaded>, bad: &Arc<Loaded>, reason: &str) -> Result<(), Fault> {
        let (reservation, current) = self.inner.registry.claim_to_replace(&before.name)?;
        if !Arc::ptr_eq(&current, bad) {
            // Somebody was faster: neither is what serves.
            self.inner.registry.let_go(before);
            return Ok(());
        }
        let (host, old, leaving, why) = (self.clone(), before.clone(), bad.clone(), reason.to_owned());
        blocking(move || {
            // Until it serves, so that what was revoked never comes back.
            let _turn = host.inner.gatekeeper.turn();
            host.decide_again(&old)?;
            let number = reservation.generation();
            host.note(Event::Rollback {
                name: old.name.clone(),
                from: leaving.generation,
                to: number,
                digest: old.origin.digest,
                reason: why.into(),
            })?;
            let revived = Arc::new(Loaded::revived(&old, number));
            if let Some(warning) = host.remember(&revived) {
                tracing::warn!(plugin = old.name.as_str(), warning);
            }
            reservation.switch(revived, &leaving);
            host.inner.registry.let_go(&old);
            Ok::<_, Fault>(())
        })
        .await??;
        tracing::warn!(
            plugin = before.name.as_str(),
            from = bad.generation.0,
            reason,
            "rolled back to the generation before"
        );
        bad.plugin.interrupt(Reason::Replaced);
        if tokio::time::timeout(LET_GO, bad.plugin.drained()).await.is_err() {
            tracing::warn!(plugin = bad.name.as_str(), "calls did not let go in time");
        }
        if let Err(fault) = bad.plugin.unload().await {
            tracing::warn!(plugin = bad.name.as_str(), %fault, "the bad generation's unload failed");
        }
        self.inner.registry.let_go(bad);
        Ok(())
    }
}
