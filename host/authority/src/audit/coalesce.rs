//! What a guest can make happen again and again costs a bounded number of lines.
//!
//! Owns the counting: the first of a kind is written at once, the rest are
//! counted and written once per interval; what a plugin's code does for longer
//! than that is written ever more seldom, down to once an hour. Per plugin only
//! so many different targets, and so many different failures to load, are told
//! apart; the others share one line. Neither takes the other's room. Secrets that
//! were shown are always told apart.
//!
//! **Invariant:** after [`Coalescer::unwritten`], whatever that line was about
//! stays counted and is [`Noted::NotOnRecord`], until a line about it is due
//! again and gets written.

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
    /// When a line was last to be written.
    tried: Instant,
    /// How long after it the next one may be.
    pause: Duration,
    /// Whether it was.
    on_record: bool,
    pending: u64,
}

/// What became of something that was noted.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    /// This line is to be written now.
    Due(Due),
    /// It was counted beside a line that is on record.
    Counted,
    /// It was counted, but no line about it could be written lately.
    NotOnRecord,
}

/// A line that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    plugin: PluginName,
    what: Repeated,
    count: u64,
}

impl Due {
    /// The line.
    pub fn event(&self) -> Event {
        self.what.event(&self.plugin, self.count)
    }
}

impl Coalescer {
    /// How many different things of one plugin are told apart at a time.
    pub const MAX_DISTINCT: usize = 64;

    /// How often a line about something that goes on and on is written in the
    /// end, and how long it takes until it is new again.
    pub const SELDOM: Duration = Duration::from_secs(3600);

    /// Of so many plugins it is remembered that long; of more, for the interval.
    const MANY: usize = 1024;

    /// Counts, and writes each repeated thing at most once per interval.
    pub fn new(interval: Duration) -> Self {
        Coalescer {
            interval,
            plugins: HashMap::new(),
        }
    }

    /// Notes that it happened.
    pub fn note(&mut self, plugin: &PluginName, what: Repeated, now: Instant) -> Noted {
        let of_plugin = self.plugins.entry(plugin.clone()).or_insert_with(|| Counts {
            counts: HashMap::new(),
            swept: now,
        });
        let what = match of_plugin.has_room_for(&what, now, self.interval) {
            true => what,
            false => what.lumped(),
        };
        let due = |count| {
            let (plugin, what) = (plugin.clone(), what.clone());
            Noted::Due(Due { plugin, what, count })
        };
        match of_plugin.counts.get_mut(&what) {
            None => {
                let first = Count {
                    tried: now,
                    pause: self.interval,
                    on_record: true,
                    pending: 0,
                };
                let noted = due(1);
                of_plugin.counts.insert(what, first);
                noted
            }
            Some(count) => {
                count.pending = count.pending.saturating_add(1);
                match count.due(now, what.most(self.interval)) {
                    Some(number) => due(number),
                    None if count.on_record => Noted::Counted,
                    None => Noted::NotOnRecord,
                }
            }
        }
    }

    /// Says that a line could not be written: what it counts is counted on, and
    /// due again soon.
    pub fn unwritten(&mut self, due: Due, now: Instant) {
        let Due { plugin, what, count } = due;
        let of_plugin = self.plugins.entry(plugin).or_insert_with(|| Counts {
            counts: HashMap::new(),
            swept: now,
        });
        let kept = of_plugin.counts.entry(what).or_insert(Count {
            tried: now,
            pause: self.interval,
            on_record: false,
            pending: 0,
        });
        kept.on_record = false;
        kept.pending = kept.pending.saturating_add(count);
    }

    /// What is to be written by now. Call it once per interval.
    pub fn flush(&mut self, now: Instant) -> Vec<Due> {
        let interval = self.interval;
        let many = self.plugins.len() > Self::MANY;
        let mut lines = Vec::new();
        for (plugin, Counts { counts, .. }) in &mut self.plugins {
            for (what, count) in counts.iter_mut().filter(|(_, count)| count.pending > 0) {
                lines.extend(count.due(now, what.most(interval)).map(|number| Due {
                    plugin: plugin.clone(),
                    what: what.clone(),
                    count: number,
                }));
            }
            counts.retain(|what, count| {
                let most = what.most(interval);
                !count.is_idle(now, if many { interval } else { most })
            });
        }
        self.plugins.retain(|_, of_plugin| !of_plugin.counts.is_empty());
        lines
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
        if self.counts.contains_key(what) || self.told_apart(kin) < Coalescer::MAX_DISTINCT {
            return true;
        }
        if now.saturating_duration_since(self.swept) < interval / Self::SWEEPS {
            return false;
        }
        self.swept = now;
        self.counts
            .retain(|what, count| !count.is_idle(now, what.most(interval)));
        self.told_apart(kin) < Coalescer::MAX_DISTINCT
    }

    /// How many things share the bound.
    fn told_apart(&self, kin: Kin) -> usize {
        self.counts.keys().filter(|what| what.kin() == kin).count()
    }
}

impl Count {
    /// The pause before a line that could not be written is tried again.
    const RETRY: Duration = Duration::from_secs(1);

    /// Whether it is as if it had never been, as nothing came for this long.
    fn is_idle(&self, now: Instant, silence: Duration) -> bool {
        self.pending == 0 && now.saturating_duration_since(self.tried) >= silence
    }

    /// How many a line is due about, if one is. The next one is due twice as long
    /// after it, but at `most` so long.
    fn due(&mut self, now: Instant, most: Duration) -> Option<u64> {
        let pause = match self.on_record {
            true => self.pause,
            false => self.pause.min(Self::RETRY),
        };
        if now.saturating_duration_since(self.tried) < pause {
            return None;
        }
        if self.on_record {
            self.pause = self.pause.saturating_mul(2).min(most);
        }
        self.tried = now;
        self.on_record = true;
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

    /// The longest that a line about it is put off, and how long it is
    /// remembered. Whoever was shown a secret is on record within the interval.
    fn most(&self, interval: Duration) -> Duration {
        match self.kin() {
            Kin::Deeds => interval.max(Coalescer::SELDOM),
            Kin::Loads | Kin::Secrets => interval,
        }
    }

    /// The one thing that stands for all that are not told apart any more. Uses of
    /// secrets always are.
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
