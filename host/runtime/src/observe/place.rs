//! A place among those who are observed.
//!
//! Owns what lies between the leave to observe a plugin and the beginning of it:
//! whoever has to write down what is about to begin has its place by then, so that
//! it does begin, and nothing has before.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use odeon_protocol::PluginName;

use super::{DumpOrder, GuestProfile, MAX_OBSERVED, ObserveError};
use crate::unit::Unit;

/// What a plugin is observed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedFor {
    /// Calls that trap leave core dumps.
    pub dumps: bool,
    /// A profile of it is being made.
    pub profile: bool,
}

impl ObservedFor {
    pub(super) const DUMPS: ObservedFor = ObservedFor {
        dumps: true,
        profile: false,
    };
    pub(super) const PROFILE: ObservedFor = ObservedFor {
        dumps: false,
        profile: true,
    };
}

/// That all places are taken, by whom, and how each of them is given back.
pub(super) fn taken(by: &[(PluginName, ObservedFor)]) -> String {
    let mut text = format!("expected at most {MAX_OBSERVED} plugins that are observed at a time, found ");
    for (number, (name, what)) in by.iter().enumerate() {
        let name = name.as_str();
        text.push_str(if number == 0 { "" } else { " and " });
        let of = match (what.dumps, what.profile) {
            (true, true) => {
                format!(
                    "core dumps and a profile (odeon dump {name} --off and odeon profile {name} --off end that)"
                )
            }
            (true, false) => format!("core dumps (odeon dump {name} --off ends that)"),
            (false, true) => format!("a profile (odeon profile {name} --off ends that)"),
            (false, false) => "the last time just now".to_owned(),
        };
        // Writing to a string does not fail.
        write!(text, "{name} for {of}").ok();
    }
    text.push_str("; end one of them, or wait until it has ended");
    text
}

/// A place that is kept for one purpose. Dropping it gives it back.
pub(super) struct Held {
    unit: Arc<Unit>,
    what: ObservedFor,
}

impl Held {
    pub(super) fn new(unit: &Arc<Unit>, what: ObservedFor) -> Result<Self, ObserveError> {
        unit.observer.hold(what)?;
        Ok(Held {
            unit: unit.clone(),
            what,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.unit.observer.let_go(self.what);
    }
}

/// Leave to have calls of a plugin that trap leave core dumps; none does yet.
/// Dropping it gives it back.
pub struct DumpPlace(pub(super) Held);

impl DumpPlace {
    /// From now on they do, in the place of what was ordered before.
    pub fn arm(self, order: DumpOrder) {
        self.0.unit.observer.arm(order);
    }
}

/// Leave to make a profile of a plugin; no sample is taken yet. Dropping it gives
/// it back.
pub struct ProfilePlace {
    pub(super) held: Held,
    pub(super) profile: GuestProfile,
}

impl ProfilePlace {
    /// From now on samples are taken, for so long.
    pub fn begin(self, time: Duration) {
        self.held.unit.observer.begin_profile(self.profile, time);
    }
}
