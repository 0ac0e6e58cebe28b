//! What a plugin may use while it works for another one.
//!
//! Owns the meeting of two plugins' grants. Unlike the meeting of what is asked
//! for and what is allowed, these are two sets of what somebody has: a directory
//! is the same by its place on the host, whatever either guest calls it, and a
//! variable by its value.

use super::{FsGrant, GrantSet};

impl GrantSet {
    /// What is left of these grants while their plugin works for one that has
    /// `other`: never more than either may use.
    ///
    /// - **fs**: directories that both have, each as this plugin calls it, with
    ///   the smaller access. One above or below does not count.
    /// - **env**: variables that both have with the same value.
    /// - the rest as in [`GrantSet::intersect`].
    #[must_use]
    pub fn on_behalf_of(&self, other: &GrantSet) -> GrantSet {
        let own = self.env.iter();
        GrantSet {
            fs: self
                .fs
                .iter()
                .filter_map(|grant| shared(grant, &other.fs))
                .collect(),
            env: own
                .filter(|(name, value)| other.env.get(*name) == Some(*value))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            ..GrantSet::intersect(self, other)
        }
    }
}

fn shared(grant: &FsGrant, others: &[FsGrant]) -> Option<FsGrant> {
    let place = grant.host.as_ref()?;
    let same = others.iter().filter(|other| other.host.as_ref() == Some(place));
    let access = same.map(|other| other.access).max()?;
    Some(FsGrant {
        access: access.min(grant.access),
        ..grant.clone()
    })
}
