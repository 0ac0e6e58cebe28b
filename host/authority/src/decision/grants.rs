//! What a component that is let in may use: asked for, allowed, under every
//! ceiling, and without what the policy takes away.
//!
//! Owns that meeting, and telling afterwards which side of it says no. Decides
//! nothing about letting in.

use odeon_protocol::PluginName;

use super::{Offer, Terms, let_in};
use crate::{
    grant::{Askable, GrantSet, Wanted},
    policy::Policy,
    signature::Signed,
};

/// Asked for ∧ allowed by the operator ∧ under every ceiling, without what the
/// policy takes away.
pub(super) fn grants(
    policy: &Policy,
    offer: &Offer,
    signed: &Signed,
    terms: &Terms,
    ceiling: Option<&GrantSet>,
    name: &PluginName,
) -> GrantSet {
    let manifest = offer.manifest.as_ref().ok().and_then(Option::as_ref);
    // The ceiling of the row that lets it in is one of those below.
    let mut allowed = terms
        .grants
        .clone()
        .or_else(|| ceiling.cloned())
        .unwrap_or_default();
    // Every row that fits counts, not only the one that lets it in: a row that
    // was added to allow less does so whatever stands before it.
    for (_, ceiling) in policy.ceilings(&signed.signers, &offer.digest, name) {
        allowed = GrantSet::intersect(&allowed, ceiling);
    }
    let mut granted = match manifest {
        Some(manifest) => GrantSet::intersect(&manifest.asks, &allowed),
        None => allowed,
    };
    // A directory whose place nobody named leads nowhere.
    granted.fs.retain(|grant| grant.host.is_some());
    for (_, denied) in policy.taken_away(name) {
        granted = granted.without(denied);
    }
    granted
}

/// Everybody who has a say in what a plugin may use, to be asked which of them
/// says no.
#[derive(Clone, Debug, Default)]
pub struct Sides(Vec<Side>);

#[derive(Clone, Debug)]
struct Side {
    /// Whose word it is.
    rule: String,
    says: Askable,
    /// Whether it names what is taken away.
    denies: bool,
}

impl Sides {
    /// The sides of a component that is let in on these terms. Nothing where it
    /// is not.
    pub fn of(policy: &Policy, offer: &Offer, terms: &Terms, name: &PluginName) -> Sides {
        let allows = |rule: String, says: &GrantSet| Side {
            rule,
            says: says.clone().into(),
            denies: false,
        };
        let Ok(signed) = &offer.signed else {
            return Sides::default();
        };
        let mut sides = Vec::new();
        if let Ok(Some(manifest)) = &offer.manifest {
            let rule = "manifest: the component does not ask for it".to_owned();
            sides.push(allows(rule, &manifest.asks));
        }
        let entry = let_in(policy, offer, signed, name, terms).ok();
        match (&terms.grants, entry.and_then(|entry| entry.ceiling)) {
            (Some(allowed), _) => sides.push(allows(
                "operator: not among the grants of its load; see `odeon grant`".to_owned(),
                allowed,
            )),
            // That is one of those below.
            (None, Some(_)) => {}
            (None, None) => sides.push(allows(
                "operator: its load names no grants, nor does the row that lets it in; see `odeon grant`"
                    .to_owned(),
                &GrantSet::default(),
            )),
        }
        for (row, ceiling) in policy.ceilings(&signed.signers, &offer.digest, name) {
            sides.push(allows(format!("trust policy: the ceiling of {row}"), ceiling));
        }
        for (row, denied) in policy.taken_away(name) {
            sides.push(Side {
                rule: format!("trust policy: {row} takes it away"),
                says: denied.clone().into(),
                denies: true,
            });
        }
        Sides(sides)
    }

    /// Whose word it is that this may not be used: what is taken away first,
    /// then the first who does not allow it.
    pub fn says_no(&self, wanted: &Wanted<'_>) -> Option<&str> {
        let denied = |side: &&Side| side.denies && side.says.denies(wanted);
        let not_allowed = |side: &&Side| !side.denies && !side.says.allows(wanted);
        let side = self.0.iter().find(denied);
        let side = side.or_else(|| self.0.iter().find(not_allowed))?;
        Some(&side.rule)
    }
}
