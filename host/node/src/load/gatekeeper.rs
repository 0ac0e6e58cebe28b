//! Who may come in: the policy's file, the versions of before, and how often.
//!
//! Owns the turn at the policy: whoever puts a plugin into service, and whoever
//! looks for what has to go, reads the policy and acts on it in one turn, so
//! that neither misses what the other did by an older reading.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use odeon_authority::{HostLimits, Ledger, Policy, PolicyError};
use odeon_protocol::{Code, Fault, PluginName};
use parking_lot::{Mutex, MutexGuard};

const MINUTE: Duration = Duration::from_secs(60);

/// What a load is measured by.
pub(crate) struct Gatekeeper {
    policy: Option<PathBuf>,
    turn: Mutex<()>,
    /// The file that everything loaded was last measured by.
    applied: Mutex<Stamp>,
    ledger: Mutex<Ledger>,
    recent: Mutex<VecDeque<Instant>>,
    /// The same of what the host loads because a descriptor has changed: who
    /// writes many of those keeps no operator out.
    described: Mutex<VecDeque<Instant>>,
    per_minute: usize,
}

impl Gatekeeper {
    pub(crate) fn new(policy: Option<PathBuf>, ledger: Ledger, limits: &HostLimits) -> Self {
        let per_minute = usize::try_from(limits.loads_per_minute).unwrap_or(usize::MAX);
        Gatekeeper {
            // Before anything is loaded, so that no change is taken for old.
            applied: Mutex::new(Stamp::of(policy.as_deref())),
            policy,
            turn: Mutex::default(),
            ledger: Mutex::new(ledger),
            recent: Mutex::default(),
            described: Mutex::default(),
            per_minute,
        }
    }

    /// The trust policy as it is now: what an operator changed counts at once.
    pub(crate) fn policy(&self) -> Result<Policy, PolicyError> {
        self.policy
            .as_ref()
            .map_or_else(|| Ok(Policy::default()), |path| Policy::load(path))
    }

    /// The policy for looking again at what it let in before. A file that was
    /// there and is gone says nothing about that: to trust nobody any more is
    /// to write so.
    pub(crate) fn policy_for_review(&self) -> Result<Policy, Fault> {
        if self.stamp().is_nothing() && !self.applied.lock().is_nothing() {
            return Err(Fault::new(
                Code::PolicyUnreadable,
                "the trust policy's file is gone; what it let in stays until there is one again. Restore it, or write \
                 an empty one to trust nobody",
            ));
        }
        self.policy()
            .map_err(|error| Fault::new(error.code(), error.to_string()))
    }

    /// Reading the policy and acting on it, as one step. Held by threads that
    /// may wait for the disk, never across an await.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// The policy's file as it is now. To be taken before the policy is read:
    /// what changes in between is then seen as a change once more.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::of(self.policy.as_deref())
    }

    /// Whether there is no file that could change.
    pub(crate) fn has_no_policy(&self) -> bool {
        self.policy.is_none()
    }

    /// Whether the file is another than the one that was applied last.
    pub(crate) fn has_changed(&self) -> bool {
        self.stamp() != *self.applied.lock()
    }

    /// Everything that is loaded is as the policy of this moment wants it.
    pub(crate) fn applied(&self, stamp: Stamp) {
        *self.applied.lock() = stamp;
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
        if !has_room(&mut recent, self.per_minute, now) {
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

    /// Takes one of this minute's loads by descriptors, if there is one left.
    pub(crate) fn count_described(&self, now: Instant) -> bool {
        let mut described = self.described.lock();
        let has_room = has_room(&mut described, self.per_minute, now);
        if has_room {
            described.push_back(now);
        }
        has_room
    }
}

/// Whether a minute that ends now has had fewer loads than it may.
fn has_room(recent: &mut VecDeque<Instant>, most: usize, now: Instant) -> bool {
    while recent
        .front()
        .is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE)
    {
        recent.pop_front();
    }
    recent.len() < most
}

/// What changes when a file does: one that is replaced whole has another
/// number, one that is written in place another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(u64, u64, SystemTime, (i64, i64))>);

impl Stamp {
    /// Whether there is no such file.
    fn is_nothing(self) -> bool {
        self.0.is_none()
    }

    fn of(path: Option<&Path>) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let read = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            let written = metadata.modified().ok()?;
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            Some((metadata.ino(), metadata.len(), written, changed))
        };
        Stamp(path.and_then(read))
    }
}

#[cfg(test)]
mod tests;
