//! One generation of a plugin, as every instance of it sees it.
//!
//! Owns what was decided about the plugin (name, limits, grants, configuration)
//! and what all its calls share: the interrupt that ends them and the counters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use odeon_authority::{GrantSet, Limits, Principal};
use odeon_protocol::{Code, Fault, Generation, Kind, PluginName};
use parking_lot::Mutex;

use crate::control::Interrupt;
use crate::gate::Gate;
use crate::interfaces::egress::Network;
use crate::interfaces::filesystem::Preopens;
use crate::links::{LinkSpec, Neighbours};
use crate::observe::Observer;
use crate::plugin::PluginStats;
use crate::sinks::{AuditSink, LogSink, SecretSource};
use crate::ticker::Ticker;
use crate::totals::Totals;
use crate::warrant::Warrant;

/// How instances are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceModel {
    /// Every call gets an instance of its own, which is dropped afterwards.
    Fresh,
    /// Instances are kept and serve one call after another. State stays, until
    /// a trap or a stop makes a new instance.
    Resident {
        /// How many there are at most. With more than one, state is split.
        workers: usize,
    },
}

/// Everything that was decided about a plugin before it is compiled.
#[derive(Clone)]
pub struct PluginSpec {
    /// The name it is loaded under.
    pub name: PluginName,
    /// Its generation under that name.
    pub generation: Generation,
    /// What it may cost.
    pub limits: Limits,
    /// What it may touch when it is loaded; [`crate::Plugin::granted`] is what it
    /// may now.
    pub grants: GrantSet,
    /// What it reads through `wasi:config`.
    pub config: BTreeMap<String, String>,
    /// Its environment variables when it is loaded, resolved from the grants.
    pub env: BTreeMap<String, String>,
    /// How instances are used.
    pub instances: InstanceModel,
    /// The engine class that was asked for, if any.
    pub class: Option<crate::EngineClass>,
    /// Where its words go.
    pub logs: Arc<dyn LogSink>,
    /// Where its denials go.
    pub audit: Arc<dyn AuditSink>,
    /// Where its secrets come from.
    pub secrets: Arc<dyn SecretSource>,
    /// What it does is counted here too, with all generations of its name.
    pub totals: Arc<Totals>,
    /// The imports that other plugins serve.
    pub links: Vec<LinkSpec>,
    /// The plugins that it may be linked to.
    pub neighbours: Arc<dyn Neighbours>,
}

/// A loaded generation.
pub(crate) struct Unit {
    pub(crate) spec: PluginSpec,
    /// It alone, as a chain of callers.
    pub(crate) itself: Arc<[Principal]>,
    /// What it may use now.
    pub(crate) warrant: Warrant,
    /// The number under which it serves: a generation that comes back gets
    /// another one.
    pub(crate) number: AtomicU64,
    pub(crate) ticker: Ticker,
    /// Ends every call of this generation.
    pub(crate) interrupt: Interrupt,
    pub(crate) counters: Counters,
    pub(crate) log_gate: crate::logs::LogGate,
    pub(crate) network: Arc<Network>,
    /// The granted directories, open for all instances.
    pub(crate) preopens: Preopens,
    /// Whether it reaches files through `wasi:filesystem` 0.3.
    pub(crate) filesystem_0_3: bool,
    /// Whether there may be a secret in the state that it took over.
    pub(crate) inherits_secret: AtomicBool,
    /// Whether its calls are looked at more closely now.
    pub(crate) observer: Observer,
}

/// What happened in this generation so far.
#[derive(Default)]
pub(crate) struct Counters {
    faults: AtomicU64,
    /// Those of them that are the guest's own doing.
    traps: AtomicU64,
    /// Those of them that found the instance without memory.
    out_of_memory: AtomicU64,
    /// How often each code ended a call. Only ever touched when one does.
    by_code: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) denials: AtomicU64,
    pub(crate) instances: AtomicUsize,
    /// Bytes of linear memory of all instances.
    pub(crate) memory: AtomicU64,
    /// Connections that are open or being opened.
    pub(crate) connections: AtomicUsize,
    /// Files and directories that are open, the granted ones included.
    pub(crate) open_files: Arc<AtomicUsize>,
    /// How often each limit said no. Only ever touched when one does.
    limits_hit: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    /// A call ended with this fault.
    pub(crate) fn fault(&self, fault: &Fault) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        // What another plugin did is not the guest's own doing.
        if fault.kind() == Kind::Trapped && !fault.is_passed_on() {
            self.traps.fetch_add(1, Ordering::Relaxed);
        }
        if fault.code == Code::MemoryLimit && !fault.is_passed_on() {
            self.out_of_memory.fetch_add(1, Ordering::Relaxed);
        }
        let mut by_code = self.by_code.lock();
        let count = by_code.entry(fault.code.as_str()).or_default();
        *count = count.saturating_add(1);
    }

    /// A limit, by its name in a descriptor, said no.
    pub(crate) fn hit(&self, limit: &str) {
        self.hit_times(limit, 1);
    }

    /// A limit said no so often.
    pub(crate) fn hit_times(&self, limit: &str, times: u64) {
        let known = Limits::FIELDS.iter().find(|field| field.name == limit);
        if let Some(field) = known.filter(|_| times > 0) {
            let mut hit = self.limits_hit.lock();
            let count = hit.entry(field.name).or_default();
            *count = count.saturating_add(times);
        }
    }
}

impl Unit {
    /// The number under which it serves.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.number.load(Ordering::Relaxed))
    }

    /// What this generation is doing, whose gate this is.
    pub(crate) fn stats(&self, gate: &Gate) -> PluginStats {
        let counters = &self.counters;
        PluginStats {
            calls: gate.left(),
            latencies: gate.latencies(),
            faults: counters.faults.load(Ordering::Relaxed),
            faults_by_code: counters.by_code.lock().clone(),
            traps: counters.traps.load(Ordering::Relaxed),
            out_of_memory: counters.out_of_memory.load(Ordering::Relaxed),
            denials: counters.denials.load(Ordering::Relaxed),
            lines_dropped: self.log_gate.dropped(),
            lines_dropped_ever: self.log_gate.dropped_ever(),
            limits_hit: counters.limits_hit.lock().clone(),
            instances: counters.instances.load(Ordering::Relaxed),
            in_flight: gate.in_flight(),
            waiting: gate.waiting(),
            memory: counters.memory.load(Ordering::Relaxed),
        }
    }

    /// Writes down what a limit, or the form of a use, denied.
    pub(crate) fn deny(&self, kind: &'static str, target: &str, reason: &str) {
        self.deny_by(kind, target, reason, None, &[]);
    }

    /// Writes a denial down, with whose word it is and for whom the plugin
    /// worked.
    pub(crate) fn deny_by(
        &self,
        kind: &'static str,
        target: &str,
        reason: &str,
        rule: Option<&str>,
        chain: &[&str],
    ) {
        self.counters.denials.fetch_add(1, Ordering::Relaxed);
        self.spec.audit.denied(crate::sinks::Denial {
            plugin: &self.spec.name,
            generation: self.generation(),
            kind,
            target,
            reason,
            rule,
            chain,
        });
    }
}
