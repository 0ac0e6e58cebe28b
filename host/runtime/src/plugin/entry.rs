//! Coming in: the way of a call from its caller to a place inside the gate.
//!
//! Owns admission as callers see it: how long they wait, and what they are told
//! who are not let in.
//!
//! **Invariant:** whoever is told [`NotEntered::Moved`] was not counted here,
//! and nothing of his call was executed: he goes on to the generation that
//! serves now, and no call is lost between the two.

use std::time::{Duration, Instant};

use odeon_protocol::{Code, Executed, Fault, Generation};

use super::drive::{Target, at};
use super::{MethodId, Plugin, Reply, Shared, WebHandler, wait};
use crate::control::CallContext;
use crate::gate::{Arrival, OwnedPass, Pass, Refusal};
use crate::interfaces::http::Incoming;
use crate::link::Flavour;
use crate::stop::Stop;
use crate::trace::{self, Span};

/// Why a call did not come in.
#[derive(Clone, Debug, PartialEq)]
pub enum NotEntered {
    /// Another generation serves in this one's place. Look it up and enter
    /// there, with this.
    Moved(Attempt),
    /// It will not be executed.
    Fault(Fault),
}

impl From<Fault> for NotEntered {
    fn from(fault: Fault) -> Self {
        NotEntered::Fault(fault)
    }
}

/// For callers who hold on to one generation and to no other.
impl From<NotEntered> for Fault {
    fn from(not_entered: NotEntered) -> Self {
        match not_entered {
            NotEntered::Fault(fault) => fault,
            NotEntered::Moved(_) => Fault::new(
                Code::Draining,
                "this generation of the plugin was replaced and takes no calls; look the plugin up again",
            ),
        }
    }
}

/// A call on its way in: since when it has been, and whether it was at the gate
/// of a generation that was replaced meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// Nothing for one that has not had to wait yet.
    since: Option<Instant>,
    arrival: Arrival,
}

impl Attempt {
    /// At the first generation.
    pub fn first() -> Self {
        Attempt {
            since: None,
            arrival: Arrival::New,
        }
    }

    /// The same, which has to wait, from now on if it has not before.
    fn waiting(self) -> Self {
        Attempt {
            since: self.since.or_else(|| Some(Instant::now())),
            ..self
        }
    }

    /// At the next generation: the time it waits goes on, and no queue is too
    /// long for it.
    fn again(self) -> Self {
        Attempt {
            arrival: Arrival::Moved,
            ..self
        }
    }
}

/// A place inside the gate of one generation. Dropping it gives it back.
pub struct Entered {
    plugin: Plugin,
    pass: OwnedPass,
}

/// The same on the caller's own thread.
pub struct Place<'p> {
    shared: &'p Shared,
    pass: Pass<'p>,
}

impl Plugin {
    /// Comes in, after waiting in order of arrival where there is no room. Must
    /// be called within a tokio runtime. Cancellation safe: nothing was
    /// executed.
    ///
    /// # Errors
    ///
    /// Why the call does not come in.
    pub async fn enter(&self, context: &CallContext, attempt: Attempt) -> Result<Entered, NotEntered> {
        // Lets others run when calls have held this thread for a tick. Here, where
        // nobody loses a place or a result by giving up.
        tokio::task::coop::consume_budget().await;
        let shared = &*self.shared;
        let pass = match shared.gate.try_enter() {
            Some(pass) => pass,
            None => {
                let wall = shared.wall();
                let attempt = attempt.waiting();
                let (until, end) = patience(wall, context, attempt);
                tokio::select! {
                    biased;
                    admitted = shared.admit(context, attempt) => admitted?,
                    () = at(until) => return Err(end.fault(wall).into()),
                }
            }
        };
        let pass = pass.owned(&shared.gate);
        // What the call itself may take is counted from here.
        if let Some(late) = late(pass.since(), context) {
            return Err(late.fault(shared.wall()).into());
        }
        Ok(Entered {
            plugin: self.clone(),
            pass,
        })
    }

    /// Comes in now, or is told why it never will. Nothing where it would have to
    /// wait.
    pub(crate) fn enter_at_once(&self, attempt: Attempt) -> Option<Result<Entered, NotEntered>> {
        let gate = &self.shared.gate;
        match gate.try_enter() {
            Some(pass) => Some(Ok(Entered {
                plugin: self.clone(),
                pass: pass.owned(gate),
            })),
            None => Some(Err(self.shared.refuse(gate.may_wait().err()?, attempt))),
        }
    }

    /// Calls a method with arguments in the wire form that were checked against
    /// the method's type. Must be called within a tokio runtime.
    ///
    /// Waits for admission in order of arrival. Dropping the future ends the
    /// call and drops its instance.
    ///
    /// # Errors
    ///
    /// The fault that ended the call, or kept it from starting.
    pub async fn call(&self, method: MethodId, args: Vec<u8>, context: CallContext) -> Result<Reply, Fault> {
        let entered = self.enter(&context, Attempt::first()).await?;
        entered.call(method, args, context).await
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
        Ok(self.call_on_thread(method, args, context, Attempt::first())?)
    }

    /// The same for whoever goes on to another generation.
    ///
    /// # Errors
    ///
    /// The fault that ended the call, or why it did not come in.
    pub fn call_on_thread(
        &self,
        method: MethodId,
        args: &[u8],
        mut context: CallContext,
        attempt: Attempt,
    ) -> Result<Reply, NotEntered> {
        let shared = &*self.shared;
        if shared.source.flavour != Flavour::Direct {
            if tokio::runtime::Handle::try_current().is_ok() {
                return Err(NotEntered::Fault(Fault::new(
                    Code::Internal,
                    "a synchronous call was made inside an asynchronous runtime, of a plugin that can wait; use the asynchronous one, or a thread outside of the runtime",
                )));
            }
            // The engine runs the tasks of a component with concurrency in turns.
            if shared.source.flavour == Flavour::Waiting {
                let pass = match shared.gate.try_enter() {
                    Some(pass) => pass,
                    None => shared.admit_here(&context, attempt)?,
                };
                let now = Instant::now();
                begun(&context, shared, now)?;
                let span = Span::begin(&mut context, shared, method);
                let called = shared.call_waiting_here(method, args, Some(Box::new(context)), pass, Some(now));
                trace::end(span, &called);
                return Ok(called?);
            }
            let waiting = shared.runtime.waiting().map_err(no_threads)?;
            return wait::block_within(waiting, async {
                let entered = self.enter(&context, attempt).await?;
                Ok::<_, NotEntered>(entered.call(method, args.to_vec(), context).await?)
            });
        }
        let pass = match shared.gate.try_enter() {
            Some(pass) => pass,
            None => shared.admit_here(&context, attempt)?,
        };
        begun(&context, shared, Instant::now())?;
        let span = Span::begin(&mut context, shared, method);
        let called = shared.call_here(method, args, Some(Box::new(context)), pass);
        trace::end(span, &called);
        Ok(called?)
    }

    /// The same as [`Plugin::call_blocking`] for the embedding program itself:
    /// nobody else is named as the caller, and only the plugin's own deadline
    /// holds. The fastest way to call by encoded bytes.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::call_blocking`].
    #[inline]
    pub fn call_direct(&self, method: MethodId, args: &[u8]) -> Result<Reply, NotEntered> {
        let shared = &*self.shared;
        match shared.source.flavour {
            Flavour::Direct => {
                if let Some(pass) = shared.gate.try_enter() {
                    return Ok(shared.call_here(method, args, None, pass)?);
                }
            }
            Flavour::Waiting if tokio::runtime::Handle::try_current().is_err() => {
                if let Some(pass) = shared.gate.try_enter() {
                    return Ok(shared.call_waiting_here(method, args, None, pass, None)?);
                }
            }
            Flavour::Waiting | Flavour::Concurrent => {}
        }
        self.call_on_thread(method, args, CallContext::default(), Attempt::first())
    }

    /// Comes in on this thread, for a call with Rust types. The caller waits
    /// until there is room, for as long as a call may take. `moved`: the
    /// attempt of whoever was at another generation before.
    ///
    /// # Errors
    ///
    /// Why the call does not come in.
    #[inline]
    pub fn place(&self, moved: Option<Attempt>) -> Result<Place<'_>, NotEntered> {
        let shared = &*self.shared;
        let pass = match shared.gate.try_enter() {
            Some(pass) => pass,
            None => {
                let attempt = moved.unwrap_or_else(Attempt::first);
                shared.admit_here(&CallContext::default(), attempt)?
            }
        };
        Ok(Place { shared, pass })
    }
}

impl Entered {
    /// The number under which the generation serves.
    pub fn generation(&self) -> Generation {
        self.plugin.shared.unit.generation()
    }

    /// Calls a method with arguments in the wire form that were checked against
    /// the method's type. Dropping the future ends the call and drops its
    /// instance.
    ///
    /// # Errors
    ///
    /// The fault that ended the call.
    pub async fn call(
        self,
        method: MethodId,
        args: Vec<u8>,
        mut context: CallContext,
    ) -> Result<Reply, Fault> {
        let Entered { plugin, pass } = self;
        let span = Span::begin(&mut context, &plugin.shared, method);
        let admitted = pass.since();
        let budget = plugin.shared.budget;
        let target = Target::Method(method);
        let ended = plugin
            .drive(target, args, context, budget, Some(pass), admitted)
            .await;
        trace::end(span, &ended);
        ended
    }

    /// Answers a request that came in over HTTP. The response goes where the
    /// exchange says as soon as its body begins; this ends when the guest has,
    /// and its instance, and the place in the gate, are there until then.
    /// Dropping the future ends the call and breaks the response off.
    ///
    /// # Errors
    ///
    /// The fault that ended the call. What has been sent by then is not whole.
    pub async fn answer(
        self,
        handler: WebHandler,
        exchange: Incoming,
        mut context: CallContext,
    ) -> Result<(), Fault> {
        let Entered { plugin, pass } = self;
        let span = Span::begin(&mut context, &plugin.shared, handler.method());
        let admitted = pass.since();
        let budget = plugin.shared.budget;
        let target = Target::Web(handler, Box::new(exchange));
        let ended = plugin
            .drive(target, Vec::new(), context, budget, Some(pass), admitted)
            .await;
        trace::end(span, &ended);
        ended.map(drop)
    }
}

impl<'p> Place<'p> {
    /// The generation.
    pub(super) fn shared(&self) -> &'p Shared {
        self.shared
    }

    /// The generation and the place in it.
    pub(super) fn parts(self) -> (&'p Shared, Pass<'p>) {
        (self.shared, self.pass)
    }
}

pub(super) fn no_threads(error: std::io::Error) -> Fault {
    Fault::new(Code::Internal, format!("the host cannot start threads: {error}"))
}

impl Shared {
    /// How long a call may take.
    pub(super) fn wall(&self) -> Duration {
        Duration::from_millis(self.budget.wall_ms)
    }

    /// Waits for admission on this thread, for no longer than the caller does
    /// and the call may take.
    #[cold]
    fn admit_here(&self, context: &CallContext, attempt: Attempt) -> Result<Pass<'_>, NotEntered> {
        let wall = self.wall();
        let attempt = attempt.waiting();
        let (until, end) = patience(wall, context, attempt);
        // Without tokio's budget: a thread that waits here cannot give way.
        let admitted = tokio::task::coop::unconstrained(self.admit(context, attempt));
        wait::block_on(admitted, until).unwrap_or_else(|| Err(end.fault(wall).into()))
    }

    /// Waits for admission, for no longer than the caller does.
    async fn admit(&self, context: &CallContext, attempt: Attempt) -> Result<Pass<'_>, NotEntered> {
        let refusal = tokio::select! {
            biased;
            entered = self.gate.enter(attempt.arrival) => match entered {
                Ok(pass) => return Ok(pass),
                Err(refusal) => refusal,
            },
            reason = context.interrupt.raised() => {
                return Err(Stop::Interrupted(reason).fault(&self.unit.spec.limits).into());
            }
        };
        Err(self.refuse(refusal, attempt))
    }

    fn refuse(&self, refusal: Refusal, attempt: Attempt) -> NotEntered {
        let spec = &self.unit.spec;
        match refusal {
            Refusal::Moved => NotEntered::Moved(attempt.again()),
            Refusal::Full => {
                self.unit.counters.hit("queue");
                NotEntered::Fault(Fault::new(
                    Code::Overloaded,
                    format!(
                        "{} has {} calls running and {} waiting, which is all it takes; try again later, or raise \
                         limits.calls-in-flight or limits.queue",
                        spec.name,
                        self.gate.in_flight(),
                        self.gate.waiting()
                    ),
                ))
            }
            Refusal::Closed => NotEntered::Fault(Fault::new(
                Code::Draining,
                format!("{} is being unloaded and takes no calls", spec.name),
            )),
        }
    }
}

/// Says that a call that was admitted now is started, unless it is late.
fn begun(context: &CallContext, shared: &Shared, now: Instant) -> Result<(), NotEntered> {
    if let Some(late) = late(now, context) {
        return Err(late.fault(shared.wall()).into());
    }
    match &context.started {
        Some(started) => Ok(started()?),
        None => Ok(()),
    }
}

/// Why a call leaves the queue without having been started.
#[derive(Clone, Copy, Debug)]
enum Unstarted {
    /// The caller stopped waiting.
    WaitEnded,
    /// Its time to be started in is over.
    Expired,
    /// It has waited for as long as the plugin lets a call take.
    Overloaded,
}

impl Unstarted {
    fn fault(self, wall: Duration) -> Fault {
        let fault = match self {
            Unstarted::WaitEnded => return Fault::wait_ended(Executed::Not),
            Unstarted::Expired => Fault::new(
                Code::Expired,
                "the call's time to live ended before it was started; nothing was executed",
            ),
            Unstarted::Overloaded => Fault::new(
                Code::Overloaded,
                format!(
                    "the call waited in the plugin's queue for {} ms, its whole deadline, and was not started; try \
                     again later, or raise limits.calls-in-flight",
                    wall.as_millis()
                ),
            ),
        };
        fault.with_details(serde_json::json!({ "executed": false }))
    }
}

/// Until when a call waits for admission, and what ends it then.
fn patience(wall: Duration, context: &CallContext, attempt: Attempt) -> (Option<Instant>, Unstarted) {
    let own = attempt.since.and_then(|since| since.checked_add(wall));
    let ends = [
        (context.start_by, Unstarted::Expired),
        (context.wait_until, Unstarted::WaitEnded),
        (own, Unstarted::Overloaded),
    ];
    ends.into_iter()
        .filter(|(at, _)| at.is_some())
        .min_by_key(|(at, _)| *at)
        .unwrap_or((None, Unstarted::Overloaded))
}

/// Why a call that was admitted is not started any more.
fn late(now: Instant, context: &CallContext) -> Option<Unstarted> {
    let passed = |by: Option<Instant>| by.is_some_and(|by| by <= now);
    match (passed(context.start_by), passed(context.wait_until)) {
        (true, _) => Some(Unstarted::Expired),
        (_, true) => Some(Unstarted::WaitEnded),
        _ => None,
    }
}
