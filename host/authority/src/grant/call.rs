//! The plugins, and methods of them, that a plugin may call by name.
//!
//! Owns the text of such a grant. Which method a short form stands for is found
//! out where the methods are.

use std::{collections::BTreeSet, fmt};

use odeon_protocol::{MemberPath, PluginName};

use super::{GrantDenied, GrantSet, parse::InvalidGrant};

/// Calls of one plugin by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallGrant {
    /// The plugin.
    pub plugin: PluginName,
    /// The method, in any form that names it; absent: all of them.
    pub method: Option<MemberPath>,
}

impl fmt::Display for CallGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{}/{method}", self.plugin),
            None => write!(f, "{}", self.plugin),
        }
    }
}

/// What follows `call=`.
pub(super) fn parse(grant: &str, text: &str) -> Result<CallGrant, InvalidGrant> {
    let (plugin, method) = match text.split_once('/') {
        Some((plugin, method)) => (plugin, Some(method)),
        None => (text, None),
    };
    let expected = "PLUGIN or PLUGIN/METHOD with the name of a plugin";
    let plugin = plugin
        .parse()
        .map_err(|_| InvalidGrant::new(grant, expected, plugin))?;
    let expected = "PLUGIN/METHOD with a function, or an interface, a dot and a function";
    let method = method
        .map(|method| {
            method
                .parse()
                .map_err(|_| InvalidGrant::new(grant, expected, method))
        })
        .transpose()?;
    Ok(CallGrant { plugin, method })
}

/// A method is on both sides in the same words, or on one side while the other
/// says all methods.
pub(super) fn intersect(asked: &BTreeSet<CallGrant>, allowed: &BTreeSet<CallGrant>) -> BTreeSet<CallGrant> {
    let covers = |wide: &BTreeSet<CallGrant>, one: &CallGrant| {
        let all = CallGrant {
            plugin: one.plugin.clone(),
            method: None,
        };
        wide.contains(one) || wide.contains(&all)
    };
    let asked_for = asked.iter().filter(|one| covers(allowed, one));
    let let_through = allowed.iter().filter(|one| covers(asked, one));
    asked_for.chain(let_through).cloned().collect()
}

impl CallGrant {
    /// Whether the two may be about one method: which one a short form stands for
    /// is not known here.
    fn is_like(&self, plugin: &PluginName, method: Option<&MemberPath>) -> bool {
        let functions = self.method.as_ref().zip(method);
        self.plugin == *plugin && functions.is_none_or(|(one, other)| one.function() == other.function())
    }

    /// Whether denying `denied` takes this away. Where it cannot be told whether
    /// they are about one method, they are.
    pub(super) fn is_touched_by(&self, denied: &CallGrant) -> bool {
        self.is_like(&denied.plugin, denied.method.as_ref())
    }
}

impl GrantSet {
    /// Whether one of these grants may be about this method.
    pub(super) fn calls_like(&self, plugin: &PluginName, method: &MemberPath) -> bool {
        self.calls.iter().any(|grant| grant.is_like(plugin, Some(method)))
    }

    /// Whether any method of this plugin may be called by name. `method` is what
    /// was asked for.
    ///
    /// # Errors
    ///
    /// The grant that would allow it.
    pub fn calls_of(&self, plugin: &PluginName, method: &MemberPath) -> Result<(), GrantDenied> {
        match self.calls.iter().any(|grant| grant.plugin == *plugin) {
            true => Ok(()),
            false => Err(denied(plugin, method)),
        }
    }

    /// Whether this method of it may be: `is` says whether a grant's words stand
    /// for it.
    ///
    /// # Errors
    ///
    /// The grant that would allow it.
    pub fn call(
        &self,
        plugin: &PluginName,
        method: &MemberPath,
        is: impl Fn(&MemberPath) -> bool,
    ) -> Result<(), GrantDenied> {
        let mut of_plugin = self.calls.iter().filter(|grant| grant.plugin == *plugin);
        match of_plugin.any(|grant| grant.method.as_ref().is_none_or(&is)) {
            true => Ok(()),
            false => Err(denied(plugin, method)),
        }
    }
}

fn denied(plugin: &PluginName, method: &MemberPath) -> GrantDenied {
    GrantDenied {
        wanted: format!("call={plugin}/{method}"),
    }
}
