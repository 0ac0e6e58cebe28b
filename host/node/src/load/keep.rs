//! What the next start goes by: the list of loads, and the versions that were
//! accepted.
//!
//! Owns the order in which the two files follow what serves. A process may be
//! killed between them: what the list says is what serves after that, and a
//! start makes the versions agree with it.
//!
//! **Invariant:** the version on record is never higher than that of what the
//! list loads; a start would refuse that as a step back, and nothing would
//! serve. So what rises is listed first, and what is lowered is on record
//! first.

use odeon_protocol::Fault;

use crate::host::Host;
use crate::registry::Loaded;
use crate::remember::Before;

impl Host {
    /// Has this be what the next start goes by. Gives a warning if it will not
    /// be loaded again although it should. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When its version cannot be kept; the list is as it was then.
    pub(super) fn keep(&self, loaded: &Loaded) -> Result<Option<String>, Fault> {
        let is_lowered = self.lower_version(loaded)?;
        let before = match self.remember(loaded) {
            Ok(before) => before,
            // What the list loads then may be lower: the version is not kept.
            Err(fault) => {
                return Ok(Some(format!(
                    "the load will not be repeated at the next start, and its version is not kept: {}",
                    fault.message
                )));
            }
        };
        if !is_lowered && let Err(fault) = self.accept_version(loaded) {
            if let (Some(before), Some(remembered)) = (before, &self.inner.remembered)
                && let Err(fault) = remembered.put_back(&loaded.name, before)
            {
                tracing::error!(plugin = loaded.name.as_str(), %fault, "a load that failed stays in the list");
            }
            return Err(fault);
        }
        Ok(None)
    }

    /// Accepts the version of what is to come back, if it is lower than what was
    /// accepted last. Says whether it was.
    pub(crate) fn lower_version(&self, loaded: &Loaded) -> Result<bool, Fault> {
        let Some(version) = kept_version(loaded) else {
            return Ok(false);
        };
        let accepted = self.inner.gatekeeper.previous_version(&loaded.name)?;
        if accepted.is_none_or(|accepted| accepted <= *version) {
            return Ok(false);
        }
        self.accept_version(loaded)?;
        Ok(true)
    }

    /// Has a generation that came back, and serves whatever the disk says, be
    /// what the next start goes by.
    pub(crate) fn keep_again(&self, revived: &Loaded) {
        let kept = match (revived.origin.transient, &self.inner.remembered) {
            (true, Some(remembered)) => remembered.remove(&revived.name).map(drop),
            _ => self.remember(revived).map(drop),
        };
        // A version on record that is too low harms nobody.
        if let Err(fault) = kept.and_then(|()| self.accept_version(revived)) {
            tracing::warn!(
                plugin = revived.name.as_str(), %fault,
                "the next start may not load what came back by a rollback"
            );
        }
    }

    /// Has the version of what is let in to stay be the least from now on.
    pub(crate) fn accept_version(&self, loaded: &Loaded) -> Result<(), Fault> {
        kept_version(loaded).map_or(Ok(()), |version| {
            self.inner.gatekeeper.accept_version(&loaded.name, version)
        })
    }

    /// Has the load done again as it is now, after what it may use has changed.
    /// Gives a warning if that does not work.
    pub(crate) fn keep_changed(&self, loaded: &Loaded) -> Option<String> {
        let fault = self.remember(loaded).err()?;
        Some(format!(
            "at the next start it will be loaded as it was before: {}",
            fault.message
        ))
    }

    /// Has the load done again at the next start, if it is to be. Gives what was
    /// in its place.
    fn remember(&self, loaded: &Loaded) -> Result<Option<Before>, Fault> {
        let asked = loaded.asked();
        let remembered = self
            .inner
            .remembered
            .as_ref()
            .filter(|_| !loaded.origin.transient && asked.remember);
        remembered.map_or(Ok(None), |remembered| remembered.add(loaded, &asked))
    }
}

/// The version that it is let in with to stay, if it is and says one.
fn kept_version(loaded: &Loaded) -> Option<&semver::Version> {
    let version = loaded.origin.version.as_ref();
    version.filter(|_| !loaded.origin.transient)
}
