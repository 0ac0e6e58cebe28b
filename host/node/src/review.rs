//! What is loaded, looked at again when the trust policy changes.
//!
//! Owns the revocation: a plugin that would not be let in any more is taken
//! out. What somebody let in for once, without the policy, is measured by what
//! the policy denies.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use odeon_authority::{Principal, Verdict, decide};
use odeon_protocol::{Fault, PluginName};

use crate::host::Host;
use crate::load::blocking;
use crate::registry::Loaded;
use crate::unload::UnloadMode;

/// How often a daemon looks whether the policy's file has changed.
const EVERY: Duration = Duration::from_secs(1);

impl Host {
    /// Decides again about everything that is loaded, and takes out what the
    /// trust policy does not let in any more. Calls of it that are in flight
    /// are interrupted. Returns what was taken out.
    ///
    /// # Errors
    ///
    /// `ODN-4012` when a decision cannot be written to the audit; what it is
    /// about then stays. The policy's own error when it cannot be read: nothing
    /// new is let in then, and what was let in stays until somebody can decide.
    pub async fn review(&self) -> Result<Vec<PluginName>, Fault> {
        let host = self.clone();
        let denied = blocking(move || host.denied_now()).await??;
        let mut taken_out = Vec::new();
        for loaded in denied {
            // Somebody may be unloading it already.
            let Ok((reservation, current)) = self.inner.registry.claim(&loaded.name) else {
                continue;
            };
            if current.generation != loaded.generation {
                continue;
            }
            self.take_out(reservation, current, UnloadMode::Now, &Principal::Host, "revoked")
                .await?;
            taken_out.push(loaded.name.clone());
        }
        Ok(taken_out)
    }

    /// What would be refused now, each with its refusal on record.
    fn denied_now(&self) -> Result<Vec<Arc<Loaded>>, Fault> {
        let policy = self
            .inner
            .gatekeeper
            .policy()
            .map_err(|error| Fault::new(error.code(), error.to_string()))?;
        let mut denied = Vec::new();
        for loaded in self.inner.registry.all() {
            let Some((offer, terms)) = loaded.origin.offered.as_deref() else {
                continue;
            };
            let decision = decide(Ok(&policy), offer, terms);
            if matches!(decision.verdict, Verdict::Deny { .. }) {
                match decision.record(self.inner.recorder.audit()) {
                    Err(odeon_authority::Refused::Unrecorded(error)) => {
                        return Err(Fault::new(error.code(), error.to_string()));
                    }
                    _ => denied.push(loaded),
                }
            }
        }
        Ok(denied)
    }

    /// Reviews whenever the policy's file changes, until the host ends.
    pub(crate) async fn review_changes(&self) {
        let Some(path) = self.inner.gatekeeper.policy_path().cloned() else {
            return;
        };
        let mut seen = stamp(&path);
        loop {
            tokio::time::sleep(EVERY).await;
            let now = stamp(&path);
            if now == seen {
                continue;
            }
            seen = now;
            match self.review().await {
                Ok(taken_out) => {
                    for name in taken_out {
                        tracing::warn!(
                            plugin = name.as_str(),
                            "unloaded: the trust policy does not let it in any more"
                        );
                    }
                }
                Err(fault) => {
                    tracing::error!(%fault, "the changed trust policy was not applied to what is loaded")
                }
            }
        }
    }
}

/// What changes when a file does: it is replaced whole, so its number does.
fn stamp(path: &Path) -> Option<(u64, u64, Option<SystemTime>)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.modified().ok()))
}
