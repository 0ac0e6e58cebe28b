//! What a guest can make happen again and again costs a bounded number of lines.
//!
//! Owns the counting: the first of a kind is written at once, the rest are
//! counted and written once per interval. Per plugin only so many different
//! targets, and so many different failures to load, are told apart; the others
//! share one line. Neither takes the other's room. Secrets that were shown are
//! always told apart.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use odeon_protocol::{Code, PluginName};

use super::{Event, FailedLoad, Text};

/// Something that a plugin can make happen at will.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Repeated {
    /// It used what it has no grant for.
    Denial {
        /// What kind of grant was missing.
        grant: Text,
        /// What it tried to reach.
        target: Text,
        /// Why it was refused.
        reason: Text,
        /// Whose word that is.
        rule: Option<Text>,
        /// For whom it worked, and itself.
        chain: Vec<Text>,
    },
    /// A limit stopped it.
    LimitStop {
        /// The fault's stable code.
        code: Code,
        /// The method that ran.
        method: Text,
    },
    /// It was shown a secret.
    SecretReveal {
        /// The secret's name.
        secret: Text,
    },
    /// It was let in and did not get into service.
    LoadFailed(Box<FailedLoad>),
}

/// What shares one bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    /// What its code does.
    Deeds,
    /// What becomes of its loads.
    Loads,
    /// Secrets: as many as were granted. No number of other things may hide
    /// that one was shown.
    Secrets,
}

/// Counts what repeats. Time is the caller's, so that it can be tested.
#[derive(Debug)]
pub struct Coalescer {
    interval: Duration,
    plugins: HashMap<PluginName, Counts>,
}

/// What one plugin did.
#[derive(Debug)]
struct Counts {
    counts: HashMap<Repeated, Count>,
    /// When room was last looked for.
    swept: Instant,
}

#[derive(Debug)]
struct Count {
    written: Instant,
    pending: u64,
}

impl Coalescer {
    /// How many different things of one plugin are told apart at a time.
    pub const MAX_DISTINCT: usize = 64;

    /// Counts, and writes each repeated thing at most once per interval.
    pub fn new(interval: Duration) -> Self {
        Coalescer {
            interval,
            plugins: HashMap::new(),
        }
    }

    /// Notes that it happened. An event is to be appended at once.
    pub fn note(&mut self, plugin: &PluginName, what: Repeated, now: Instant) -> Option<Event> {
        let of_plugin = self.plugins.entry(plugin.clone()).or_insert_with(|| Counts {
            counts: HashMap::new(),
            swept: now,
        });
        let what = match of_plugin.has_room_for(&what, now, self.interval) {
            true => what,
            false => what.lumped(),
        };
        let counts = &mut of_plugin.counts;
        match counts.get_mut(&what) {
            None => {
                counts.insert(
                    what.clone(),
                    Count {
                        written: now,
                        pending: 0,
                    },
                );
                Some(what.event(plugin, 1))
            }
            Some(count) => {
                count.pending = count.pending.saturating_add(1);
                count
                    .due(now, self.interval)
                    .map(|number| what.event(plugin, number))
            }
        }
    }

    /// What is to be appended by now. Call it once per interval.
    pub fn flush(&mut self, now: Instant) -> Vec<Event> {
        let interval = self.interval;
        let mut events = Vec::new();
        for (plugin, Counts { counts, .. }) in &mut self.plugins {
            for (what, count) in counts.iter_mut().filter(|(_, count)| count.pending > 0) {
                events.extend(count.due(now, interval).map(|number| what.event(plugin, number)));
            }
            counts.retain(|_, count| !count.is_idle(now, interval));
        }
        self.plugins.retain(|_, of_plugin| !of_plugin.counts.is_empty());
        events
    }

    /// Everything that was counted and not written yet: for the end of the host.
    pub fn finish(&mut self) -> Vec<Event> {
        let plugins = std::mem::take(&mut self.plugins);
        let pending = plugins.into_iter().flat_map(|(plugin, Counts { counts, .. })| {
            let pending = counts.into_iter().filter(|(_, count)| count.pending > 0);
            pending
                .map(move |(what, count)| what.event(&plugin, count.pending))
                .collect::<Vec<_>>()
        });
        pending.collect()
    }
}

impl Counts {
    /// Looking for room costs as much as there is; a flood makes it be looked for
    /// this many times per interval and no more.
    const SWEEPS: u32 = 16;

    /// Whether this is told apart from others. Forgets what is over where that
    /// makes room.
    fn has_room_for(&mut self, what: &Repeated, now: Instant, interval: Duration) -> bool {
        let kin = what.kin();
        if what.is_told_apart()
            || self.counts.contains_key(what)
            || self.told_apart(kin) < Coalescer::MAX_DISTINCT
        {
            return true;
        }
        if now.saturating_duration_since(self.swept) < interval / Self::SWEEPS {
            return false;
        }
        self.swept = now;
        self.counts.retain(|_, count| !count.is_idle(now, interval));
        self.told_apart(kin) < Coalescer::MAX_DISTINCT
    }

    /// How many things share the bound.
    fn told_apart(&self, kin: Kin) -> usize {
        self.counts.keys().filter(|what| what.kin() == kin).count()
    }
}

impl Count {
    fn is_idle(&self, now: Instant, interval: Duration) -> bool {
        self.pending == 0 && now.saturating_duration_since(self.written) >= interval
    }

    fn due(&mut self, now: Instant, interval: Duration) -> Option<u64> {
        if now.saturating_duration_since(self.written) < interval {
            return None;
        }
        self.written = now;
        Some(std::mem::take(&mut self.pending))
    }
}

impl Repeated {
    fn kin(&self) -> Kin {
        match self {
            Repeated::Denial { .. } | Repeated::LimitStop { .. } => Kin::Deeds,
            Repeated::LoadFailed(_) => Kin::Loads,
            Repeated::SecretReveal { .. } => Kin::Secrets,
        }
    }

    /// Whether it is never lumped.
    fn is_told_apart(&self) -> bool {
        matches!(self, Repeated::SecretReveal { .. })
    }

    /// The one thing that stands for all that are not told apart any more.
    #[must_use]
    pub fn lumped(&self) -> Repeated {
        let others = || Text::from("(others)");
        match self {
            Repeated::Denial { .. } => Repeated::Denial {
                grant: others(),
                target: others(),
                reason: others(),
                rule: None,
                chain: Vec::new(),
            },
            Repeated::LimitStop { code, .. } => Repeated::LimitStop {
                code: *code,
                method: others(),
            },
            Repeated::LoadFailed(failed) => Repeated::LoadFailed(Box::new(FailedLoad {
                digest: None,
                reason: others(),
                mismatches: Vec::new(),
                principal: others(),
                ..(**failed).clone()
            })),
            Repeated::SecretReveal { .. } => self.clone(),
        }
    }

    /// The line about so many of it.
    pub fn event(&self, plugin: &PluginName, count: u64) -> Event {
        let plugin = plugin.clone();
        match self.clone() {
            Repeated::Denial {
                grant,
                target,
                reason,
                rule,
                chain,
            } => Event::Denial {
                plugin,
                grant,
                target,
                reason,
                rule,
                chain,
                count,
            },
            Repeated::LimitStop { code, method } => Event::LimitStop {
                plugin,
                code,
                method,
                count,
            },
            Repeated::SecretReveal { secret } => Event::SecretReveal {
                plugin,
                secret,
                count,
            },
            Repeated::LoadFailed(failed) => Event::LoadFailed {
                name: plugin,
                failed: *failed,
                count,
            },
        }
    }
}
