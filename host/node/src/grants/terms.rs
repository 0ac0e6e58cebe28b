//! What an operator's word does to the terms of a load.
//!
//! Owns which of his grants are taken and added, for the generation that serves
//! and for those that it replaced, and what he is told of it; what is left without
//! them is in `kept`. Must not grant anything by itself: that is decided as at a
//! load, and done in the order of [`super`].

use std::path::Path;
use std::sync::Arc;

use odeon_authority::{Grant, GrantSet, Policy, PolicyError, Principal, Verdict, decide};
use odeon_protocol::{Code, Fault, PluginName};

use super::kept::Before;
use super::{Change, GrantReport, masked};
use crate::host::Host;
use crate::load::{Source, absent, unused};
use crate::registry::Loaded;

/// What the audit says of a change that an operator makes.
const BY_OPERATOR: &str = "operator's terms";

/// And of one that has no effect as long as the trust policy allows less.
const BY_OPERATOR_LATER: &str = "operator's terms, under what the trust policy allows";

impl Change {
    /// Of the operator's terms alone: the trust policy allows less, so that
    /// nothing else is changed by now.
    fn of_terms(loaded: &Loaded, add: &[Grant], revoke: &[Grant]) -> Change {
        Change {
            plugin: loaded.plugin.clone(),
            name: loaded.name.clone(),
            generation: loaded.generation,
            to: None,
            added: add.iter().map(shown).collect(),
            removed: revoke.iter().map(shown).collect(),
            rule: BY_OPERATOR_LATER,
        }
    }
}

impl Host {
    pub(super) fn change_terms(
        &self,
        loaded: &Loaded,
        add: &[Grant],
        revoke: &[Grant],
        principal: &Principal,
    ) -> Result<GrantReport, Fault> {
        let _turn = self.inner.gatekeeper.turn();
        if let Source::Descriptor(file) = &loaded.origin.asked.source {
            return Err(self.said_by(loaded, file));
        }
        let before = Before::of(loaded).ok_or_else(nothing_known)?;
        let replaced = self.replaced_of(&loaded.name);
        let replaced: Vec<Before<'_>> = replaced.iter().filter_map(|old| Before::of(old)).collect();
        let mut taken_here = Vec::new();
        for grant in revoke {
            if before.has(grant) {
                taken_here.push(grant.clone());
            } else if !replaced.iter().any(|old| old.has(grant)) {
                return Err(not_granted(grant, &before));
            }
        }
        let policy = self.inner.gatekeeper.policy();
        let kept = before.without(policy.as_ref().ok(), revoke);
        let mut allowed = kept.terms.clone();
        for grant in add {
            allowed
                .add(grant.clone())
                .map_err(|error| Fault::new(Code::InvalidArguments, error.to_string()))?;
        }
        let mut warnings = Vec::new();
        // Before anything is decided that can fail: what is taken is gone.
        let mut changes = Vec::new();
        let taken = match revoke {
            [] => None,
            revoke => {
                let of_policy = policy.as_ref().ok();
                changes = self.take_from_replaced(&replaced, of_policy, revoke, &taken_here, &mut warnings);
                warnings.extend(kept.narrowed(loaded, revoke));
                let taken = self.lower(loaded, of_policy, kept.terms, kept.left, BY_OPERATOR);
                warnings.extend(self.keep_changed(loaded));
                taken
            }
        };
        let given = match add {
            // What is left was let in with more.
            [] => Ok(None),
            add => self.give(loaded, policy.as_ref(), &allowed, add, &mut warnings),
        };
        let (given, refused) = match given {
            Ok(given) => (given, None),
            Err(fault) => (None, Some(fault)),
        };
        // What was refused was not added.
        let asked: &[Grant] = if refused.is_some() { &[] } else { add };
        let of_terms: Vec<Grant> = taken_here
            .into_iter()
            .filter(|grant| before.allows(grant))
            .collect();
        let change = match Change::both(taken, given) {
            None if of_terms.is_empty() && asked.is_empty() => None,
            None => Some(Change::of_terms(loaded, asked, &of_terms)),
            change => change,
        };
        let (added, removed) = change
            .as_ref()
            .map(|change| (change.added.clone(), change.removed.clone()))
            .unwrap_or_default();
        warnings.extend(changes.iter().map(taken_elsewhere));
        // The disk may fail for one of them; the others are on record all the same.
        let finished: Vec<Result<(), Fault>> = changes
            .into_iter()
            .chain(change)
            .map(|change| self.finish_change(change, principal))
            .collect();
        finished.into_iter().collect::<Result<(), Fault>>()?;
        if let Some(fault) = refused {
            return Err(fault);
        }
        loaded.allow(allowed);
        warnings.extend(self.keep_changed(loaded));
        let policy = policy.as_ref().ok();
        for grant in revoke {
            warnings.extend(before.still_allowed(policy, grant, "is still granted"));
            let how = "is granted to a version that was replaced, and may come back";
            let of_old = |old: &Before<'_>| old.still_allowed(policy, grant, how);
            warnings.extend(replaced.iter().filter_map(of_old));
        }
        Ok(GrantReport {
            added,
            removed,
            warnings,
            ..GrantReport::unchanged(loaded)
        })
    }

    /// Who says what a plugin of a descriptor may use.
    fn said_by(&self, loaded: &Loaded, file: &Path) -> Fault {
        let (name, shown) = (&loaded.name, file.display());
        let words = if loaded.origin.asked.grants.is_some() {
            format!("what {name} may use was said when {shown} was loaded; load that again with other grants")
        } else if self.inner.descriptors.watches(file) {
            format!("what {name} may use is said by {shown}; edit the file")
        } else {
            format!("what {name} may use is said by {shown}; edit the file, then `odeon reload {name}`")
        };
        Fault::new(Code::WrongState, words)
    }

    /// The generations of this name that were replaced: their calls may go on,
    /// and one of them may come back.
    fn replaced_of(&self, name: &PluginName) -> Vec<Arc<Loaded>> {
        let mut replaced = self.inner.registry.replaced();
        replaced.retain(|old| old.name == *name);
        replaced
    }

    /// Takes the same away from those. Gives what is to go on record by itself:
    /// what the generation that serves did not have.
    fn take_from_replaced(
        &self,
        replaced: &[Before<'_>],
        policy: Option<&Policy>,
        revoke: &[Grant],
        taken_here: &[Grant],
        warnings: &mut Vec<String>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for old in replaced {
            let taken: Vec<Grant> = revoke.iter().filter(|grant| old.has(grant)).cloned().collect();
            if taken.is_empty() {
                continue;
            }
            let kept = old.without(policy, &taken);
            warnings.extend(kept.narrowed(old.loaded, &taken));
            let change = self.lower(old.loaded, policy, kept.terms, kept.left, BY_OPERATOR);
            // The record is of the plugin, whatever the generation.
            let alone: Vec<Grant> = taken
                .into_iter()
                .filter(|grant| !taken_here.contains(grant))
                .collect();
            if !alone.is_empty() {
                changes.push(Change {
                    removed: alone.iter().map(shown).collect(),
                    ..change.unwrap_or_else(|| Change::of_terms(old.loaded, &[], &[]))
                });
            }
        }
        changes
    }

    /// Decides what the operator's terms come to with what is added.
    fn give(
        &self,
        loaded: &Loaded,
        policy: Result<&Policy, &PolicyError>,
        allowed: &GrantSet,
        add: &[Grant],
        warnings: &mut Vec<String>,
    ) -> Result<Option<Change>, Fault> {
        let (offer, mut terms) = loaded.offered().ok_or_else(nothing_known)?;
        terms.grants = Some(allowed.clone());
        let decision = decide(policy, offer, &terms);
        let granted = match &decision.verdict {
            Verdict::Allow { grants, .. } => GrantSet::clone(grants),
            Verdict::Deny { code, message, .. } => return Err(Fault::new(*code, message.clone())),
        };
        let policy = policy.map_err(|error| Fault::new(error.code(), error.to_string()))?;
        let manifest = offer.manifest.as_ref().ok().and_then(Option::as_ref);
        let mut added = GrantSet::default();
        for grant in add {
            // It was added to others; alone it can be too.
            drop(added.add(grant.clone()));
        }
        warnings.extend(unused(manifest, &granted, Some(&added)));
        warnings.extend(absent(&added.fs));
        let grants = self.grants_of(policy, &loaded.name, (offer, &terms), &granted);
        Ok(self.begin_change(loaded, grants, BY_OPERATOR))
    }
}

/// A grant as on a command line, without a value.
pub(super) fn shown(grant: &Grant) -> String {
    let mut set = GrantSet::default();
    // One grant goes into an empty set.
    drop(set.add(grant.clone()));
    masked(&set.complete_lines().join(" "))
}

/// What the operator is told of something that only a version before had.
fn taken_elsewhere(change: &Change) -> String {
    format!(
        "taken from generation {} alone, which was replaced and may come back: {}",
        change.generation,
        change.removed.join(" ")
    )
}

#[cold]
fn nothing_known() -> Fault {
    Fault::new(Code::Internal, "nothing is known of what was decided about it")
}

#[cold]
fn not_granted(grant: &Grant, before: &Before<'_>) -> Fault {
    let mut lines = before.granted.lines();
    let allowed = before.terms.lines();
    lines.extend(
        allowed
            .into_iter()
            .filter(|line| !has_line(&before.granted, line)),
    );
    let has = match lines {
        lines if lines.is_empty() => "none".to_owned(),
        lines => lines.join(" "),
    };
    Fault::new(
        Code::InvalidArguments,
        format!(
            "--revoke {}: expected one of the grants that it has or the operator allows, found {has}",
            shown(grant)
        ),
    )
}

fn has_line(set: &GrantSet, line: &String) -> bool {
    set.lines().contains(line)
}
