//! Who may come in: the policy's file, the versions of before, and how often.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use odeon_authority::{HostLimits, Ledger, Policy, PolicyError};
use odeon_protocol::{Code, Fault, PluginName};
use parking_lot::Mutex;

const MINUTE: Duration = Duration::from_secs(60);

/// What a load is measured by.
pub(crate) struct Gatekeeper {
    policy: Option<PathBuf>,
    ledger: Mutex<Ledger>,
    recent: Mutex<VecDeque<Instant>>,
    per_minute: usize,
}

impl Gatekeeper {
    pub(crate) fn new(policy: Option<PathBuf>, ledger: Ledger, limits: &HostLimits) -> Self {
        let per_minute = usize::try_from(limits.loads_per_minute).unwrap_or(usize::MAX);
        Gatekeeper {
            policy,
            ledger: Mutex::new(ledger),
            recent: Mutex::default(),
            per_minute,
        }
    }

    /// The trust policy as it is now: what an operator changed counts at once.
    pub(crate) fn policy(&self) -> Result<Policy, PolicyError> {
        self.policy
            .as_ref()
            .map_or_else(|| Ok(Policy::default()), |path| Policy::load(path))
    }

    /// The policy's file.
    pub(crate) fn policy_path(&self) -> Option<&PathBuf> {
        self.policy.as_ref()
    }

    /// The version of this name that was accepted last, by whichever process.
    pub(crate) fn previous_version(&self, name: &PluginName) -> Result<Option<semver::Version>, Fault> {
        let mut ledger = self.ledger.lock();
        ledger
            .refresh()
            .map_err(|error| Fault::new(error.code(), error.to_string()))?;
        Ok(ledger.accepted(name).cloned())
    }

    pub(crate) fn accept_version(&self, name: &PluginName, version: &semver::Version) -> Result<(), Fault> {
        let mut ledger = self.ledger.lock();
        ledger
            .accept(name, version)
            .map_err(|error| Fault::new(error.code(), error.to_string()))
    }

    /// Takes one of this minute's loads.
    pub(crate) fn count_load(&self, now: Instant) -> Result<(), Fault> {
        let mut recent = self.recent.lock();
        while recent
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE)
        {
            recent.pop_front();
        }
        if recent.len() >= self.per_minute {
            return Err(Fault::new(
                Code::TooManyLoads,
                format!(
                    "{} loads were asked for within a minute, which is all the host takes; try again later, or \
                     raise host-limits.loads-per-minute",
                    recent.len()
                ),
            ));
        }
        recent.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
