//! The plugins for which a call is made.
//!
//! Owns the chain as the host knows it: loaded generations, not names that
//! somebody said.

use std::fmt;
use std::sync::{Arc, Weak};

use odeon_protocol::PluginName;

use crate::plugin::Plugin;
use crate::unit::Unit;

/// The plugins for which a call is made, outermost first. Empty for a call of
/// a person, a program or the host.
///
/// What the called plugin may use meanwhile is what all of them may, unless the
/// trust policy has it act for them.
#[derive(Clone, Default)]
pub struct Behalf(Chain);

#[derive(Clone, Default)]
enum Chain {
    #[default]
    Nobody,
    /// Most chains, which need no memory of their own.
    One(Arc<Unit>),
    Of(Arc<[Arc<Unit>]>),
    /// Of a call that is over: they may be unloaded since.
    Ended(Arc<[Weak<Unit>]>),
    /// Longer than any that is kept, or not known. Nothing may be used for it.
    Unknown,
}

impl Behalf {
    /// The longest chain that is told apart.
    pub const MOST: usize = 32;

    /// For nobody but the caller.
    pub fn nobody() -> Self {
        Behalf::default()
    }

    /// The chain of what `plugin` has somebody do, while it works for this one.
    #[must_use]
    pub fn then(&self, plugin: &Plugin) -> Self {
        self.then_unit(&plugin.shared.unit)
    }

    pub(crate) fn then_unit(&self, unit: &Arc<Unit>) -> Self {
        match &self.0 {
            Chain::Unknown | Chain::Ended(_) => return Behalf::unknown(),
            Chain::Nobody => return Behalf(Chain::One(unit.clone())),
            Chain::One(_) | Chain::Of(_) => {}
        }
        let units = self.units();
        if units.len() >= Self::MOST {
            return Behalf::unknown();
        }
        Behalf(Chain::Of(units.iter().chain([unit]).cloned().collect()))
    }

    /// The same, when the call is over: holds none of them any more.
    pub(crate) fn ended(&self) -> Self {
        match self.units() {
            [] => self.clone(),
            units => Behalf(Chain::Ended(units.iter().map(Arc::downgrade).collect())),
        }
    }

    /// The same, as far as it is known now: where one of them is gone, nobody
    /// knows what it might use.
    pub(crate) fn known(&self) -> Self {
        let Chain::Ended(units) = &self.0 else {
            return self.clone();
        };
        let alive: Option<Arc<[Arc<Unit>]>> = units.iter().map(Weak::upgrade).collect();
        alive.map_or_else(Behalf::unknown, |units| Behalf(Chain::Of(units)))
    }

    pub(crate) fn unknown() -> Self {
        Behalf(Chain::Unknown)
    }

    /// Whether it is a chain for which nothing may be used.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.0, Chain::Unknown)
    }

    /// Whether there is nobody.
    pub fn is_nobody(&self) -> bool {
        matches!(self.0, Chain::Nobody)
    }

    pub(crate) fn units(&self) -> &[Arc<Unit>] {
        match &self.0 {
            Chain::One(unit) => std::slice::from_ref(unit),
            Chain::Of(units) => units,
            Chain::Nobody | Chain::Unknown | Chain::Ended(_) => &[],
        }
    }

    /// Their names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &PluginName> {
        self.units().iter().map(|unit| &unit.spec.name)
    }
}

impl fmt::Debug for Behalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Chain::Unknown => f.write_str("Behalf(unknown)"),
            _ => f
                .debug_tuple("Behalf")
                .field(&self.names().collect::<Vec<_>>())
                .finish(),
        }
    }
}
