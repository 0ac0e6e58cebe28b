//! What a plugin is doing, in numbers.
//!
//! Owns which of them are counts, that add up over generations and plugins and
//! only rise, and which say how something is now.

use std::collections::BTreeMap;

use crate::latency::Latencies;

/// What a plugin is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginStats {
    /// Calls that ended, with a result or not.
    pub calls: u64,
    /// How long they took, from admission to end.
    pub latencies: Latencies,
    /// Those that ended with a fault.
    pub faults: u64,
    /// How often each code ended one.
    pub faults_by_code: BTreeMap<&'static str, u64>,
    /// Those of them that the guest itself is to blame for: it trapped, or a
    /// limit stopped it.
    pub traps: u64,
    /// Those of them that took more memory than their instance may have, which was
    /// lost with it.
    pub out_of_memory: u64,
    /// Uses that no grant covered.
    pub denials: u64,
    /// Lines of its log that were dropped since the last that was passed on.
    pub lines_dropped: u64,
    /// Lines of its log that were ever dropped.
    pub lines_dropped_ever: u64,
    /// How often each limit said no, by its name in a descriptor.
    pub limits_hit: BTreeMap<&'static str, u64>,
    /// Instances that exist.
    pub instances: usize,
    /// Calls that run.
    pub in_flight: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Bytes of linear memory of its instances.
    pub memory: u64,
}

impl PluginStats {
    /// Adds those of another generation, or of another plugin.
    pub fn add(&mut self, other: &Self) {
        let counts = [
            (&mut self.calls, other.calls),
            (&mut self.faults, other.faults),
            (&mut self.traps, other.traps),
            (&mut self.out_of_memory, other.out_of_memory),
            (&mut self.denials, other.denials),
            (&mut self.lines_dropped, other.lines_dropped),
            (&mut self.lines_dropped_ever, other.lines_dropped_ever),
            (&mut self.memory, other.memory),
        ];
        for (count, more) in counts {
            *count = count.saturating_add(more);
        }
        let now = [
            (&mut self.instances, other.instances),
            (&mut self.in_flight, other.in_flight),
            (&mut self.waiting, other.waiting),
        ];
        for (count, more) in now {
            *count = count.saturating_add(more);
        }
        let named = [
            (&mut self.faults_by_code, &other.faults_by_code),
            (&mut self.limits_hit, &other.limits_hit),
        ];
        for (counts, more) in named {
            for (name, more) in more {
                let count = counts.entry(name).or_default();
                *count = count.saturating_add(*more);
            }
        }
        self.latencies.add(&other.latencies);
    }

    /// What stays when it is gone: the counts alone.
    pub fn counts(self) -> Self {
        PluginStats {
            lines_dropped: 0,
            instances: 0,
            in_flight: 0,
            waiting: 0,
            memory: 0,
            ..self
        }
    }
}
