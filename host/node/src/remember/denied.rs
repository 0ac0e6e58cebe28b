//! Remembered loads that the trust policy denies.
//!
//! Owns forgetting them at a start, as a review forgets what it takes out of
//! service: a host may be killed after its policy changed and before it has
//! gone by that. It goes by what the load was of, and never by what lies at its
//! path now.

use odeon_authority::{Bound, Event, Principal};
use odeon_protocol::{Fault, Generation, PluginName};

use super::{Remembered, StartLoad};
use crate::host::Host;
use crate::load::{LoadRequest, blocking};
use crate::review::REVOKED;

/// Whose load is done again, and of what.
pub(super) struct Whose(PluginName, Option<Bound>);

impl Whose {
    pub(super) fn of(requests: &[LoadRequest]) -> Vec<Self> {
        let named = |request: &LoadRequest| Some(Whose(request.name.clone()?, request.bound_to));
        requests.iter().filter_map(named).collect()
    }
}

impl Host {
    /// Forgets those of these loads that were refused and that the policy
    /// denies by name, pin, key or digest.
    pub(super) async fn forget_denied(&self, whose: Vec<Whose>, loads: &[StartLoad]) {
        let refused = whose.into_iter().zip(loads);
        let refused = refused.filter(|(_, load)| load.outcome.is_err());
        let refused: Vec<Whose> = refused.map(|(whose, _)| whose).collect();
        if refused.is_empty() {
            return;
        }
        let host = self.clone();
        let forgotten = blocking(move || {
            let Ok(policy) = host.inner.gatekeeper.policy() else {
                return;
            };
            for Whose(name, bound) in refused {
                if policy.denies(&name, bound.as_ref())
                    && let Some(remembered) = &host.inner.remembered
                    && let Err(fault) = host.forget_one(remembered, &name)
                {
                    tracing::error!(plugin = name.as_str(), %fault, "a load that is denied could not be forgotten");
                }
            }
        });
        if let Err(fault) = forgotten.await {
            tracing::error!(%fault, "loads that are denied could not be forgotten");
        }
    }

    fn forget_one(&self, remembered: &Remembered, name: &PluginName) -> Result<(), Fault> {
        self.note(Event::Unload {
            name: name.clone(),
            generation: Generation(0),
            reason: REVOKED.into(),
            principal: Principal::Host.to_string().into(),
        })?;
        remembered.remove(name)?;
        tracing::warn!(
            plugin = name.as_str(),
            "forgotten: the trust policy denies what was remembered"
        );
        Ok(())
    }
}
