//! What is loaded, looked at again when the trust policy changes.
//!
//! Owns the revocation: a plugin that would not be let in any more is taken
//! out, and one that would be let in with other grants gets those. What somebody
//! let in for once, without the policy, is measured by what the policy denies.
//! What is being made ready, and may run its `load`, is measured as what serves. A
//! review that did not get through is done again: the policy counts as applied
//! only when everything loaded was measured by it.
//!
//! **Invariant:** letting in, and granting, needs a record; taking out, and away,
//! does not.

use std::sync::Arc;
use std::time::Duration;

use odeon_authority::{Principal, Refused, Verdict, decide};
use odeon_protocol::{Code, Fault, PluginName};
use odeon_runtime::Reason;

use crate::grants::BY_POLICY;
use crate::host::Host;
use crate::load::blocking;
use crate::registry::{Claim, Loaded};
use crate::unload::UnloadMode;

/// How often a daemon looks whether the policy's file has changed, and how
/// long it waits before it does again what did not work.
const EVERY: Duration = Duration::from_secs(1);

/// What the audit says about a plugin that the policy denies by name, key or
/// digest. Its load is forgotten as well.
pub(crate) const REVOKED: &str = "revoked";

/// What the audit says about a plugin that nothing vouches for any more. Its
/// load is decided anew at the next start: the policy may have been mended.
pub(crate) const UNTRUSTED: &str = "not let in any more";

/// A plugin that is refused.
struct Refusal {
    loaded: Arc<Loaded>,
    reason: &'static str,
    /// Why that is not on record, if it is not.
    unrecorded: Option<Fault>,
}

/// Plugins whose grants could not be changed as the policy says, and why.
type Unrecorded = Vec<(PluginName, Fault)>;

impl Host {
    /// Decides again about everything that is loaded, and takes out what the
    /// trust policy does not let in any more: it takes no new calls at once,
    /// those in flight are interrupted, and no code of it runs again, not its
    /// `unload` either. What stays loses at once what it would not be granted any
    /// more, and gets what it would be. Returns what was taken out.
    ///
    /// # Errors
    ///
    /// `ODN-4012` when a decision or an unload cannot be written to the audit:
    /// letting in needs the record, taking out does not, so that everything
    /// denied is out all the same; `details` names it. The policy's own error
    /// when it cannot be read, or is gone: nothing new is let in then, and what
    /// was let in stays until somebody can decide.
    pub async fn review(&self) -> Result<Vec<PluginName>, Fault> {
        let stamp = self.inner.gatekeeper.stamp();
        let host = self.clone();
        let (refused, mut failed) = blocking(move || host.measure_all()).await??;
        let mut leaving = Vec::new();
        for refusal in refused {
            let name = refusal.loaded.name.clone();
            failed.extend(refusal.unrecorded.map(|fault| (name.clone(), fault)));
            // Somebody may be unloading it already; its calls were interrupted.
            let (reservation, current) = match self.inner.registry.claim(&name) {
                Ok(claimed) => claimed,
                Err(taken) => {
                    // What is being replaced is looked at again: what comes in
                    // its place is decided upon by itself.
                    if taken.by == Some(Claim::Replace) {
                        failed.push((name, taken.fault));
                    }
                    continue;
                }
            };
            if current.generation != refusal.loaded.generation {
                continue;
            }
            let (host, reason) = (self.clone(), refusal.reason);
            // It goes on to its end even if whoever asked goes away.
            let work = self.inner.tasks.spawn(async move {
                host.take_out(reservation, current, UnloadMode::Now, &Principal::Host, reason)
                    .await
            });
            leaving.push((name, work));
        }
        let mut taken_out = Vec::new();
        for (name, work) in leaving {
            let ended = work
                .await
                .map_err(|_| Fault::new(Code::Internal, "taking it out broke off in the host; see its log"));
            tracing::warn!(
                plugin = name.as_str(),
                "unloaded: the trust policy does not let it in any more"
            );
            if let Err(fault) = ended.and_then(|ended| ended) {
                failed.push((name.clone(), fault));
            }
            taken_out.push(name);
        }
        match failed.first() {
            None => {
                self.inner.gatekeeper.applied(stamp);
                Ok(taken_out)
            }
            Some((_, fault)) => Err(incomplete(fault, &failed, &taken_out)),
        }
    }

    /// Measures everything that is loaded by the policy of now. What it refuses
    /// serves nobody from this moment on; what an earlier review refused and
    /// could not take out was closed by that for good. What it takes away is gone
    /// from this moment on, what it grants when that is on record; gives also
    /// what could not be recorded.
    fn measure_all(&self) -> Result<(Vec<Refusal>, Unrecorded), Fault> {
        let _turn = self.inner.gatekeeper.turn();
        let policy = self.inner.gatekeeper.policy_for_review()?;
        let (mut refused, mut changes) = (Vec::new(), Vec::new());
        for loaded in self.inner.registry.all() {
            let Some((offer, terms)) = loaded.offered() else {
                continue;
            };
            let decision = decide(Ok(&policy), offer, &terms);
            let code = match &decision.verdict {
                Verdict::Deny { code, .. } => Some(*code),
                Verdict::Allow { .. } if loaded.is_condemned() => None,
                Verdict::Allow { grants, .. } => {
                    let grants = self.grants_of(&policy, &loaded.name, (offer, &terms), grants);
                    changes.extend(self.begin_change(&loaded, grants, BY_POLICY));
                    continue;
                }
            };
            loaded.condemn();
            loaded.set_draining();
            loaded.plugin.interrupt(Reason::Unloaded);
            refused.push((loaded, decision, code));
        }
        // What is being made ready may be in its `load` by now. That it is refused
        // goes on record with the load.
        for loaded in self.inner.registry.readying() {
            let Some((offer, terms)) = loaded.offered() else {
                continue;
            };
            match decide(Ok(&policy), offer, &terms).verdict {
                Verdict::Deny { .. } => {
                    loaded.condemn();
                    loaded.plugin.interrupt(Reason::Unloaded);
                }
                Verdict::Allow { grants, .. } => {
                    let grants = self.grants_of(&policy, &loaded.name, (offer, &terms), &grants);
                    changes.extend(self.begin_change(&loaded, grants, BY_POLICY));
                }
            }
        }
        // What was replaced is on its way out, and does not come back.
        for loaded in self.inner.registry.replaced() {
            let Some((offer, terms)) = loaded.offered() else {
                continue;
            };
            match decide(Ok(&policy), offer, &terms).verdict {
                Verdict::Deny { .. } => {
                    loaded.condemn();
                    loaded.plugin.interrupt(Reason::Unloaded);
                }
                // It only loses. If it comes back it is measured again.
                Verdict::Allow { grants, .. } => {
                    let grants = self.grants_of(&policy, &loaded.name, (offer, &terms), &grants);
                    drop(self.begin_change(&loaded, grants, BY_POLICY));
                }
            }
        }
        // The disk may be slow; by now all of them are closed, and nothing that
        // was taken away is used any more.
        let audit = self.inner.recorder.audit();
        let recorded = refused.into_iter().map(|(loaded, decision, code)| Refusal {
            loaded,
            reason: match code {
                Some(Code::KeyRevoked | Code::PolicyDenied | Code::NamePinned) => REVOKED,
                _ => UNTRUSTED,
            },
            unrecorded: match code.map(|_| decision.record(audit)) {
                Some(Err(Refused::Unrecorded(error))) => Some(Fault::new(error.code(), error.to_string())),
                _ => None,
            },
        });
        let refused = recorded.collect();
        let unrecorded = changes.into_iter().filter_map(|change| {
            let name = change.name().clone();
            Some((name, self.finish_change(change, &Principal::Host).err()?))
        });
        Ok((refused, unrecorded.collect()))
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
                        "the changed trust policy was not applied as it should be; trying again each second"
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
        "applying the trust policy went wrong for {}: {}",
        names.join(", "),
        first.message
    );
    Fault::new(first.code, message).with_details(serde_json::json!({
        "failed": names,
        "unloaded": taken_out,
    }))
}
