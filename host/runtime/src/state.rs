//! What the host keeps for one instance.
//!
//! Owns the store's data: who the instance is, what it has used, and the
//! running call. What WASI needs is made on first use, so that an instance
//! that touches none of it costs nothing for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use odeon_protocol::{Code, Serial};
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};

use crate::call_clock::CallClock;
use crate::control::{CANCEL_GRACE, CallContext, Reason};
use crate::engine::{Capture, HEAVY_MEMORIES, HEAVY_TABLES};
use crate::interfaces::egress::Egress;
use crate::interfaces::http::Http;
use crate::interfaces::wasi::Wasi;
use crate::links::Hop;
use crate::logs::During;
use crate::meter::{Allowances, Growth, Meter, Refused};
use crate::observe::Confidence;
use crate::stop::Stop;
use crate::trace::Trace;
use crate::unit::Unit;
use crate::warrant::Present;

/// The data of one store.
pub(crate) struct HostState {
    pub(crate) unit: Arc<Unit>,
    pub(crate) meter: Meter,
    pub(crate) call: Call,
    pub(crate) table: ResourceTable,
    pub(crate) wasi: Option<Box<Wasi>>,
    pub(crate) http: Option<Box<Http>>,
    egress: Option<Arc<Egress>>,
    present: Option<Arc<Present>>,
    capture: Capture,
    /// What is known of secrets in the guest's memory.
    confidence: Confidence,
}

/// The call that runs now.
pub(crate) struct Call {
    context: Option<Box<CallContext>>,
    pub(crate) allowances: Allowances,
    /// On the tick clock; whose deadline it is.
    deadline_ms: u64,
    deadline: Stop,
    /// Made at the first tick of a call that nobody else watches.
    clock: Option<Arc<CallClock>>,
    cpu_micros: u64,
    on_fiber: bool,
    after_service: bool,
    /// Where the call stands in a chain of plugins; for those that can call
    /// others.
    pub(crate) hop: Option<Arc<Hop>>,
    /// Where the last call stood, if it was the first in its chain and so keeps
    /// nobody else.
    pub(crate) before: Option<Arc<Hop>>,
}

impl HostState {
    pub(crate) fn new(unit: Arc<Unit>, capture: Capture) -> Self {
        let limits = &unit.spec.limits;
        let mut table = ResourceTable::new();
        // Some handles take two entries (a timer and what polls it). The exact
        // count is the engine's, of handles the guest itself holds.
        table.set_max_capacity(usize::try_from(limits.handles.saturating_mul(2)).unwrap_or(usize::MAX));
        unit.counters.instances.fetch_add(1, Ordering::Relaxed);
        HostState {
            meter: Meter::new(limits),
            call: Call {
                context: None,
                allowances: Allowances::new(limits),
                deadline_ms: 0,
                deadline: Stop::Deadline,
                clock: None,
                cpu_micros: 0,
                on_fiber: false,
                after_service: false,
                hop: None,
                before: None,
            },
            table,
            wasi: None,
            http: None,
            egress: None,
            present: None,
            capture,
            confidence: Confidence::of(unit.inherits_secret.load(Ordering::Acquire)),
            unit,
        }
    }

    /// Begins a call: everything "per call" starts anew.
    #[inline]
    pub(crate) fn begin(&mut self, context: Option<Box<CallContext>>, budget: Budget, on_fiber: bool) {
        let limits = &self.unit.spec.limits;
        let now = self.unit.ticker.now_ms();
        self.meter.start();
        self.call.allowances = Allowances::new(limits);
        if let Some(egress) = &self.egress {
            egress.begin();
        }
        self.call.clock = None;
        self.call.cpu_micros = budget.cpu_micros;
        self.call.deadline_ms = now.saturating_add(budget.wall_ms);
        self.call.deadline = budget.at_deadline;
        self.call.on_fiber = on_fiber;
        self.call.after_service = budget.after_service;
        self.call.hop = None;
        if let Some(wait_until) = context.as_ref().and_then(|context| context.wait_until) {
            let until = self.unit.ticker.ms_at(wait_until);
            // Where both are the same, it is the caller's.
            if until <= self.call.deadline_ms {
                self.call.deadline_ms = until;
                self.call.deadline = Stop::WaitEnded;
            }
        }
        self.confidence
            .enter(context.as_ref().and_then(|context| context.via.as_deref()));
        self.call.context = context;
        if let Some(present) = &self.present {
            present.begin(self.call.context.as_deref());
        }
        if let Some(wasi) = &self.wasi {
            wasi.begin(self.call.during());
        }
    }

    /// Has this clock count the call that was begun: the call runs in turns,
    /// and only whoever gives them knows when they begin and end.
    pub(crate) fn counted_by(&mut self, clock: Arc<CallClock>) {
        self.call.clock = Some(clock);
    }

    /// The guest is shown a secret.
    pub(crate) fn confide(&mut self) {
        self.confidence.confide(self.call.chain());
    }

    /// Another plugin is about to be called, in this chain.
    pub(crate) fn share(&self, chain: &Hop) {
        self.confidence.share(chain);
    }

    /// Another plugin was called, and has answered.
    pub(crate) fn learn(&mut self) {
        if let Some(chain) = self.call.chain() {
            self.confidence.learn(chain);
        }
    }

    /// Whether a secret may be in the guest's memory.
    pub(crate) fn knows_secret(&self) -> bool {
        self.confidence.knows_secret(self.call.chain())
    }

    /// Ends a call: an unfinished line of output is passed on.
    #[inline]
    pub(crate) fn end(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.finish_lines(&self.unit);
        }
        // Whoever called may be unloaded while this instance waits for its next
        // call, and is then kept by nobody.
        self.learn();
        self.call.context = None;
        self.call.before = self.call.hop.take().filter(|hop| hop.depth() == 1);
        if let Some(present) = &self.present {
            present.end();
        }
    }

    /// Whether a core dump of it can be made if it is stopped.
    pub(crate) fn is_observed(&self) -> bool {
        self.capture == Capture::CoreDump
    }

    /// What the guest may use, made on first use.
    pub(crate) fn present(&mut self) -> &Arc<Present> {
        let context = self.call.context.as_deref();
        self.present
            .get_or_insert_with(|| Present::new(self.unit.clone(), context))
    }

    /// What the guest may send to the network, made on first use.
    pub(crate) fn egress(&mut self) -> &Arc<Egress> {
        let (unit, context) = (&self.unit, self.call.context.as_deref());
        let present = &mut self.present;
        self.egress.get_or_insert_with(|| {
            let present = present.get_or_insert_with(|| Present::new(unit.clone(), context));
            Egress::new(present.clone())
        })
    }

    /// The same, if the guest has used the network.
    pub(crate) fn known_egress(&self) -> Option<&Arc<Egress>> {
        self.egress.as_ref()
    }

    /// What has ended this call, if a call that it made ended with this code for
    /// the same reason: both have one deadline, one cancellation and one end of
    /// service.
    pub(crate) fn over_by(&self, code: Code) -> Option<Stop> {
        let call = &self.call;
        let of_all = self.unit.interrupt.reason().filter(|_| !call.after_service);
        let own = || call.context.as_ref()?.interrupt.reason();
        if let Some(reason) = of_all.or_else(own) {
            return Some(Stop::Interrupted(reason));
        }
        (code == Code::WaitEnded).then_some(call.deadline)
    }

    /// Whether the call must stop now. Looked at once per tick.
    fn must_stop(&mut self) -> Option<Stop> {
        let call = &mut self.call;
        let of_caller = call.ends_caller();
        let clock = call.clock.get_or_insert_default();
        let spent = clock.tick();
        let now = self.unit.ticker.now_ms();
        if let Some(reason) = self.unit.interrupt.reason().filter(|_| !call.after_service) {
            return Some(Stop::Interrupted(reason));
        }
        // On the stack of the plugin that called, nobody else sees what ends that
        // one.
        if of_caller {
            return Some(Stop::Interrupted(Reason::CallerGone));
        }
        if let Some(reason) = call
            .context
            .as_ref()
            .and_then(|context| context.interrupt.reason())
        {
            let over = |since: Instant| since.elapsed() >= CANCEL_GRACE;
            let since = || call.context.as_ref()?.interrupt.since();
            if reason != Reason::Cancelled || since().is_none_or(over) {
                return Some(Stop::Interrupted(reason));
            }
        }
        if now >= call.deadline_ms || clock.is_over() {
            return Some(call.deadline);
        }
        if self.egress.as_ref().is_some_and(|egress| egress.has_lost_one()) {
            return Some(Stop::ConnectionDenied);
        }
        (spent > call.cpu_micros).then_some(Stop::Cpu)
    }
}

/// What the engine asks before an instance grows.
impl ResourceLimiter for HostState {
    fn instances(&self) -> usize {
        self.meter.instance_limit()
    }

    /// What can be added up before is refused at load; this holds for all of
    /// them. Pooled classes have room for fewer, which their pools see to.
    fn memories(&self) -> usize {
        HEAVY_MEMORIES as usize
    }

    fn tables(&self) -> usize {
        HEAVY_TABLES as usize
    }

    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = self.meter.grow_memory(current, desired, maximum);
        match growth {
            Growth::Granted => {
                let more = desired.saturating_sub(current) as u64;
                self.unit.counters.memory.fetch_add(more, Ordering::Relaxed);
            }
            Growth::Refused => self.unit.counters.hit(Refused::Memory.limit()),
            Growth::Undeclared => {}
        }
        Ok(growth == Growth::Granted)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        let less = self.meter.memory_did_not_grow();
        self.unit.counters.memory.fetch_sub(less, Ordering::Relaxed);
        self.unit.counters.hit(Refused::Memory.limit());
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = self.meter.grow_table(current, desired, maximum);
        if growth == Growth::Refused {
            self.unit.counters.hit(Refused::Table.limit());
        }
        Ok(growth == Growth::Granted)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.meter.table_did_not_grow();
        self.unit.counters.hit(Refused::Table.limit());
        Ok(())
    }
}

impl Drop for HostState {
    fn drop(&mut self) {
        let counters = &self.unit.counters;
        counters.instances.fetch_sub(1, Ordering::Relaxed);
        counters.memory.fetch_sub(self.meter.memory(), Ordering::Relaxed);
    }
}

/// What the ticker does to a running guest: once per tick it is either ended,
/// made to yield its thread, or left alone.
pub(crate) fn on_tick(mut store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    if store.data().is_observed() && store.data().unit.observer.is_sampling() {
        let unit = store.data().unit.clone();
        unit.observer.sample(&store);
    }
    let state = store.data_mut();
    match state.must_stop() {
        Some(stop) => Err(stop.into()),
        None if state.call.on_fiber => {
            if let Some(clock) = &state.call.clock {
                clock.yields();
            }
            Ok(UpdateDeadline::Yield(1))
        }
        None => Ok(UpdateDeadline::Continue(1)),
    }
}

impl Call {
    /// The context, made when a guest asks for it and the caller gave none.
    pub(crate) fn context(&mut self) -> &mut CallContext {
        self.context.get_or_insert_default()
    }

    /// The same, if there is one.
    pub(crate) fn known_context(&self) -> Option<&CallContext> {
        self.context.as_deref()
    }

    /// Whether somebody takes its span.
    pub(crate) fn is_traced(&self) -> bool {
        self.known_context()
            .is_some_and(|context| context.trace.is_some())
    }

    /// The chain of plugins that it stands in, if it is in one.
    fn chain(&self) -> Option<&Hop> {
        let via = || self.context.as_ref()?.via.as_deref();
        self.hop.as_deref().or_else(via)
    }

    /// The serial, made when a guest asks for it and the caller gave none. All
    /// calls of a chain have one.
    pub(crate) fn serial(&mut self) -> Serial {
        let given = self.context.as_ref().and_then(|context| context.serial);
        match (given, self.chain()) {
            (Some(serial), _) => serial,
            (None, Some(chain)) => chain.serial(),
            (None, None) => *self.context().serial.get_or_insert_default(),
        }
    }

    /// What is known of the call that a guest's words are written in: the serial
    /// if it is part of a request or the guest asked, and the span if it has one.
    pub(crate) fn during(&self) -> During {
        let context = self.context.as_deref();
        let given = context.and_then(|context| context.serial);
        let of_caller = || Some(context?.via.as_ref()?.serial());
        let asked_for = || self.hop.as_ref()?.known_serial();
        During {
            serial: given.or_else(of_caller).or_else(asked_for),
            span: context.and_then(|context| context.trace.as_ref()).map(Trace::at),
        }
    }

    /// What counts the call's processor time, if anybody does.
    pub(crate) fn clock(&self) -> Option<Arc<CallClock>> {
        self.clock.clone()
    }

    /// Whether it gives its thread away at ticks; else it keeps it to its end.
    pub(crate) fn on_fiber(&self) -> bool {
        self.on_fiber
    }

    /// Whether the plugin is ended that this one runs on the stack of.
    fn ends_caller(&self) -> bool {
        let context = self.context.as_ref().filter(|_| !self.on_fiber);
        let caller = context.and_then(|context| context.via.as_ref());
        caller.is_some_and(|caller| caller.is_interrupted())
    }

    /// How many milliseconds the call has left.
    pub(crate) fn left_ms(&self, now_ms: u64) -> u64 {
        self.deadline_ms.saturating_sub(now_ms)
    }

    /// When it is over, on the tick clock.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }
}

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) wall_ms: u64,
    pub(crate) cpu_micros: u64,
    /// What ends it when that is over.
    pub(crate) at_deadline: Stop,
    /// Runs after the calls of the plugin were ended, and is not ended by that.
    pub(crate) after_service: bool,
}

impl Budget {
    /// What a method may take.
    pub(crate) fn call(limits: &odeon_authority::Limits) -> Self {
        Budget::within(limits.deadline.duration(), limits.cpu.duration())
    }

    /// What `load`, `save` and `restore` may take.
    pub(crate) fn lifecycle(limits: &odeon_authority::Limits) -> Self {
        let deadline = limits.load_deadline.duration();
        Budget {
            at_deadline: Stop::LoadDeadline,
            ..Budget::within(deadline, deadline.min(limits.cpu.duration()))
        }
    }

    /// What `unload` may take, which runs when everything else was ended.
    pub(crate) fn after_service(limits: &odeon_authority::Limits) -> Self {
        Budget {
            after_service: true,
            ..Budget::lifecycle(limits)
        }
    }

    fn within(wall: std::time::Duration, cpu: std::time::Duration) -> Self {
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        let cpu_micros = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        Budget {
            wall_ms,
            cpu_micros,
            at_deadline: Stop::Deadline,
            after_service: false,
        }
    }
}
