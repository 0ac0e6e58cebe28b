//! What is loaded, looked at again when the trust policy changes.
//!
//! Owns the revocation: a plugin that would not be let in any more is taken
//! out. What somebody let in for once, without the policy, is measured by what
//! the policy denies. A review that did not get through is done again: the
//! policy counts as applied only when everything loaded was measured by it.

use std::sync::Arc;
use std::time::Duration;

use odeon_authority::{Principal, Refused, Verdict, decide};
use odeon_protocol::{Fault, PluginName};

use crate::host::Host;
use crate::load::blocking;
use crate::registry::Loaded;
use crate::unload::UnloadMode;

/// How often a daemon looks whether the policy's file has changed, and how
/// long it waits before it does again what did not work.
const EVERY: Duration = Duration::from_secs(1);

/// What one look at the loaded plugins found.
struct Found {
    /// What would be refused now, each with its refusal on record.
    denied: Vec<Arc<Loaded>>,
    /// Those whose refusal could not be recorded.
    failed: Vec<(PluginName, Fault)>,
}

impl Host {
    /// Decides again about everything that is loaded, and takes out what the
    /// trust policy does not let in any more. Calls of it that are in flight
    /// are interrupted. Returns what was taken out.
    ///
    /// # Errors
    ///
    /// `ODN-4012` when a decision cannot be written to the audit; what it is
    /// about then stays, and the others are seen to all the same: `details`
    /// names both. The policy's own error when it cannot be read: nothing new
    /// is let in then, and what was let in stays until somebody can decide.
    pub async fn review(&self) -> Result<Vec<PluginName>, Fault> {
        let stamp = self.inner.gatekeeper.stamp();
        let host = self.clone();
        let Found { denied, mut failed } = blocking(move || host.denied_now()).await??;
        let mut taken_out = Vec::new();
        for loaded in denied {
            // Somebody may be unloading it already.
            let Ok((reservation, current)) = self.inner.registry.claim(&loaded.name) else {
                continue;
            };
            if current.generation != loaded.generation {
                continue;
            }
            let name = loaded.name.clone();
            match self
                .take_out(reservation, current, UnloadMode::Now, &Principal::Host, "revoked")
                .await
            {
                Ok(_) => {
                    tracing::warn!(
                        plugin = name.as_str(),
                        "unloaded: the trust policy does not let it in any more"
                    );
                    taken_out.push(name);
                }
                Err(fault) => failed.push((name, fault)),
            }
        }
        match failed.first() {
            None => {
                self.inner.gatekeeper.applied(stamp);
                Ok(taken_out)
            }
            Some((_, fault)) => Err(incomplete(fault, &failed, &taken_out)),
        }
    }

    /// Measures everything that is loaded by the policy of now.
    fn denied_now(&self) -> Result<Found, Fault> {
        let _turn = self.inner.gatekeeper.turn();
        let policy = self
            .inner
            .gatekeeper
            .policy()
            .map_err(|error| Fault::new(error.code(), error.to_string()))?;
        let mut found = Found {
            denied: Vec::new(),
            failed: Vec::new(),
        };
        for loaded in self.inner.registry.all() {
            let Some((offer, terms)) = loaded.origin.offered.as_deref() else {
                continue;
            };
            let decision = decide(Ok(&policy), offer, terms);
            if matches!(decision.verdict, Verdict::Deny { .. }) {
                match decision.record(self.inner.recorder.audit()) {
                    Err(Refused::Unrecorded(error)) => {
                        let fault = Fault::new(error.code(), error.to_string());
                        found.failed.push((loaded.name.clone(), fault));
                    }
                    _ => found.denied.push(loaded),
                }
            }
        }
        Ok(found)
    }

    /// Reviews whenever the policy's file changes, and each second until that
    /// has worked, until the host ends.
    pub(crate) async fn review_changes(&self) {
        if self.inner.gatekeeper.has_no_policy() {
            return;
        }
        let mut told = None;
        loop {
            tokio::time::sleep(EVERY).await;
            if !self.inner.gatekeeper.has_changed() {
                continue;
            }
            match self.review().await {
                Ok(_) => told = None,
                // Once per reason, not once per second.
                Err(fault) if told.as_ref() == Some(&fault.message) => {}
                Err(fault) => {
                    tracing::error!(
                        %fault,
                        "the changed trust policy was not applied to all that is loaded; trying again each second"
                    );
                    told = Some(fault.message);
                }
            }
        }
    }
}

fn incomplete(first: &Fault, failed: &[(PluginName, Fault)], taken_out: &[PluginName]) -> Fault {
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let message = format!(
        "the trust policy was not applied to {}: {}",
        names.join(", "),
        first.message
    );
    Fault::new(first.code, message).with_details(serde_json::json!({
        "failed": names,
        "unloaded": taken_out,
    }))
}
