//! What an operator's word does to the terms of a load.
//!
//! Owns which of his grants are taken and added, for the generation that serves
//! and for those that it replaced, and what he is told of it. Must not grant
//! anything by itself: that is decided as at a load, and done in the order of
//! [`super`].

use std::collections::BTreeSet;
use std::sync::Arc;

use odeon_authority::{Grant, GrantSet, Policy, PolicyError, Principal, Verdict, decide};
use odeon_protocol::{Code, Fault, PluginName};
use odeon_runtime::Grants;

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

/// A generation that was replaced, and what the operator allowed it before this.
struct Replaced {
    before: GrantSet,
    loaded: Arc<Loaded>,
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
            return Err(Fault::new(
                Code::WrongState,
                format!(
                    "what {} may use is said by {}; edit the file",
                    loaded.name,
                    file.display()
                ),
            ));
        }
        let before = terms_of(loaded).ok_or_else(nothing_known)?;
        let replaced = self.replaced_of(&loaded.name);
        let mut kept = before.clone();
        let mut taken_here = Vec::new();
        for grant in revoke {
            if kept.take_out(grant) {
                taken_here.push(grant.clone());
            } else if !replaced.iter().any(|old| old.before.clone().take_out(grant)) {
                return Err(not_granted(grant, &kept));
            }
        }
        let mut allowed = kept.clone();
        for grant in add {
            allowed
                .add(grant.clone())
                .map_err(|error| Fault::new(Code::InvalidArguments, error.to_string()))?;
        }
        let policy = self.inner.gatekeeper.policy();
        let mut warnings = Vec::new();
        // Before anything is decided that can fail: what is taken is gone.
        let mut changes = Vec::new();
        let taken = match revoke {
            [] => None,
            revoke => {
                changes = self.take_from_replaced(&replaced, revoke, &taken_here);
                let taken = self.take(loaded, policy.as_ref().ok(), &kept, revoke);
                warnings.extend(self.keep_changed(loaded));
                taken
            }
        };
        let given = match add {
            // What is left was let in with more.
            [] => Ok(None),
            add => self.give(loaded, policy, &allowed, add, &mut warnings),
        };
        let (given, refused) = match given {
            Ok(given) => (given, None),
            Err(fault) => (None, Some(fault)),
        };
        // What was refused was not added.
        let asked: &[Grant] = if refused.is_some() { &[] } else { add };
        let change = match Change::both(taken, given) {
            None if taken_here.is_empty() && asked.is_empty() => None,
            None => Some(Change::of_terms(loaded, asked, &taken_here)),
            change => change,
        };
        let (added, removed) = change
            .as_ref()
            .map(|change| (change.added.clone(), change.removed.clone()))
            .unwrap_or_default();
        warnings.extend(changes.iter().map(taken_elsewhere));
        for change in changes.into_iter().chain(change) {
            self.finish_change(change, principal)?;
        }
        if let Some(fault) = refused {
            return Err(fault);
        }
        loaded.allow(allowed);
        warnings.extend(self.keep_changed(loaded));
        for grant in revoke {
            warnings.extend(still_allowed(grant, &before, loaded, "is still granted"));
            let of_old = |old: &Replaced| {
                let how = "is granted to a version that was replaced, and may come back";
                still_allowed(grant, &old.before, &old.loaded, how)
            };
            warnings.extend(replaced.iter().filter_map(of_old));
        }
        Ok(GrantReport {
            added,
            removed,
            warnings,
            ..GrantReport::unchanged(loaded)
        })
    }

    /// Takes away what the operator's terms do not have any more.
    fn take(
        &self,
        loaded: &Loaded,
        policy: Option<&Policy>,
        kept: &GrantSet,
        revoke: &[Grant],
    ) -> Option<Change> {
        loaded.allow(kept.clone());
        let mut left = GrantSet::intersect(&loaded.plugin.granted(), kept);
        for grant in revoke {
            // What meets a wider grant is there by its own words.
            left.take_out(grant);
        }
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
        self.begin_change(loaded, to, BY_OPERATOR)
    }

    /// The generations of this name that were replaced: their calls may go on,
    /// and one of them may come back.
    fn replaced_of(&self, name: &PluginName) -> Vec<Replaced> {
        let replaced = self.inner.registry.replaced();
        let of_name = replaced.into_iter().filter(|old| old.name == *name);
        of_name
            .filter_map(|loaded| {
                let before = terms_of(&loaded)?;
                Some(Replaced { before, loaded })
            })
            .collect()
    }

    /// Takes the same away from those. Gives what is to go on record by itself:
    /// what the generation that serves did not have.
    fn take_from_replaced(
        &self,
        replaced: &[Replaced],
        revoke: &[Grant],
        taken_here: &[Grant],
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for Replaced { before, loaded } in replaced {
            let mut kept = before.clone();
            let taken: Vec<Grant> = revoke
                .iter()
                .filter(|grant| kept.take_out(grant))
                .cloned()
                .collect();
            let change = self.take(loaded, None, &kept, revoke);
            // The record is of the plugin, whatever the generation.
            let alone: Vec<Grant> = taken
                .into_iter()
                .filter(|grant| !taken_here.contains(grant))
                .collect();
            if !alone.is_empty() {
                changes.push(Change {
                    removed: alone.iter().map(shown).collect(),
                    ..change.unwrap_or_else(|| Change::of_terms(loaded, &[], &[]))
                });
            }
        }
        changes
    }

    /// Decides what the operator's terms come to with what is added.
    fn give(
        &self,
        loaded: &Loaded,
        policy: Result<Policy, PolicyError>,
        allowed: &GrantSet,
        add: &[Grant],
        warnings: &mut Vec<String>,
    ) -> Result<Option<Change>, Fault> {
        let (offer, mut terms) = loaded.offered().ok_or_else(nothing_known)?;
        terms.grants = Some(allowed.clone());
        let decision = decide(policy.as_ref(), offer, &terms);
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
        let grants = self.grants_of(&policy, &loaded.name, (offer, &terms), &granted);
        Ok(self.begin_change(loaded, grants, BY_OPERATOR))
    }
}

/// What the operator allows a plugin by now. Where he named no grants, they were
/// the row's that lets it in.
fn terms_of(loaded: &Loaded) -> Option<GrantSet> {
    let (_, terms) = loaded.offered()?;
    Some(terms.grants.unwrap_or_else(|| GrantSet {
        except: BTreeSet::new(),
        ..loaded.plugin.granted()
    }))
}

/// A grant as on a command line, without a value.
fn shown(grant: &Grant) -> String {
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

/// What the operator is told who has taken one grant out, `before` which this was
/// allowed, while a wider one is there.
fn still_allowed(grant: &Grant, before: &GrantSet, loaded: &Loaded, how: &str) -> Option<String> {
    let wider = loaded.plugin.granted().still_allows(grant, before);
    (!wider.is_empty()).then(|| {
        format!(
            "what {} named can be used all the same: {} {how} (generation {}); take that out too, and add what is \
             narrower",
            shown(grant),
            wider.join(" "),
            loaded.generation
        )
    })
}

#[cold]
fn nothing_known() -> Fault {
    Fault::new(Code::Internal, "nothing is known of what was decided about it")
}

#[cold]
fn not_granted(grant: &Grant, allowed: &GrantSet) -> Fault {
    let has = match allowed.lines() {
        lines if lines.is_empty() => "none".to_owned(),
        lines => lines.join(" "),
    };
    Fault::new(
        Code::InvalidArguments,
        format!(
            "--revoke {}: expected one of the grants that the operator allows, found {has}",
            shown(grant)
        ),
    )
}
