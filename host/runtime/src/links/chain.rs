//! Who calls whom: the chain of plugins that one request has come through.
//!
//! Owns its length and its text, and what all calls in it have in common: the
//! serial of the request, and whether one of them has seen a secret. It is made
//! by the host as a call goes from one store to the next; a guest can neither see
//! nor lengthen it but by calling.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use odeon_protocol::{PluginName, Serial};

use crate::plugin::MethodId;
use crate::unit::Unit;

/// One plugin in the chain, and the method of it that runs.
pub struct Hop {
    unit: Arc<Unit>,
    interface: Option<Arc<str>>,
    function: Arc<str>,
    parent: Option<Arc<Hop>>,
    depth: u64,
    method: MethodId,
    /// Of the whole chain; only that of the first in it is used.
    common: Common,
}

#[derive(Default)]
struct Common {
    /// Made when somebody asks for it.
    serial: OnceLock<Serial>,
    secret: AtomicBool,
}

impl Hop {
    /// The next in the chain.
    pub(crate) fn new(
        unit: Arc<Unit>,
        interface: Option<Arc<str>>,
        function: Arc<str>,
        method: MethodId,
        parent: Option<Arc<Hop>>,
    ) -> Self {
        let depth = parent.as_ref().map_or(0, |parent| parent.depth).saturating_add(1);
        Hop {
            unit,
            interface,
            function,
            parent,
            depth,
            method,
            common: Common::default(),
        }
    }

    /// The same as the first of another chain, if it is of this method and nobody
    /// stands behind it.
    pub(crate) fn again(mut first: Arc<Hop>, method: MethodId) -> Option<Arc<Hop>> {
        let hop = Arc::get_mut(&mut first)?;
        if hop.parent.is_some() || hop.method != method {
            return None;
        }
        hop.common = Common::default();
        Some(first)
    }

    /// The plugin.
    pub(crate) fn unit(&self) -> &Arc<Unit> {
        &self.unit
    }

    /// What all in the chain have in common.
    fn common(&self) -> &Common {
        let mut first = self;
        while let Some(parent) = &first.parent {
            first = parent;
        }
        &first.common
    }

    /// The serial of the request, if nobody outside has given one.
    pub(crate) fn serial(&self) -> Serial {
        *self.common().serial.get_or_init(Serial::new)
    }

    /// The same, if anybody has asked for it.
    pub(crate) fn known_serial(&self) -> Option<Serial> {
        self.common().serial.get().copied()
    }

    /// Whether one in the chain has seen a secret.
    pub(crate) fn has_secret(&self) -> bool {
        self.common().secret.load(Ordering::Acquire)
    }

    /// One in the chain has seen a secret.
    pub(crate) fn confide(&self) {
        self.common().secret.store(true, Ordering::Release);
    }

    /// How many plugins are in the chain, this one included.
    pub(crate) fn depth(&self) -> u64 {
        self.depth
    }

    /// Whether a generation of this plugin is one of them.
    pub(crate) fn has_come_through(&self, plugin: &PluginName) -> bool {
        self.upwards().any(|hop| hop.unit.spec.name == *plugin)
    }

    /// How many of them are this generation.
    pub(crate) fn times(&self, unit: &Arc<Unit>) -> usize {
        self.upwards().filter(|hop| Arc::ptr_eq(&hop.unit, unit)).count()
    }

    /// Whether the service of the last one ends.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.unit.interrupt.reason().is_some()
    }

    /// Every method in the chain, outermost first.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.upwards().map(Hop::text).collect();
        texts.reverse();
        texts
    }

    /// The method as a caller would name it.
    pub(crate) fn text(&self) -> String {
        let name = self.unit.spec.name.as_str();
        text(name, self.interface.as_deref(), &self.function)
    }

    fn upwards(&self) -> impl Iterator<Item = &Hop> {
        std::iter::successors(Some(self), |hop| hop.parent.as_deref())
    }
}

/// A method as a caller would name it: the interface without its version.
pub(crate) fn text(plugin: &str, interface: Option<&str>, function: &str) -> String {
    match interface {
        Some(interface) => {
            let name = interface.split('@').next().unwrap_or_default();
            format!("{plugin}/{name}.{function}")
        }
        None => format!("{plugin}/{function}"),
    }
}
