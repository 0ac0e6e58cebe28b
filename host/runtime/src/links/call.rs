//! A call from one plugin's store into another plugin.
//!
//! Owns what goes along with it (the chain, what is left of the deadline, the
//! cancellation, the request's serial) and what comes back: a value, or the
//! fault that ends the caller's call too.
//!
//! **Invariant:** nobody waits for a place that he, or who called him, keeps
//! taken.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use odeon_protocol::{Code, Fault, PluginName, Problem, ValueError};

use super::LinkedFunction;
use super::chain::{Hop, text};
use crate::call_clock::CallClock;
use crate::control::{CallContext, Interrupt};
use crate::plugin::{Attempt, Entered, MethodId, NotEntered, Plugin, Reply};
use crate::state::HostState;
use crate::unit::Unit;
use crate::warrant::Behalf;

/// The fault of a plugin that another one called, as the error that ends the
/// caller's call.
#[derive(Debug, thiserror::Error)]
#[error("a plugin that this one called ended with {0}")]
pub(crate) struct PassedOn(pub(crate) Fault);

/// What a call of another plugin takes along from the store that it leaves.
pub(crate) struct Outgoing {
    way: Way,
    context: Box<CallContext>,
}

/// Where it comes from.
struct Way {
    hop: Arc<Hop>,
    clock: Option<Arc<CallClock>>,
    /// The caller runs on a thread that nobody else waits for.
    may_hold_thread: bool,
}

/// What is called.
#[derive(Clone, Copy)]
pub(crate) struct Target<'t> {
    pub(crate) plugin: &'t PluginName,
    pub(crate) interface: Option<&'t str>,
    pub(crate) function: &'t str,
}

impl Target<'_> {
    fn text(&self) -> String {
        text(self.plugin.as_str(), self.interface, self.function)
    }
}

impl Outgoing {
    pub(crate) fn of(state: &mut HostState) -> wasmtime::Result<Self> {
        let hop = state.call.hop.clone().ok_or_else(|| {
            PassedOn(Fault::new(
                Code::Internal,
                "a plugin called another one outside of a call",
            ))
        })?;
        state.share(&hop);
        if state.wasi.is_some() || state.call.is_traced() {
            state.call.serial();
        }
        if let Some(wasi) = &state.wasi {
            wasi.write_during(state.call.during());
        }
        let unit = &state.unit;
        let own = state.call.known_context();
        let callers = match own.filter(|own| !own.callers.is_empty()) {
            None => unit.itself.clone(),
            Some(own) => own.callers.iter().chain(&*unit.itself).cloned().collect(),
        };
        let context = Box::new(CallContext {
            serial: state.call.during().serial,
            callers,
            behalf: match own {
                None => Behalf::nobody().then_unit(unit),
                Some(own) => own.behalf.then_unit(unit),
            },
            user_data: None,
            wait_until: unit.ticker.when(state.call.deadline_ms()),
            start_by: None,
            interrupt: own.map_or(Interrupt::never(), |own| own.interrupt.clone()),
            progress: None,
            started: None,
            via: Some(hop.clone()),
            trace: own.and_then(|own| own.trace.clone()),
        });
        let way = Way {
            hop,
            clock: state.call.clock(),
            may_hold_thread: !state.call.on_fiber(),
        };
        Ok(Outgoing { way, context })
    }

    /// Calls what an import is linked to on the caller's own stack. Gives itself
    /// back where that would keep somebody waiting.
    pub(crate) fn call_nested(
        self,
        function: &LinkedFunction,
        args: &[u8],
    ) -> Result<Result<Vec<u8>, Fault>, Self> {
        let Outgoing { way, context } = self;
        let target = function.target();
        let find = |plugin: &Plugin, args: &[u8]| function.find_for(plugin, args);
        match way.call_nested(target, find, args, context) {
            Ok(called) => Ok(way.told(target, called)),
            Err(context) => Err(Outgoing { way, context }),
        }
    }

    /// Calls what an import is linked to.
    pub(crate) async fn call(self, function: &LinkedFunction, args: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let find = |plugin: &Plugin, args: &[u8]| function.find_for(plugin, args);
        self.enter_and_call(function.target(), find, args).await
    }

    /// Comes in at the generation that serves when there is room, and calls the
    /// method that `find` gives for it.
    pub(crate) async fn enter_and_call(
        self,
        target: Target<'_>,
        find: impl Fn(&Plugin, &[u8]) -> Result<MethodId, Fault>,
        args: Vec<u8>,
    ) -> Result<Vec<u8>, Fault> {
        self.way.enter_and_call(target, find, args, *self.context).await
    }

    /// Tells of a call that came in nowhere, if it is traced.
    pub(crate) fn not_made(&self, target: Target<'_>, began: Instant, fault: &Fault) {
        not_made(&self.context, target, began, fault);
    }
}

impl Way {
    fn unit(&self) -> &Arc<Unit> {
        self.hop.unit()
    }

    /// Calls the method that `find` gives for it on the caller's own stack. Gives
    /// the context back where that would keep somebody waiting, or there is no
    /// room at once.
    fn call_nested(
        &self,
        target: Target<'_>,
        find: impl Fn(&Plugin, &[u8]) -> Result<MethodId, Fault>,
        args: &[u8],
        context: Box<CallContext>,
    ) -> Result<Result<Reply, Fault>, Box<CallContext>> {
        if !self.may_hold_thread || self.is_deepest() {
            return Err(context);
        }
        let Some(plugin) = self.unit().spec.neighbours.plugin(target.plugin) else {
            return Err(context);
        };
        if !plugin.calls_nobody() {
            return Err(context);
        }
        let method = match find(&plugin, args) {
            Ok(method) => method,
            Err(fault) => {
                not_made(&context, target, Instant::now(), &fault);
                return Ok(Err(fault));
            }
        };
        let clock = self.clock.as_deref();
        if let Some(clock) = clock {
            clock.pause();
        }
        let called = plugin.call_nested(method, args, context);
        if let Some(clock) = clock {
            clock.resume();
        }
        if let Ok(Err(fault)) = &called {
            self.ended_there(target, fault);
        }
        called
    }

    async fn enter_and_call(
        self,
        target: Target<'_>,
        find: impl Fn(&Plugin, &[u8]) -> Result<MethodId, Fault>,
        args: Vec<u8>,
        context: CallContext,
    ) -> Result<Vec<u8>, Fault> {
        let called = off_the_clock(self.clock.as_deref(), async {
            let (entered, method) = self.come_in(target, find, &args, &context).await?;
            let called = entered.call(method, args, context).await;
            called.inspect_err(|fault| self.ended_there(target, fault))
        });
        let called = called.await;
        self.told(target, called)
    }

    /// It came in there, and ended so.
    #[cold]
    fn ended_there(&self, target: Target<'_>, fault: &Fault) {
        if !fault.is_passed_on() {
            let neighbours = &self.unit().spec.neighbours;
            neighbours.ended(target.plugin, &target.text(), fault);
        }
    }

    /// What the caller is told.
    fn told(&self, target: Target<'_>, called: Result<Reply, Fault>) -> Result<Vec<u8>, Fault> {
        match called {
            Ok(reply) => Ok(reply.bytes),
            // What was denied ended nowhere else.
            Err(fault) if fault.is_passed_on() || fault.code == Code::CallDenied => Err(fault),
            Err(fault) => Err(self.passed_on(target, fault)),
        }
    }

    async fn come_in(
        &self,
        target: Target<'_>,
        find: impl Fn(&Plugin, &[u8]) -> Result<MethodId, Fault>,
        args: &[u8],
        context: &CallContext,
    ) -> Result<(Entered, MethodId), Fault> {
        let began = context.trace.is_some().then(Instant::now);
        let come = match self.not_too_deep(target) {
            Ok(()) => self.enter(target, find, args, context).await,
            Err(fault) => Err(fault),
        };
        come.inspect_err(|fault| {
            if let Some(began) = began {
                not_made(context, target, began, fault);
            }
        })
    }

    /// Says in a fault how the call came there.
    fn passed_on(&self, target: Target<'_>, fault: Fault) -> Fault {
        let mut chain = self.hop.texts();
        chain.push(target.text());
        let message = match fault.code {
            // They say it themselves.
            Code::LinkDepth | Code::LinkUnavailable => fault.message,
            _ => format!(
                "{} called {}, and that ended so: {}",
                self.hop.text(),
                target.text(),
                fault.message
            ),
        };
        Fault { message, ..fault }.passed_on(&chain)
    }

    async fn enter(
        &self,
        target: Target<'_>,
        find: impl Fn(&Plugin, &[u8]) -> Result<MethodId, Fault>,
        args: &[u8],
        context: &CallContext,
    ) -> Result<(Entered, MethodId), Fault> {
        let mut attempt = Attempt::first();
        loop {
            let found = self.unit().spec.neighbours.plugin(target.plugin);
            let plugin = found.ok_or_else(|| self.away(target, "is not loaded"))?;
            let method = find(&plugin, args)?;
            let entered = match self.in_own_way(&plugin) {
                false => plugin.enter(context, attempt).await,
                true => plugin
                    .enter_at_once(attempt)
                    .unwrap_or_else(|| Err(NotEntered::Fault(self.circle(target, &plugin)))),
            };
            match entered {
                Ok(entered) => return Ok((entered, method)),
                Err(NotEntered::Moved(next)) => attempt = next,
                Err(NotEntered::Fault(fault)) if fault.code == Code::Draining => {
                    return Err(self.away(target, "is being unloaded"));
                }
                Err(NotEntered::Fault(fault)) => return Err(fault),
            }
        }
    }

    /// Whether a place that it would wait for may be one that this chain of
    /// calls holds.
    fn in_own_way(&self, plugin: &Plugin) -> bool {
        self.hop.has_come_through(&plugin.spec().name)
    }

    /// Whether nobody can be called from here. Tells and counts nothing.
    fn is_deepest(&self) -> bool {
        self.hop.depth() >= self.unit().spec.limits.link_depth
    }

    fn not_too_deep(&self, target: Target<'_>) -> Result<(), Fault> {
        let most = self.unit().spec.limits.link_depth;
        if self.hop.depth() < most {
            return Ok(());
        }
        Err(self.too_deep(
            target,
            &format!(
                "{most} plugins, which is all that limits.link-depth of {} lets a call go through",
                self.unit().spec.name
            ),
        ))
    }

    /// All places of a plugin are taken, by this very chain or with it.
    #[cold]
    fn circle(&self, target: Target<'_>, plugin: &Plugin) -> Fault {
        let times = self.hop.times(&plugin.shared.unit);
        if times >= plugin.shared.gate.limit() {
            return self.too_deep(
                target,
                &format!("{}, all of whose instances are in this very call", target.plugin),
            );
        }
        Fault::new(
            Code::Overloaded,
            format!(
                "{} has no free place, and a call that has come through it already does not wait for one; try again \
                 later, or raise limits.calls-in-flight",
                target.plugin
            ),
        )
    }

    #[cold]
    fn too_deep(&self, target: Target<'_>, why: &str) -> Fault {
        self.unit().counters.hit(LINK_DEPTH);
        let mut chain = self.hop.texts();
        chain.push(target.text());
        Fault::new(
            Code::LinkDepth,
            format!("the call has come to {why}: {}", chain.join(" -> ")),
        )
        .with_details(serde_json::json!({ "limit": LINK_DEPTH }))
    }

    #[cold]
    fn away(&self, target: Target<'_>, how: &str) -> Fault {
        Fault::new(
            Code::LinkUnavailable,
            format!(
                "{} called {}, and {} {how}; the call can be made again when it is loaded",
                self.hop.text(),
                target.text(),
                target.plugin
            ),
        )
    }
}

/// The limit by its name in a descriptor.
const LINK_DEPTH: &str = "link-depth";

impl LinkedFunction {
    fn target(&self) -> Target<'_> {
        Target {
            plugin: &self.provider,
            interface: Some(&self.interface),
            function: &self.name,
        }
    }

    /// Its number in this generation of the provider, which takes these
    /// arguments.
    fn find_for(&self, plugin: &Plugin, args: &[u8]) -> Result<MethodId, Fault> {
        let method = self.find(plugin)?;
        let fits = self.validator.check_args(args, plugin.value_limits());
        fits.map_err(too_large)
            .inspect_err(|fault| plugin.refused(fault))?;
        Ok(method)
    }
}

/// Tells of a call that came in nowhere, if it is traced.
fn not_made(context: &CallContext, target: Target<'_>, began: Instant, fault: &Fault) {
    if let Some(trace) = &context.trace {
        trace.not_made(context, target.plugin, &target.text(), began, fault);
    }
}

impl HostState {
    /// What a call of another plugin comes to here. What ended it because this
    /// call is over ends this call in its own words.
    pub(crate) fn came_back(&mut self, outcome: Result<Vec<u8>, Fault>) -> wasmtime::Result<Vec<u8>> {
        self.learn();
        outcome.map_err(|fault| match self.over_by(fault.code) {
            Some(stop) => stop.into(),
            None => PassedOn(fault).into(),
        })
    }
}

/// Does something that another plugin pays for: it counts its own time.
async fn off_the_clock<T>(clock: Option<&CallClock>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        if let Some(clock) = clock {
            clock.pause();
        }
        let polled: Poll<T> = work.as_mut().poll(cx);
        if let Some(clock) = clock {
            clock.resume();
        }
        polled
    })
    .await
}

/// The types are the same, so that nothing but the provider's limits can be in
/// the way.
#[cold]
pub(crate) fn too_large(error: ValueError) -> Fault {
    let (code, limit) = match error.problem {
        Problem::TooDeep { .. } => (Code::MessageTooLarge, "value-depth"),
        Problem::TooLong { .. } | Problem::TooManyNodes { .. } => (Code::MessageTooLarge, "message"),
        _ => return Fault::new(Code::InvalidArguments, error.to_string()),
    };
    let details = serde_json::json!({ "path": error.path, "limit": limit });
    Fault::new(code, error.to_string()).with_details(details)
}
