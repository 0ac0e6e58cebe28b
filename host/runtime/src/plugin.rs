//! A loaded generation of a component: what is called, drained and dropped.
//!
//! Owns the instances and the admission of one generation. **Invariant:** a
//! call that was admitted ends with exactly one result, whatever happens to
//! the plugin meanwhile.

mod blocking;
mod drive;
mod entry;
mod handover;
mod idle;
mod instances;
pub(crate) mod lifecycle;
mod observed;
mod running;
mod serve;
mod stats;
mod typed;
mod wait;
mod web;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use odeon_authority::{GrantSet, NamePattern, Principal};
use odeon_protocol::{Fault, FunctionType, Generation, ValueLimits};

pub use self::entry::{Attempt, Entered, NotEntered, Place};
pub use self::handover::{HandoverError, Snapshot};
use self::idle::Idle;
pub use self::lifecycle::LifecycleError;
pub use self::stats::PluginStats;
pub use self::typed::TypedMethod;
pub use self::web::WebHandler;
use crate::control::{Interrupt, Reason};
use crate::describe::Description;
use crate::engine::fair_share;
use crate::gate::Gate;
use crate::instance::Template;
use crate::interfaces::filesystem;
use crate::lines::LineTable;
use crate::link::{Flavour, uses_filesystem_0_3};
use crate::links::Links;
use crate::logs::LogGate;
use crate::native::{Native, Sealed};
use crate::observe::Observer;
use crate::runtime::{Inner, LoadError, Runtime};
use crate::state::Budget;
use crate::unit::{Counters, InstanceModel, PluginSpec, Unit};
use crate::warrant::{Grants, Warrant};

/// What a plugin is made from.
pub(crate) struct Source {
    /// When its native code was at hand.
    pub(crate) compiled: Instant,
    pub(crate) description: Arc<Description>,
    pub(crate) lines: LineTable,
    pub(crate) flavour: Flavour,
    pub(crate) from_cache: bool,
    /// The imports that other plugins serve.
    pub(crate) links: Links,
}

/// A loaded generation. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) runtime: Arc<Inner>,
    pub(crate) unit: Arc<Unit>,
    pub(crate) source: Source,
    /// One per shard, made when a call first comes to it, the first at once; one
    /// that cannot be made is not tried again. The last is for when the plugin is
    /// observed.
    templates: Vec<OnceLock<Option<Template>>>,
    /// Its native code for the shards that have not made theirs, where that takes
    /// no memory of its own.
    native: Option<Sealed>,
    methods: Vec<Method>,
    pub(crate) gate: Arc<Gate>,
    idle: Idle,
    budget: Budget,
    message: usize,
    /// For calls of other plugins, and exports that go by way of decoded values.
    values: ValueLimits,
    /// Whether a result of the export with this number can be nested deeper
    /// than the plugin's values may be; empty when none can.
    deep: Vec<bool>,
}

/// The number of a method of one plugin generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MethodId(usize);

impl MethodId {
    /// The method of this number among a component's exports.
    pub(crate) fn of(number: usize) -> Self {
        MethodId(number)
    }

    /// That number.
    pub(crate) fn number(self) -> usize {
        self.0
    }
}

/// An exported function that can be called.
#[derive(Clone, Debug)]
pub struct Method {
    /// Its number.
    pub id: MethodId,
    /// The interface it belongs to; none for a function of the world itself.
    pub interface: Option<Arc<str>>,
    /// Its name.
    pub function: Arc<str>,
    /// Its type.
    pub ty: Arc<FunctionType>,
}

/// What a call gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The result in the wire form; empty when the method has none.
    pub bytes: Vec<u8>,
    /// The number under which the generation serves that gave it.
    pub generation: Generation,
}

impl Plugin {
    pub(crate) fn new(
        runtime: &Runtime,
        spec: PluginSpec,
        source: Source,
        native: Native,
    ) -> Result<Self, LoadError> {
        let inner = runtime.inner.clone();
        let first = inner
            .shards
            .first()
            .ok_or_else(|| LoadError::Engine("the runtime has no workers".into()))?;
        lifecycle::check_hooks(&source.description.exports).map_err(LoadError::Lifecycle)?;
        let template = inner.template(first, |engine| native.component(engine), &source, &spec)?;
        let methods = source
            .description
            .exports
            .iter()
            .enumerate()
            .filter(|(_, export)| !export.is_hook())
            .map(|(number, export)| Method {
                id: MethodId(number),
                interface: export.interface.clone(),
                function: export.function.clone(),
                ty: Arc::new(export.ty.clone()),
            })
            .collect();
        let limits = &spec.limits;
        let at_once = usize::try_from(limits.calls_in_flight).unwrap_or(usize::MAX);
        // One plugin does not take more than half of what a worker can hold.
        let share = fair_share(source.description.class, inner.pool(), &source.description.needs);
        let at_once = at_once.min(share);
        let at_once = match spec.instances {
            InstanceModel::Fresh => at_once,
            InstanceModel::Resident { workers } => workers.clamp(1, at_once.max(1)),
        };
        let gate = Arc::new(Gate::new(
            at_once,
            usize::try_from(limits.queue).unwrap_or(usize::MAX),
        ));
        inner.ticker.watch(&gate);
        let budget = Budget::call(limits);
        let message = usize::try_from(limits.message.bytes()).unwrap_or(usize::MAX);
        let values = ValueLimits {
            max_bytes: message,
            max_depth: usize::try_from(limits.value_depth).unwrap_or(usize::MAX),
            max_nodes: (message / 4).max(1),
            ..ValueLimits::default()
        };
        let deep = deep_results(&source.description, values.max_depth);
        let ticker = inner.ticker.clone();
        let log_gate = LogGate::new(limits.log_rate.bytes(), ticker.now_ms());
        let grants = Grants {
            set: spec.grants.clone(),
            env: spec.env.clone(),
            ..Grants::default()
        };
        let unit = Arc::new(Unit {
            number: AtomicU64::new(spec.generation.0),
            itself: Arc::from([Principal::Plugin(spec.name.clone())]),
            spec,
            warrant: Warrant::new(grants),
            ticker,
            interrupt: Interrupt::new(),
            counters: Counters::default(),
            log_gate,
            network: inner.network.clone(),
            preopens: filesystem::Preopens::default(),
            filesystem_0_3: uses_filesystem_0_3(&source.description),
            inherits_secret: AtomicBool::new(false),
            observer: Observer::default(),
        });
        filesystem::warn(&unit);
        let mut templates: Vec<_> = (0..=inner.shards.len()).map(|_| OnceLock::new()).collect();
        if let Some(first) = templates.first_mut() {
            *first = OnceLock::from(Some(template));
        }
        let idle = Idle::default();
        unit.spec.totals.join(&unit, &gate);
        let shared = Shared {
            runtime: inner,
            unit,
            source,
            templates,
            native: native.kept(),
            methods,
            gate,
            idle,
            budget,
            message,
            values,
            deep,
        };
        Ok(Plugin {
            shared: Arc::new(shared),
        })
    }

    /// What was decided about it.
    pub fn spec(&self) -> &PluginSpec {
        &self.shared.unit.spec
    }

    /// The number under which it serves.
    pub fn generation(&self) -> Generation {
        self.shared.unit.generation()
    }

    /// What it is.
    pub fn description(&self) -> &Description {
        &self.shared.source.description
    }

    /// The lines of its source, as far as they are known.
    pub fn lines(&self) -> &LineTable {
        &self.shared.source.lines
    }

    /// What it may use now, by itself.
    pub fn granted(&self) -> GrantSet {
        self.shared.unit.warrant.now().set().clone()
    }

    /// The plugins for which it may use all of that.
    pub fn acts_for(&self) -> Vec<NamePattern> {
        self.shared.unit.warrant.now().acts_for.clone()
    }

    /// From now on it may use this and nothing else: whatever an instance of it
    /// uses after this has returned is measured by it, also what was opened
    /// before. Connections whose rule is gone are shut down when they are used
    /// next.
    pub fn regrant(&self, grants: Grants) {
        self.shared.unit.warrant.set(grants);
        filesystem::close_what_is_gone(&self.shared.unit);
    }

    /// Whether its native code came from the cache.
    pub fn from_cache(&self) -> bool {
        self.shared.source.from_cache
    }

    /// When its native code was at hand: what came after it was linking, and its
    /// own `load`.
    pub fn compiled_at(&self) -> Instant {
        self.shared.source.compiled
    }

    /// The functions that can be called.
    pub fn methods(&self) -> &[Method] {
        &self.shared.methods
    }

    /// How large and deep the arguments of a call may be.
    pub(crate) fn value_limits(&self) -> &ValueLimits {
        &self.shared.values
    }

    /// Counts the limit by which a call was refused before it came here.
    #[cold]
    pub fn refused(&self, fault: &Fault) {
        self.shared.count_limit(fault);
    }

    /// What it is doing.
    pub fn stats(&self) -> PluginStats {
        self.shared.unit.stats(&self.shared.gate)
    }

    /// Has callers wait, until [`Plugin::open`]: it will serve when the
    /// generation before it takes no more calls.
    pub fn hold(&self) {
        self.shared.gate.hold();
    }

    /// Serves, those first who waited. Also again, after [`Plugin::retire`].
    pub fn open(&self) {
        self.shared.gate.open();
    }

    /// Takes no calls from now on: whoever comes, or waits, is told to go on to
    /// the generation that serves in its place. Those that run go on.
    pub fn retire(&self) {
        self.shared.gate.retire();
    }

    /// Has callers wait, in the place of a generation that serves now, until
    /// [`Plugin::open`]: what was retired comes back, under this number.
    pub fn revive(&self, number: Generation) {
        self.shared.unit.number.store(number.0, Ordering::Relaxed);
        self.shared.unit.interrupt.lower();
        self.shared.gate.revive();
    }

    /// Waits until no call runs. Cancellation safe. To be used when it takes no
    /// calls any more.
    pub async fn drained(&self) {
        self.shared.gate.drained().await;
    }

    /// Takes no calls from now on and waits until those that run have ended.
    /// Cancellation safe; the plugin stays closed.
    pub async fn drain(&self) {
        self.shared.gate.close();
        self.drained().await;
    }

    /// Takes no calls from now on and ends those that run, for this reason.
    /// Their callers get their fault within a few milliseconds.
    pub fn interrupt(&self, reason: Reason) {
        self.shared.gate.close();
        self.shared.unit.interrupt.raise(reason);
    }
}

/// Here, because every call holds what is dropped: its counts are the last.
impl Drop for Shared {
    fn drop(&mut self) {
        self.unit.spec.totals.leave(&self.unit);
    }
}

/// Of each export, whether its result can be nested deeper than that.
fn deep_results(description: &Description, most: usize) -> Vec<bool> {
    let exports = description.exports.iter();
    let results = exports.map(|export| export.ty.result.as_ref());
    let deep: Vec<bool> = results.map(|ty| ty.is_some_and(|ty| ty.depth() > most)).collect();
    if deep.contains(&true) { deep } else { Vec::new() }
}
