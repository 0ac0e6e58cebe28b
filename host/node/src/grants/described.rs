//! What a descriptor does not allow any more.
//!
//! Owns that it is taken from every generation that runs, or may come back,
//! before what the descriptor describes is tried: that may fail, or prove bad,
//! and its word counts all the same. Must not give anything: what a descriptor
//! allows more of comes with the generation that is loaded from it.

use std::iter::once;

use odeon_authority::{GrantSet, Policy, Principal};
use odeon_protocol::Fault;

use super::Change;
use super::kept::{comes_to, terms_of};
use crate::host::Host;
use crate::load::{LoadRequest, Source};
use crate::registry::Loaded;

/// What the audit says of it.
const BY_DESCRIPTOR: &str = "its descriptor";

impl Host {
    /// Takes from what is to be replaced what the file that it was loaded from, or
    /// one of the folder, does not allow any more. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When that is not on record. It is gone all the same.
    pub(crate) fn take_first(&self, before: &Loaded, request: &LoadRequest) -> Result<(), Fault> {
        let Some(said) = &request.grants else {
            return Ok(());
        };
        // Another file, named by hand, counts when it is in force.
        if !request.in_folder && before.origin.asked.source != request.source {
            return Ok(());
        }
        let principal = request.principal.as_ref().unwrap_or(&self.inner.principal);
        self.take_undescribed(before, said, principal)
    }

    /// The same at the moment at which the descriptor of `loaded` comes into
    /// force, in the turn of whoever asks: calls of what is replaced go on, and it
    /// may come back. What is then not on record is gone all the same, and the
    /// switch goes on.
    pub(crate) fn take_at_switch(&self, before: &Loaded, loaded: &Loaded) {
        let origin = &loaded.origin;
        if let (Source::Descriptor(_), Some(said)) = (&origin.asked.source, &origin.complete.grants)
            && let Err(fault) = self.take_in_turn(before, said, &origin.principal)
        {
            tracing::error!(
                plugin = before.name.as_str(), %fault,
                "what its new descriptor does not allow any more is gone, and that is not on record"
            );
        }
    }

    /// Takes from what serves, and from what was replaced before it, what a file
    /// does not allow any more. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When that is not on record. It is gone all the same.
    pub(crate) fn take_undescribed(
        &self,
        serving: &Loaded,
        said: &GrantSet,
        principal: &Principal,
    ) -> Result<(), Fault> {
        let _turn = self.inner.gatekeeper.turn();
        self.take_in_turn(serving, said, principal)
    }

    fn take_in_turn(&self, serving: &Loaded, said: &GrantSet, principal: &Principal) -> Result<(), Fault> {
        let policy = self.inner.gatekeeper.policy().ok();
        let mut replaced = self.inner.registry.replaced();
        replaced.retain(|old| old.name == serving.name);
        let generations = once(serving).chain(replaced.iter().map(AsRef::as_ref));
        let changes: Vec<Change> = generations
            .filter_map(|loaded| self.leave_what_is_said(loaded, policy.as_ref(), said))
            .collect();
        // The disk may be slow; by now all of them have lost it.
        let mut unrecorded = None;
        for change in changes {
            let finished = self.finish_change(change, principal);
            unrecorded = unrecorded.or(finished.err());
        }
        unrecorded.map_or(Ok(()), Err)
    }

    /// Leaves a generation what both allow, the terms that it was loaded on and
    /// what is said now.
    fn leave_what_is_said(
        &self,
        loaded: &Loaded,
        policy: Option<&Policy>,
        said: &GrantSet,
    ) -> Option<Change> {
        let before = terms_of(loaded).filter(|before| before.is_cut_by(said))?;
        let both = GrantSet::intersect(&before, said);
        // In the words of the file, where that is all of it: then it is what the
        // file describes.
        let both = match said.is_cut_by(&both) {
            true => both,
            false => said.clone(),
        };
        let left = GrantSet::intersect(&loaded.plugin.granted(), &comes_to(policy, loaded, &both));
        self.lower(loaded, policy, both, left, BY_DESCRIPTOR)
    }
}
