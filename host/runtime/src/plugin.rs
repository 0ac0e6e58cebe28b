//! A loaded generation of a component: what is called, drained and dropped.
//!
//! Owns the instances and the admission of one generation. **Invariant:** a
//! call that was admitted ends with exactly one result, whatever happens to
//! the plugin meanwhile.

mod drive;
mod idle;
pub(crate) mod lifecycle;
mod running;
mod typed;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault, FunctionType, ValueLimits, wire};

use self::idle::Idle;
pub use self::lifecycle::LifecycleError;
pub use self::typed::TypedMethod;
use crate::codec::BadValue;
use crate::compile::Native;
use crate::control::{CallContext, Interrupt, Reason};
use crate::describe::Description;
use crate::engine::fair_share;
use crate::gate::{Gate, Pass, Refusal};
use crate::instance::{Instance, NotMade, Template};
use crate::interfaces::filesystem;
use crate::link::{Flavour, uses_filesystem_0_3};
use crate::logs::LogGate;
use crate::meter::{Meter, Refused};
use crate::runtime::{Inner, LoadError, Runtime};
use crate::shard::here;
use crate::state::Budget;
use crate::stop::{explain, is_out_of_room};
use crate::unit::{Counters, InstanceModel, PluginSpec, Unit};

/// The optional export that runs before and after service.
pub(crate) const LIFECYCLE: &str = "odeon:plugin/lifecycle@0.1.0";

/// What a plugin is made from.
pub(crate) struct Source {
    pub(crate) native: Arc<Native>,
    pub(crate) description: Arc<Description>,
    pub(crate) flavour: Flavour,
    pub(crate) from_cache: bool,
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
    /// One per shard, made when a call first comes to it; the first at once.
    templates: Vec<OnceLock<Template>>,
    methods: Vec<Method>,
    pub(crate) gate: Arc<Gate>,
    idle: Idle,
    budget: Budget,
    message: usize,
    /// For exports that go by way of decoded values.
    values: ValueLimits,
    /// Whether a result of the export with this number can be nested deeper
    /// than the plugin's values may be; empty when none can.
    deep: Vec<bool>,
}

/// The number of a method of one plugin generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MethodId(usize);

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
}

/// What a plugin is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginStats {
    /// Calls that ended, with a result or not.
    pub calls: u64,
    /// Those that ended with a fault.
    pub faults: u64,
    /// Uses that no grant covered.
    pub denials: u64,
    /// Lines of its log that were dropped since the last that was passed on.
    pub lines_dropped: u64,
    /// Instances that exist.
    pub instances: usize,
    /// Calls that run.
    pub in_flight: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Bytes of linear memory of its instances.
    pub memory: u64,
    /// How often each limit said no, by its name in a descriptor.
    pub limits_hit: BTreeMap<&'static str, u64>,
}

impl Plugin {
    pub(crate) fn new(runtime: &Runtime, spec: PluginSpec, source: Source) -> Result<Self, LoadError> {
        let inner = runtime.inner.clone();
        let first = inner
            .shards
            .first()
            .ok_or_else(|| LoadError::Engine("the runtime has no workers".into()))?;
        lifecycle::check_hooks(&source.description.exports).map_err(LoadError::Lifecycle)?;
        let template = inner.template(first, &source)?;
        let methods = source
            .description
            .exports
            .iter()
            .enumerate()
            .filter(|(_, export)| export.interface.as_deref() != Some(LIFECYCLE))
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
        let unit = Arc::new(Unit {
            spec,
            ticker,
            interrupt: Interrupt::new(),
            counters: Counters::default(),
            log_gate,
            network: inner.network.clone(),
            preopens: filesystem::Preopens::default(),
            filesystem_0_3: uses_filesystem_0_3(&source.description),
        });
        filesystem::warn(&unit);
        let templates: Vec<OnceLock<Template>> = inner.shards.iter().map(|_| OnceLock::new()).collect();
        if let Some(slot) = templates.first() {
            slot.get_or_init(|| template);
        }
        let idle = Idle::default();
        let shared = Shared {
            runtime: inner,
            unit,
            source,
            templates,
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

    /// What it is.
    pub fn description(&self) -> &Description {
        &self.shared.source.description
    }

    /// Whether its native code came from the cache.
    pub fn from_cache(&self) -> bool {
        self.shared.source.from_cache
    }

    /// The functions that can be called.
    pub fn methods(&self) -> &[Method] {
        &self.shared.methods
    }

    /// Counts the limit by which a call was refused before it came here.
    #[cold]
    pub fn refused(&self, fault: &Fault) {
        self.shared.count_limit(fault);
    }

    /// What it is doing.
    pub fn stats(&self) -> PluginStats {
        let shared = &*self.shared;
        let counters = &shared.unit.counters;
        PluginStats {
            calls: shared.gate.left(),
            faults: counters.faults.load(Ordering::Relaxed),
            denials: counters.denials.load(Ordering::Relaxed),
            lines_dropped: shared.unit.log_gate.dropped(),
            instances: counters.instances.load(Ordering::Relaxed),
            in_flight: shared.gate.in_flight(),
            waiting: shared.gate.waiting(),
            memory: counters.memory.load(Ordering::Relaxed),
            limits_hit: counters.limits_hit(),
        }
    }

    /// Takes no calls from now on and waits until those that run have ended.
    /// Cancellation safe; the plugin stays closed.
    pub async fn drain(&self) {
        self.shared.gate.close();
        self.shared.gate.drained().await;
    }

    /// Takes no calls from now on and ends those that run, for this reason.
    /// Their callers get their fault within a few milliseconds.
    pub fn interrupt(&self, reason: Reason) {
        self.shared.gate.close();
        self.shared.unit.interrupt.raise(reason);
    }

    /// Calls a method on this thread, with arguments in the wire form that were
    /// checked against the method's type.
    ///
    /// The caller waits while the guest computes, and, for a resident plugin
    /// that is busy, until it is free. Must not be called from an asynchronous
    /// task when the plugin's imports can wait; use [`Plugin::call`] there.
    ///
    /// # Errors
    ///
    /// The fault that ended the call, or kept it from starting.
    pub fn call_blocking(&self, method: MethodId, args: &[u8], context: CallContext) -> Result<Reply, Fault> {
        let shared = &*self.shared;
        if shared.source.flavour != Flavour::Direct {
            if tokio::runtime::Handle::try_current().is_ok() {
                return Err(Fault::new(
                    Code::Internal,
                    "call_blocking was used inside an asynchronous task for a plugin that can wait; use call",
                ));
            }
            let background = shared.runtime.background().map_err(no_threads)?;
            return background.block_on(self.call(method, args.to_vec(), context));
        }
        let pass = match shared.gate.try_enter() {
            Some(pass) => pass,
            None => shared.admit_here(&context)?,
        };
        if let Some(late) = drive::late(Instant::now(), &context) {
            return Err(late.fault(Duration::from_millis(shared.budget.wall_ms)));
        }
        if let Some(started) = &context.started {
            started()?;
        }
        shared.call_here(method, args, Some(Box::new(context)), pass)
    }

    /// The same as [`Plugin::call_blocking`] for the embedding program itself:
    /// nobody else is named as the caller, and only the plugin's own deadline
    /// holds. The fastest way to call by encoded bytes.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::call_blocking`].
    #[inline]
    pub fn call_direct(&self, method: MethodId, args: &[u8]) -> Result<Reply, Fault> {
        let shared = &*self.shared;
        if shared.source.flavour == Flavour::Direct
            && let Some(pass) = shared.gate.try_enter()
        {
            return shared.call_here(method, args, None, pass);
        }
        self.call_blocking(method, args, CallContext::default())
    }
}

/// Of each export, whether its result can be nested deeper than that.
fn deep_results(description: &Description, most: usize) -> Vec<bool> {
    let exports = description.exports.iter();
    let results = exports.map(|export| export.ty.result.as_ref());
    let deep: Vec<bool> = results.map(|ty| ty.is_some_and(|ty| ty.depth() > most)).collect();
    if deep.contains(&true) { deep } else { Vec::new() }
}

mod wait {
    //! Waiting for a future on a thread that runs no tasks.

    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::{self, Thread};
    use std::time::Instant;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// The future's output, unless `until` comes first.
    pub(super) fn block_on<F: Future>(future: F, until: Option<Instant>) -> Option<F::Output> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(output) => return Some(output),
                Poll::Pending => match until {
                    None => thread::park(),
                    Some(until) => match until.checked_duration_since(Instant::now()) {
                        Some(left) if !left.is_zero() => thread::park_timeout(left),
                        _ => return None,
                    },
                },
            }
        }
    }
}

fn no_threads(error: std::io::Error) -> Fault {
    Fault::new(Code::Internal, format!("the host cannot start threads: {error}"))
}

impl Shared {
    /// Waits for admission on this thread, for no longer than the caller does
    /// and the call may take.
    #[cold]
    fn admit_here(&self, context: &CallContext) -> Result<Pass<'_>, Fault> {
        let wall = Duration::from_millis(self.budget.wall_ms);
        let (until, end) = drive::patience(wall, context);
        wait::block_on(self.admit(context), until).unwrap_or_else(|| Err(end.fault(wall)))
    }

    /// Waits for admission, for no longer than the caller does.
    async fn admit(&self, context: &CallContext) -> Result<Pass<'_>, Fault> {
        let refusal = tokio::select! {
            biased;
            entered = self.gate.enter() => match entered {
                Ok(pass) => return Ok(pass),
                Err(refusal) => refusal,
            },
            reason = context.interrupt.raised() => {
                return Err(crate::stop::Stop::Interrupted(reason).fault(&self.unit.spec.limits));
            }
        };
        Err(self.refuse(refusal))
    }

    fn refuse(&self, refusal: Refusal) -> Fault {
        let spec = &self.unit.spec;
        match refusal {
            Refusal::Full => {
                self.unit.counters.hit("queue");
                Fault::new(
                    Code::Overloaded,
                    format!(
                        "{} has {} calls running and {} waiting, which is all it takes; try again later, or raise \
                     limits.calls-in-flight or limits.queue",
                        spec.name,
                        self.gate.in_flight(),
                        self.gate.waiting()
                    ),
                )
            }
            Refusal::Closed => Fault::new(
                Code::Draining,
                format!("{} is being unloaded and takes no calls", spec.name),
            ),
        }
    }

    /// The template of this shard, or of the first if this one has none and
    /// cannot make it.
    fn template(&self, shard: usize) -> Option<(usize, &Template)> {
        let slot = self.templates.get(shard)?;
        if let Some(template) = slot.get() {
            return Some((shard, template));
        }
        let made = self
            .runtime
            .shards
            .get(shard)
            .and_then(|s| self.runtime.template(s, &self.source).ok());
        match made {
            Some(template) => Some((shard, slot.get_or_init(|| template))),
            None => Some((0, self.templates.first()?.get()?)),
        }
    }

    fn here(&self) -> Result<(usize, &Template), Fault> {
        let shard = here(self.templates.len());
        self.template(shard)
            .ok_or_else(|| Fault::new(Code::Internal, "the plugin has no code for this worker"))
    }

    /// A call on this thread, from admission to result.
    #[inline]
    fn call_here(
        &self,
        method: MethodId,
        args: &[u8],
        context: Option<Box<CallContext>>,
        pass: Pass<'_>,
    ) -> Result<Reply, Fault> {
        let (mut instance, template) = self.instance_here(context)?;
        let Some(index) = template.methods.get(method.0) else {
            return Err(Fault::new(
                Code::MethodNotFound,
                "the plugin has no method of this number",
            ));
        };
        let called = catch_unwind(AssertUnwindSafe(|| instance.call(index, args)));
        let reply = match called {
            Ok(called) => self.settle(instance, self.within_depth(method, called)),
            Err(_) => Err(self.broke_off(instance)),
        };
        drop(pass);
        reply
    }

    /// The host's own code panicked: the instance is not used again.
    #[cold]
    fn broke_off(&self, instance: Box<Instance>) -> Fault {
        drop(instance);
        let fault = running::broke_off();
        self.count_fault(&fault);
        fault
    }

    /// An instance that has begun a call: a kept one, or a new one of this
    /// thread's shard. For calls that have passed the gate.
    #[inline]
    fn instance_here(&self, context: Option<Box<CallContext>>) -> Result<(Box<Instance>, &Template), Fault> {
        self.unit.ticker.awake();
        let Some(mut instance) = self.take_idle() else {
            return self.make_here(context);
        };
        instance.store.data_mut().begin(context, self.budget, false);
        match self.template(instance.shard) {
            Some((_, template)) => Ok((instance, template)),
            None => Err(Fault::new(
                Code::Internal,
                "the plugin has no code for this worker",
            )),
        }
    }

    fn make_here(&self, context: Option<Box<CallContext>>) -> Result<(Box<Instance>, &Template), Fault> {
        let (shard, template) = self.here()?;
        let begin = |state: &mut crate::state::HostState| state.begin(context, self.budget, false);
        match Instance::make(template, &self.unit, shard, begin) {
            Ok(instance) => Ok((Box::new(instance), template)),
            Err(not_made) => Err(self.not_made(&not_made)),
        }
    }

    fn not_made(&self, not_made: &NotMade) -> Fault {
        if is_out_of_room(&not_made.error) {
            let fault = Fault::new(
                Code::Overloaded,
                "no memory slot is free for another instance on this worker; try again later",
            );
            self.count_fault(&fault);
            return fault;
        }
        self.explained(&not_made.error, &not_made.state.data().meter)
    }

    fn method_type(&self, method: MethodId) -> Option<&FunctionType> {
        let export = self.source.description.exports.get(method.0)?;
        Some(&export.ty)
    }

    /// The type of a function of the lifecycle, if it is exported.
    fn hook_type(&self, function: &str) -> Option<&FunctionType> {
        let exports = self.source.description.exports.iter();
        let mut hooks = exports.filter(|export| export.interface.as_deref() == Some(LIFECYCLE));
        hooks
            .find(|export| &*export.function == function)
            .map(|export| &export.ty)
    }

    /// A kept instance that is free. A fresh one is never kept.
    #[inline]
    fn take_idle(&self) -> Option<Box<Instance>> {
        match self.unit.spec.instances {
            InstanceModel::Resident { workers } => self.idle.take(workers),
            InstanceModel::Fresh => None,
        }
    }

    /// Keeps the instance if it is a resident one; else drops it.
    #[inline]
    fn keep(&self, instance: Box<Instance>) {
        if matches!(self.unit.spec.instances, InstanceModel::Resident { .. }) {
            self.idle.put(instance);
        }
    }

    /// A result that is nested no deeper than values may be. Most types are
    /// not that deep, so that nothing has to be looked at.
    #[inline]
    fn within_depth(&self, method: MethodId, called: wasmtime::Result<Vec<u8>>) -> wasmtime::Result<Vec<u8>> {
        match self.deep.get(method.0) {
            Some(true) => called.and_then(|bytes| self.look_into(method, bytes)),
            _ => called,
        }
    }

    #[cold]
    fn look_into(&self, method: MethodId, bytes: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let Some(ty) = self.method_type(method) else {
            return Ok(bytes);
        };
        // All else was checked when it was taken from the guest.
        let limits = ValueLimits {
            max_bytes: usize::MAX,
            max_nodes: usize::MAX,
            ..self.values
        };
        match wire::validate_result(ty, &bytes, &limits) {
            Ok(()) => Ok(bytes),
            Err(_) => Err(BadValue::TooDeep.into()),
        }
    }

    /// Turns what the instance gave into what the caller gets. The instance is
    /// kept only if it is resident and nothing went wrong.
    #[inline]
    fn settle(&self, mut instance: Box<Instance>, called: wasmtime::Result<Vec<u8>>) -> Result<Reply, Fault> {
        let called = match called {
            Ok(bytes) if bytes.len() > self.message => Err(BadValue::TooLarge.into()),
            other => other,
        };
        let state = instance.store.data_mut();
        state.end();
        match called {
            Ok(bytes) => {
                self.keep(instance);
                Ok(Reply { bytes })
            }
            Err(error) => Err(self.explained(&error, &state.meter)),
        }
    }

    /// Counts a call that ended with this fault, and the limit that ended it.
    /// The gate counts all calls.
    #[cold]
    fn count_fault(&self, fault: &Fault) {
        self.unit.counters.faults.fetch_add(1, Ordering::Relaxed);
        self.count_limit(fault);
    }

    /// Counts the limit that made this fault, if one did.
    #[cold]
    fn count_limit(&self, fault: &Fault) {
        if let Some(limit) = limit_of(fault) {
            self.unit.counters.hit(limit);
        }
    }

    /// Says why a call ended with this error, and counts it.
    #[cold]
    fn explained(&self, error: &wasmtime::Error, meter: &Meter) -> Fault {
        let fault = explain(error, meter, &self.unit.spec.limits);
        let counted = meter.refused().map(Refused::limit);
        match limit_of(&fault) {
            // Growth was counted when it was refused: the guest may go on.
            limit if limit.is_some() && limit == counted => {
                self.unit.counters.faults.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.count_fault(&fault),
        }
        fault
    }
}

/// The limit that made this fault, by its name in a descriptor, if one did.
fn limit_of(fault: &Fault) -> Option<&str> {
    fault.details.as_ref()?.get("limit")?.as_str()
}
