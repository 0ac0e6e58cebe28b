//! What a plugin may use now.
//!
//! Owns the grants of one generation while it is loaded, and what is left of
//! them while it works for others. Nothing else says what a guest may use:
//! every host function asks here at every use, so that a grant that is gone is
//! gone for the instances that run, too.
//!
//! **Invariant:** what a plugin may use on behalf of others is never more than
//! what it may by itself.

mod behalf;
mod narrowed;
mod present;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use odeon_authority::{Askable, EgressPolicy, GrantSet, NamePattern, Sides};
use odeon_protocol::PluginName;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

pub use self::behalf::Behalf;
use self::narrowed::Narrowed;
pub(crate) use self::present::Present;

/// What a plugin may use, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// What it may use by itself.
    pub set: GrantSet,
    /// The values of the granted variables.
    pub env: BTreeMap<String, String>,
    /// The plugins for which it may use all of that.
    pub acts_for: Vec<NamePattern>,
    /// Who is asked whose word it is that something may not be used.
    pub sides: Option<Arc<Sides>>,
}

/// Grants as they are asked.
pub(crate) struct Granted {
    may: Askable,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) acts_for: Vec<NamePattern>,
    sides: Option<Arc<Sides>>,
}

/// What one generation may use.
pub(crate) struct Warrant {
    now: ArcSwap<Granted>,
    changed: Notify,
    narrowed: Narrowed,
}

impl From<Grants> for Granted {
    fn from(grants: Grants) -> Self {
        Granted {
            may: grants.set.into(),
            env: grants.env,
            acts_for: grants.acts_for,
            sides: grants.sides,
        }
    }
}

impl Granted {
    pub(crate) fn set(&self) -> &GrantSet {
        self.may.set()
    }

    pub(crate) fn egress(&self) -> &EgressPolicy {
        self.may.egress()
    }

    /// Whether it may use all of its grants for this plugin.
    fn acts_for(&self, other: &PluginName) -> bool {
        self.acts_for.iter().any(|pattern| pattern.matches(other))
    }
}

impl Warrant {
    pub(crate) fn new(grants: Grants) -> Self {
        Warrant {
            now: ArcSwap::from_pointee(grants.into()),
            changed: Notify::new(),
            narrowed: Narrowed::default(),
        }
    }

    /// What it may use by itself.
    pub(crate) fn now(&self) -> Arc<Granted> {
        self.now.load_full()
    }

    /// From now on it may use this. Whoever asks afterwards is told so; what
    /// waits is woken up to ask.
    pub(crate) fn set(&self, grants: Grants) {
        self.now.store(Arc::new(grants.into()));
        self.notify();
    }

    /// Wakes what waits in [`Self::changed`].
    pub(crate) fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Ends when what may be used can have changed since this was called.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
