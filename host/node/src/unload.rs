//! The way out: a plugin leaves service, and every caller gets an end.
//!
//! Owns the order: no new calls, wait or interrupt, the plugin's own `unload`,
//! the audit, and only then is the name free again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::{AuditError, Event, Principal};
use odeon_protocol::{Code, Fault, Generation, PluginName};
use odeon_runtime::Reason;

use crate::host::Host;
use crate::load::blocking;
use crate::registry::{Claim, Loaded, Reservation, Taken};
use crate::review::UNTRUSTED;

/// How long calls that were interrupted may take to let go.
pub(crate) const LET_GO: Duration = Duration::from_secs(2);

/// How a plugin leaves service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnloadMode {
    /// Calls in flight may go on for this long; then they are interrupted.
    Drain(Duration),
    /// Calls in flight are interrupted at once.
    Now,
}

/// What became of an unload.
#[derive(Clone, Debug, PartialEq)]
pub struct UnloadReport {
    /// The plugin that is gone.
    pub name: PluginName,
    /// Its last generation; 0 where only a remembered load was forgotten.
    pub generation: Generation,
    /// How many calls were interrupted.
    pub interrupted: usize,
    /// Why the plugin's own `unload` failed, if it did. It is gone all the same.
    pub hook: Option<Fault>,
}

impl Host {
    /// Takes a plugin out of service and forgets a remembered load of it. Goes
    /// on to the end even if the future is dropped. Where nothing is loaded under
    /// the name but a load is remembered, that is forgotten. With
    /// [`UnloadMode::Now`] it ends what an unload of somebody else's waits for,
    /// and answers when that is over.
    ///
    /// # Errors
    ///
    /// When no such plugin is loaded, or it is being unloaded already and this
    /// one is not [`UnloadMode::Now`]; or `ODN-4012` when it is gone but that
    /// could not be written to the audit.
    pub async fn unload(
        &self,
        name: &PluginName,
        mode: UnloadMode,
        principal: &Principal,
    ) -> Result<UnloadReport, Fault> {
        let registry = &self.inner.registry;
        // A replace that is not done yet is given up; whatever serves then is
        // taken out.
        let claimed = loop {
            match registry.claim(name) {
                Err(Taken {
                    by: Some(Claim::Replace),
                    ..
                }) => {
                    registry.unwanted(name);
                    registry.replace_over(name).await;
                }
                claimed => break claimed.map_err(Fault::from),
            }
        };
        let (reservation, loaded) = match claimed {
            Ok(claimed) => claimed,
            Err(fault) if fault.code == Code::PluginNotFound && self.forget(name, principal).await? => {
                return Ok(UnloadReport {
                    name: name.clone(),
                    generation: Generation(0),
                    interrupted: 0,
                    hook: None,
                });
            }
            // Who does not want to wait any more for an unload that is under way.
            Err(fault) if fault.code == Code::Draining && mode == UnloadMode::Now => {
                let Some(loaded) = self.inner.registry.leaving(name) else {
                    return Err(fault);
                };
                let (host, principal) = (self.clone(), principal.clone());
                let work = async move { host.hurry(&loaded, &principal).await };
                return self.inner.tasks.spawn(work).await.map_err(|_| broke_off())?;
            }
            Err(fault) => return Err(fault),
        };
        let (host, principal) = (self.clone(), principal.clone());
        let work = async move {
            host.take_out(reservation, loaded, mode, &principal, "asked for")
                .await
        };
        self.inner.tasks.spawn(work).await.map_err(|_| broke_off())?
    }

    /// Ends what an unload of somebody else's waits for, and waits for that.
    async fn hurry(&self, loaded: &Loaded, principal: &Principal) -> Result<UnloadReport, Fault> {
        // The other's line says that he asked for a drain; who ended the calls
        // of everybody is to be found as well, and before they are gone.
        let event = Event::Hurry {
            name: loaded.name.clone(),
            generation: loaded.generation,
            principal: principal.to_string().into(),
        };
        let host = self.clone();
        let written = blocking(move || host.inner.recorder.append(event)).await?;
        let interrupted = loaded.plugin.stats().in_flight;
        loaded.plugin.interrupt(Reason::Unloaded);
        self.interrupt_replaced(&loaded.name);
        if !self.inner.registry.gone(&loaded.name, loaded.generation).await {
            return Err(broke_off());
        }
        written.map_err(|error| unrecorded(&error))?;
        if let Some(fault) = loaded.unrecorded() {
            return Err(fault.clone());
        }
        Ok(UnloadReport {
            name: loaded.name.clone(),
            generation: loaded.generation,
            interrupted,
            hook: None,
        })
    }

    /// Ends the calls of what this name's generation had replaced. Says how many
    /// there were.
    fn interrupt_replaced(&self, name: &PluginName) -> usize {
        let all = self.inner.registry.replaced();
        let replaced = all.iter().filter(|replaced| replaced.name == *name);
        replaced
            .map(|replaced| {
                let interrupted = replaced.plugin.stats().in_flight;
                replaced.plugin.interrupt(Reason::Unloaded);
                interrupted
            })
            .sum()
    }

    pub(crate) async fn take_out(
        &self,
        reservation: Reservation,
        loaded: Arc<Loaded>,
        mode: UnloadMode,
        principal: &Principal,
        reason: &'static str,
    ) -> Result<UnloadReport, Fault> {
        loaded.set_draining();
        let began = Instant::now();
        let plugin = &loaded.plugin;
        let drain = match mode {
            UnloadMode::Drain(time) => time,
            UnloadMode::Now => Duration::ZERO,
        };
        let mut interrupted = 0;
        if tokio::time::timeout(drain, plugin.drain()).await.is_err() {
            interrupted = plugin.stats().in_flight;
            plugin.interrupt(Reason::Unloaded);
            if tokio::time::timeout(LET_GO, plugin.drain()).await.is_err() {
                tracing::warn!(plugin = loaded.name.as_str(), "calls did not let go in time");
            }
        }
        // Generations that it had replaced have calls of their own, and the same
        // time for them.
        let alone = || self.inner.registry.fewer_replaced(&loaded.name, 1);
        if tokio::time::timeout(drain.saturating_sub(began.elapsed()), alone())
            .await
            .is_err()
        {
            interrupted += self.interrupt_replaced(&loaded.name);
            if tokio::time::timeout(LET_GO.saturating_mul(2), alone())
                .await
                .is_err()
            {
                tracing::warn!(
                    plugin = loaded.name.as_str(),
                    "a generation that was replaced did not let go in time"
                );
            }
        }
        // Code that is not let in any more does not run again.
        let hook = match loaded.is_condemned() {
            true => None,
            false => plugin.unload().await.err(),
        };
        if let Some(fault) = &hook {
            tracing::warn!(plugin = loaded.name.as_str(), %fault, "the plugin's unload failed");
        }
        let event = Event::Unload {
            name: loaded.name.clone(),
            generation: loaded.generation,
            reason: reason.into(),
            principal: principal.to_string().into(),
        };
        let (host, leaving) = (self.clone(), loaded.clone());
        let written = blocking(move || {
            let name = &leaving.name;
            let written = host
                .inner
                .recorder
                .append(event)
                .map_err(|error| unrecorded(&error));
            if reason != UNTRUSTED
                && let Some(remembered) = &host.inner.remembered
                && let Err(fault) = remembered.remove(name)
            {
                tracing::warn!(plugin = name.as_str(), %fault, "a remembered load could not be forgotten");
            }
            if let Err(fault) = &written {
                leaving.set_unrecorded(fault.clone());
            }
            host.inner
                .descriptors
                .departed(&leaving.name, leaving.generation, reason);
            reservation.remove();
            written
        })
        .await?;
        tracing::info!(
            plugin = loaded.name.as_str(),
            generation = loaded.generation.0,
            reason,
            "unloaded"
        );
        written?;
        Ok(UnloadReport {
            name: loaded.name.clone(),
            generation: loaded.generation,
            interrupted,
            hook,
        })
    }
}

fn unrecorded(error: &AuditError) -> Fault {
    Fault::new(error.code(), format!("the plugin is unloaded, but {error}"))
}

#[cold]
fn broke_off() -> Fault {
    Fault::new(Code::Internal, "the unload broke off in the host; see its log")
}
