//! What a loaded plugin may use, changed while it runs.
//!
//! Owns the order: what it loses it has lost when that is begun; what it gains
//! it gets when that is on disk in the audit. And what an operator's word does
//! to the terms of a load. Who may use what is decided where every load is.
//!
//! **Invariant:** nothing is granted that is not on record.

use std::collections::BTreeSet;

use odeon_authority::{
    Event, Grant, GrantSet, NamePattern, Offer, Policy, PolicyError, Principal, Sides, Terms, Text, Verdict,
    decide,
};
use odeon_protocol::{Code, Fault, Generation, PluginName};
use odeon_runtime::{Grants, Plugin};

use crate::host::Host;
use crate::load::{Source, absent, blocking, unused};
use crate::registry::Loaded;

/// What the audit says of a change that the trust policy makes.
pub(crate) const BY_POLICY: &str = "trust policy";

/// And of one that an operator makes.
const BY_OPERATOR: &str = "operator's terms";

/// And of one that has no effect as long as the trust policy allows less.
const BY_OPERATOR_LATER: &str = "operator's terms, under what the trust policy allows";

/// What became of a change of grants.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantReport {
    /// The plugin.
    pub name: PluginName,
    /// Its generation.
    pub generation: Generation,
    /// What it may use now.
    pub grants: GrantSet,
    /// What of that it could not use before, as on a command line.
    pub added: Vec<String>,
    /// What it could use before.
    pub removed: Vec<String>,
    /// What the operator should know although it went well.
    pub warnings: Vec<String>,
}

impl GrantReport {
    fn unchanged(loaded: &Loaded) -> Self {
        GrantReport {
            name: loaded.name.clone(),
            generation: loaded.generation,
            grants: loaded.plugin.granted(),
            added: Vec::new(),
            removed: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// A change that has begun: what is lost is lost.
pub(crate) struct Change {
    plugin: Plugin,
    name: PluginName,
    generation: Generation,
    /// What it may use then, if that is another than by now.
    to: Option<Grants>,
    added: Vec<String>,
    removed: Vec<String>,
    rule: &'static str,
}

impl Change {
    pub(crate) fn name(&self) -> &PluginName {
        &self.name
    }

    /// What was taken, then what is given, as one. What is given again was never
    /// away for long enough to be told of; a variable may have another value now.
    fn both(taken: Option<Change>, given: Option<Change>) -> Option<Change> {
        let (mut taken, mut given) = match (taken, given) {
            (Some(taken), Some(given)) => (taken, given),
            (one, other) => return one.or(other),
        };
        let again: Vec<String> = given
            .added
            .iter()
            .filter(|line| !line.starts_with("env=") && taken.removed.contains(line))
            .cloned()
            .collect();
        taken.removed.append(&mut given.removed);
        taken.removed.retain(|line| !again.contains(line));
        given.added.retain(|line| !again.contains(line));
        given.removed = taken.removed;
        Some(given)
    }

    /// Of the operator's terms alone: the trust policy allows less, so that
    /// nothing else is changed by now.
    fn of_terms(loaded: &Loaded, add: &[Grant], revoke: &[Grant]) -> Change {
        let lines = |grants: &[Grant]| grants.iter().map(|grant| masked(&line(grant))).collect();
        Change {
            plugin: loaded.plugin.clone(),
            name: loaded.name.clone(),
            generation: loaded.generation,
            to: None,
            added: lines(add),
            removed: lines(revoke),
            rule: BY_OPERATOR_LATER,
        }
    }
}

impl Host {
    /// Changes what the operator allows a loaded plugin: takes these grants out
    /// of his terms, then adds those. What it gets is decided as at a load: the
    /// manifest, the trust policy's ceilings and what that takes away hold as
    /// before. A load that is remembered is remembered on the new terms.
    ///
    /// With nothing to add or to take, says what it may use, and waits for nothing.
    ///
    /// # Errors
    ///
    /// `ODN-1001` when no such plugin is loaded; `ODN-1011` when something else
    /// is being done with it; `ODN-5005` when a descriptor says what it may use;
    /// `ODN-1004` when something to be taken is not granted; a 40xx code when
    /// something is added and it would not be let in now; `ODN-4012` when the
    /// change cannot be recorded. In the last two cases what was to be taken is
    /// gone all the same, from generations that were replaced as well.
    pub async fn grant(
        &self,
        name: &PluginName,
        add: Vec<Grant>,
        revoke: Vec<Grant>,
        principal: &Principal,
    ) -> Result<GrantReport, Fault> {
        if add.is_empty() && revoke.is_empty() {
            // Whoever only looks is in nobody's way.
            let loaded = self.inner.registry.get(name)?;
            return Ok(GrantReport::unchanged(&loaded));
        }
        // Held, so that no replace goes on from the terms of before.
        let (reservation, loaded) = self.inner.registry.claim_to_replace(name)?;
        let (host, principal) = (self.clone(), principal.clone());
        blocking(move || {
            let done = host.change_terms(&loaded, &add, &revoke, &principal);
            drop(reservation);
            done
        })
        .await?
    }

    fn change_terms(
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
        let mut kept = terms_of(loaded).ok_or_else(nothing_known)?;
        for grant in revoke {
            if !kept.take_out(grant) {
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
        let taken = match revoke {
            [] => None,
            revoke => {
                self.take_from_replaced(&loaded.name, revoke);
                let taken = self.take(loaded, policy.as_ref().ok(), &kept);
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
        let change = Change::both(taken, given).unwrap_or_else(|| Change::of_terms(loaded, asked, revoke));
        let (added, removed) = (change.added.clone(), change.removed.clone());
        if !revoke.is_empty() || refused.is_none() {
            self.finish_change(change, principal)?;
        }
        if let Some(fault) = refused {
            return Err(fault);
        }
        loaded.allow(allowed);
        warnings.extend(self.keep_changed(loaded));
        Ok(GrantReport {
            added,
            removed,
            warnings,
            ..GrantReport::unchanged(loaded)
        })
    }

    /// Takes away what the operator's terms do not have any more.
    fn take(&self, loaded: &Loaded, policy: Option<&Policy>, kept: &GrantSet) -> Option<Change> {
        loaded.allow(kept.clone());
        let left = GrantSet::intersect(&loaded.plugin.granted(), kept);
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

    /// The same for generations that were replaced: their calls may go on, and
    /// one of them may come back.
    fn take_from_replaced(&self, name: &PluginName, revoke: &[Grant]) {
        let replaced = self.inner.registry.replaced();
        for old in replaced.iter().filter(|old| old.name == *name) {
            let Some(mut kept) = terms_of(old) else { continue };
            for grant in revoke {
                kept.take_out(grant);
            }
            // The record is of the plugin, whatever the generation.
            drop(self.take(old, None, &kept));
        }
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

    /// All that a plugin may use to whom this was granted, and who is asked why
    /// not.
    pub(crate) fn grants_of(
        &self,
        policy: &Policy,
        name: &PluginName,
        (offer, terms): (&Offer, &Terms),
        granted: &GrantSet,
    ) -> Grants {
        Grants {
            env: self.variables(granted),
            set: granted.clone(),
            acts_for: policy.acts_for(name),
            sides: Some(Sides::of(policy, offer, terms, name).into()),
        }
    }

    /// Takes away what a plugin is not to have any more. Gives the rest of the
    /// change, if there is one.
    pub(crate) fn begin_change(&self, loaded: &Loaded, to: Grants, rule: &'static str) -> Option<Change> {
        let plugin = &loaded.plugin;
        let (had, has) = (
            lines(&plugin.granted(), &plugin.acts_for()),
            lines(&to.set, &to.acts_for),
        );
        if had == has {
            plugin.regrant(to);
            return None;
        }
        let kept = GrantSet::intersect(&plugin.granted(), &to.set);
        let acted_for = plugin.acts_for();
        let still = to.acts_for.iter().filter(|other| acted_for.contains(other));
        plugin.regrant(Grants {
            env: self.variables(&kept),
            set: kept,
            acts_for: still.cloned().collect(),
            sides: to.sides.clone(),
        });
        let shown = |lines: BTreeSet<&String>| lines.into_iter().map(|line| masked(line)).collect();
        Some(Change {
            plugin: plugin.clone(),
            name: loaded.name.clone(),
            generation: loaded.generation,
            added: shown(has.difference(&had).collect()),
            removed: shown(had.difference(&has).collect()),
            to: Some(to),
            rule,
        })
    }

    /// Writes a change down, and gives what it grants. Blocks on the disk.
    pub(crate) fn finish_change(&self, change: Change, principal: &Principal) -> Result<(), Fault> {
        self.note(Event::GrantChange {
            name: change.name.clone(),
            generation: change.generation,
            added: Text::list(&change.added),
            removed: Text::list(&change.removed),
            rule: change.rule.into(),
            principal: principal.to_string().into(),
        })?;
        if let Some(to) = change.to {
            change.plugin.regrant(to);
        }
        tracing::info!(
            plugin = change.name.as_str(),
            generation = change.generation.0,
            added = ?change.added,
            removed = ?change.removed,
            rule = change.rule,
            "grants changed"
        );
        Ok(())
    }
}

/// All that may be used, values of variables included, to see what is another.
fn lines(set: &GrantSet, acts_for: &[NamePattern]) -> BTreeSet<String> {
    let except = set.except.iter().map(|except| format!("except {except}"));
    let acts_for = acts_for.iter().map(|other| format!("acts for {other}"));
    let grants = set.complete_lines().into_iter();
    grants.chain(except).chain(acts_for).collect()
}

/// A line for people: the value of a variable may be a secret.
fn masked(line: &str) -> String {
    match line.strip_prefix("env=").and_then(|env| env.split_once('=')) {
        Some((name, _)) => format!("env={name}"),
        None => line.to_owned(),
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

/// A grant as on a command line.
fn line(grant: &Grant) -> String {
    let mut set = GrantSet::default();
    // One grant goes into an empty set.
    drop(set.add(grant.clone()));
    set.complete_lines().join(" ")
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
            masked(&line(grant))
        ),
    )
}
