//! What is left to a generation without some of its grants.
//!
//! Owns what an operator's terms come to, and how they are narrowed so that what
//! he takes out does not come back by a wider grant of his: a manifest or a
//! ceiling may have made of that just what he takes. Grants nothing.

use std::collections::BTreeSet;

use odeon_authority::{Grant, GrantSet, Policy, Terms, Verdict, decide};
use odeon_runtime::Grants;

use super::Change;
use super::terms::shown;
use crate::host::Host;
use crate::registry::Loaded;

/// A generation, what the operator allowed it before a change, and what it might
/// use.
pub(super) struct Before<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) terms: GrantSet,
    pub(super) granted: GrantSet,
}

/// The same after it.
pub(super) struct Kept {
    pub(super) terms: GrantSet,
    pub(super) left: GrantSet,
    /// Whether the operator allows less than he said, so that what he took out is
    /// gone.
    pub(super) is_narrowed: bool,
}

impl<'a> Before<'a> {
    pub(super) fn of(loaded: &'a Loaded) -> Option<Self> {
        Some(Before {
            loaded,
            terms: terms_of(loaded)?,
            granted: loaded.plugin.granted(),
        })
    }

    /// Whether the operator allowed this by these words.
    pub(super) fn allows(&self, grant: &Grant) -> bool {
        has(&self.terms, grant)
    }

    /// The same, or it was shown so.
    pub(super) fn has(&self, grant: &Grant) -> bool {
        self.allows(grant) || has(&self.granted, grant)
    }

    /// What is left when these are taken out.
    pub(super) fn without(&self, policy: Option<&Policy>, revoke: &[Grant]) -> Kept {
        let stay = |set: &GrantSet| revoke.iter().filter(|grant| has(set, grant)).count();
        let mut terms = without(&self.terms, revoke);
        let mut to = comes_to(policy, self.loaded, &terms);
        let mut is_narrowed = false;
        if stay(&to) > 0 {
            // A wider grant of his comes to the same: what is in force counts from
            // now on, unless that comes to it as well.
            let in_force = without(&GrantSet::intersect(&self.granted, &terms), revoke);
            let then = comes_to(policy, self.loaded, &in_force);
            if stay(&then) < stay(&to) {
                (terms, to, is_narrowed) = (in_force, then, true);
            }
        }
        let mut left = GrantSet::intersect(&self.granted, &to);
        for grant in revoke.iter().filter(|grant| !has(&to, grant)) {
            // What meets a wider grant is there by its own words.
            left.take_out(grant);
        }
        Kept {
            terms,
            left,
            is_narrowed,
        }
    }

    /// What the operator is told of one grant that he has taken out, while a wider
    /// one allows the same by the terms of now.
    pub(super) fn still_allowed(&self, policy: Option<&Policy>, grant: &Grant, how: &str) -> Option<String> {
        let terms = terms_of(self.loaded)?;
        let named = GrantSet {
            fs: [self.terms.fs.clone(), self.granted.fs.clone()].concat(),
            ..GrantSet::default()
        };
        let mut wider = comes_to(policy, self.loaded, &terms).still_allows(grant, &named);
        if wider.len() > 1 {
            // It is there because of the others.
            wider.retain(|line| *line != shown(grant));
        }
        (!wider.is_empty()).then(|| {
            format!(
                "what {} named can be used all the same: {} {how} (generation {}); take that out too, and add what is \
                 narrower",
                shown(grant),
                wider.join(" "),
                self.loaded.generation
            )
        })
    }
}

impl Kept {
    /// What the operator is told who allows less now than he said.
    pub(super) fn narrowed(&self, loaded: &Loaded, revoke: &[Grant]) -> Option<String> {
        let lines = match self.terms.lines() {
            lines if lines.is_empty() => "nothing".to_owned(),
            lines => lines.join(" "),
        };
        self.is_narrowed.then(|| {
            format!(
                "wider grants came to {} as well; what was in force beside it is all that the operator allows from now \
                 on: {} (generation {})",
                revoke.iter().map(shown).collect::<Vec<_>>().join(" "),
                lines,
                loaded.generation
            )
        })
    }
}

impl Host {
    /// Has the operator allow a generation this from now on, and it have no more
    /// than what is left. Gives the rest of the change.
    pub(super) fn lower(
        &self,
        loaded: &Loaded,
        policy: Option<&Policy>,
        terms: GrantSet,
        left: GrantSet,
        rule: &'static str,
    ) -> Option<Change> {
        loaded.allow(terms);
        let to = match (policy, loaded.offered()) {
            (Some(policy), Some((offer, terms))) => Grants {
                acts_for: loaded.plugin.acts_for(),
                ..self.grants_of(policy, &loaded.name, (offer, &terms), &left)
            },
            // Nobody can be asked whose word it is.
            _ => Grants {
                env: self.variables(&left),
                set: left,
                acts_for: loaded.plugin.acts_for(),
                sides: None,
            },
        };
        self.begin_change(loaded, to, rule)
    }
}

/// What the operator allows a plugin by now. Where he named no grants, they were
/// the row's that lets it in.
pub(super) fn terms_of(loaded: &Loaded) -> Option<GrantSet> {
    let (_, terms) = loaded.offered()?;
    Some(terms.grants.unwrap_or_else(|| GrantSet {
        except: BTreeSet::new(),
        ..loaded.plugin.granted()
    }))
}

/// What a generation would be granted on these terms. Where nobody can decide, of
/// what it has.
pub(super) fn comes_to(policy: Option<&Policy>, loaded: &Loaded, terms: &GrantSet) -> GrantSet {
    let decided = policy
        .zip(loaded.offered())
        .and_then(|(policy, (offer, of_load))| {
            let terms = Terms {
                grants: Some(terms.clone()),
                ..of_load
            };
            match decide(Ok(policy), offer, &terms).verdict {
                Verdict::Allow { grants, .. } => Some(*grants),
                Verdict::Deny { .. } => None,
            }
        });
    decided.unwrap_or_else(|| GrantSet::intersect(&loaded.plugin.granted(), terms))
}

fn has(set: &GrantSet, grant: &Grant) -> bool {
    set.clone().take_out(grant)
}

fn without(set: &GrantSet, revoke: &[Grant]) -> GrantSet {
    // What the policy takes away it takes away again.
    let mut left = GrantSet {
        except: BTreeSet::new(),
        ..set.clone()
    };
    for grant in revoke {
        left.take_out(grant);
    }
    left
}
