//! What a loaded plugin may use, changed while it runs.
//!
//! Owns the order: what it loses it has lost when that is begun; what it gains
//! it gets when that is on disk in the audit. What an operator's word does to the
//! terms of a load is in `terms`, a descriptor's in `described`. Who may use what is decided where every load is.
//!
//! **Invariant:** nothing is granted that is not on record.

mod described;
mod kept;
mod terms;

use std::collections::BTreeSet;

use odeon_authority::{Event, Grant, GrantSet, NamePattern, Offer, Policy, Principal, Sides, Terms, Text};
use odeon_protocol::{Fault, Generation, PluginName};
use odeon_runtime::{Grants, Plugin};

use crate::host::Host;
use crate::load::blocking;
use crate::registry::Loaded;

/// What the audit says of a change that the trust policy makes.
pub(crate) const BY_POLICY: &str = "trust policy";

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
}

impl Host {
    /// Changes what the operator allows a loaded plugin: takes these grants out
    /// of his terms, then adds those. What it gets is decided as at a load: the
    /// manifest, the trust policy's ceilings and what that takes away hold as
    /// before. A load that is remembered is remembered on the new terms.
    ///
    /// What is to be taken is one grant as it is written, or as it is shown. It is
    /// taken from the generations that were replaced as well, also where only one of
    /// those has it. A wider grant stays, and the report says where one still allows
    /// the same; unless all that it came to was what is taken: then what is in force
    /// beside it is all that the operator allows from now on, and the report says so.
    ///
    /// With nothing to add or to take, says what it may use, and waits for nothing.
    ///
    /// # Errors
    ///
    /// `ODN-1001` when no such plugin is loaded; `ODN-1011` when something else
    /// is being done with it; `ODN-5005` when a descriptor says what it may use;
    /// `ODN-1004` when something to be taken is granted to no generation; a 40xx code when
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
