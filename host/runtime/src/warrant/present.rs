//! What the guest of one store may use in the call that runs.
//!
//! Owns for whom that call is, and saying whose word it is that something may
//! not be used. What was opened in an earlier call asks here too: it is the
//! present call that counts.

use std::sync::Arc;

use arc_swap::ArcSwap;
use odeon_authority::{Principal, Wanted};

use super::{Behalf, Granted};
use crate::control::CallContext;
use crate::unit::Unit;

/// What one store may use now.
pub(crate) struct Present {
    unit: Arc<Unit>,
    behalf: ArcSwap<Behalf>,
}

impl Present {
    pub(crate) fn new(unit: Arc<Unit>, context: Option<&CallContext>) -> Arc<Self> {
        Arc::new(Present {
            unit,
            behalf: ArcSwap::from_pointee(behalf_of(context)),
        })
    }

    /// Another call begins.
    pub(crate) fn begin(&self, context: Option<&CallContext>) {
        let behalf = behalf_of(context);
        if !(behalf.is_nobody() && self.behalf.load().is_nobody()) {
            self.behalf.store(Arc::new(behalf));
            // What waits asks again, for whom this call is.
            self.unit.warrant.notify();
        }
    }

    /// The call is over. What it has left open is used as by it, as long as those
    /// are loaded for whom it was.
    pub(crate) fn end(&self) {
        let behalf = self.behalf.load();
        if !behalf.is_nobody() {
            self.behalf.store(Arc::new(behalf.ended()));
        }
    }

    /// For whom it works now.
    fn behalf(&self) -> Behalf {
        self.behalf.load().known()
    }

    pub(crate) fn unit(&self) -> &Arc<Unit> {
        &self.unit
    }

    /// What may be used now.
    pub(crate) fn now(&self) -> Arc<Granted> {
        self.unit.warrant.on_behalf(&self.behalf())
    }

    /// Whether the plugin itself may use this, whoever it works for now.
    pub(crate) fn by_itself(&self, wanted: &Wanted<'_>) -> bool {
        self.unit.warrant.now().may.allows(wanted)
    }

    /// Whether this may be used now.
    pub(crate) fn allows(&self, wanted: &Wanted<'_>) -> bool {
        self.now().may.allows(wanted)
    }

    /// Whether a secret that all of the chain have by this name is the same one
    /// for all of them.
    pub(crate) fn shares_secret(&self, name: &str) -> bool {
        let behalf = self.behalf();
        if behalf.is_nobody() {
            return true;
        }
        let own = self.unit.warrant.now();
        let place = self.unit.spec.secrets.place(name);
        let mut others = behalf
            .units()
            .iter()
            .filter(|other| !own.acts_for(&other.spec.name));
        others.all(|other| other.spec.secrets.place(name) == place)
    }

    /// Writes down that this was denied.
    pub(crate) fn deny(&self, kind: &'static str, target: &str, reason: &str, wanted: &Wanted<'_>) {
        let behalf = self.behalf();
        let own = self.unit.warrant.now();
        let rule = match !behalf.is_nobody() && own.may.allows(wanted) {
            true => Some(narrowed_by(&self.unit, &own, &behalf, wanted)),
            false => own
                .sides
                .as_ref()
                .and_then(|sides| sides.says_no(wanted))
                .map(str::to_owned),
        };
        let chain: Vec<&str> = match behalf.is_nobody() {
            true => Vec::new(),
            false => behalf
                .names()
                .chain([&self.unit.spec.name])
                .map(|name| name.as_str())
                .collect(),
        };
        self.unit.deny_by(kind, target, reason, rule.as_deref(), &chain);
    }
}

/// Who of the chain has not what the plugin itself has.
fn narrowed_by(unit: &Unit, own: &Granted, behalf: &Behalf, wanted: &Wanted<'_>) -> String {
    let name = &unit.spec.name;
    if behalf.is_unknown() {
        return format!("deputy: it is not known for whom {name} works here");
    }
    let lacks = behalf
        .units()
        .iter()
        .find(|other| !own.acts_for(&other.spec.name) && !other.warrant.now().may.allows_elsewhere(wanted));
    match lacks.map(|other| &other.spec.name) {
        Some(other) => format!(
            "deputy: {name} works for {other} here, which may not use it, and no [[deputy]] row of the trust policy \
             lets {name} act for {other}"
        ),
        None => format!(
            "deputy: {name} works for others here, and no rule of its own and theirs together allows it"
        ),
    }
}

/// For whom a call is. Where the caller says that there are plugins in the
/// chain and not which generations they are, nobody knows what they may use.
fn behalf_of(context: Option<&CallContext>) -> Behalf {
    let Some(context) = context else {
        return Behalf::nobody();
    };
    let callers = context.callers.iter();
    let plugins = callers.filter(|caller| matches!(caller, Principal::Plugin(_)));
    match plugins.count() > context.behalf.units().len() {
        true => Behalf::unknown(),
        false => context.behalf.clone(),
    }
}
