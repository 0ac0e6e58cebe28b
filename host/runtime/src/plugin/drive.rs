//! Calls from asynchronous tasks.
//!
//! Owns what happens while such a call runs: the guest is made to yield every
//! tick, is moved to threads of lower priority when it overruns its turn, and
//! is dropped, wherever it is, when its deadline passes or it is interrupted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault};

use super::entry::no_threads;
use super::running::{Running, broke_off};
use super::{MethodId, Plugin, Reply, WebHandler};
use crate::call_clock::CallClock;
use crate::control::{CANCEL_GRACE, CallContext, Interrupt, Reason};
use crate::gate::OwnedPass;
use crate::instance::Instance;
use crate::interfaces::http::Incoming;
use crate::state::{Budget, HostState};
use crate::stop::Stop;
use crate::ticker::TICK;

/// Ticks of processor time after which a call is moved to the threads of lower
/// priority.
const TURN: u32 = 4;

impl Plugin {
    /// Runs what is called, in a place inside the gate if it needs one.
    ///
    /// Most calls end at once: what is needed to wait for one, and to end it
    /// from outside, is made when it has not.
    pub(super) async fn drive(
        &self,
        target: Target,
        args: Vec<u8>,
        context: CallContext,
        budget: Budget,
        pass: Option<OwnedPass>,
        admitted: Instant,
    ) -> Result<Reply, Fault> {
        if let Some(started) = &context.started {
            started()?;
        }
        let unit = &self.shared.unit;
        // Not even a hook begins in what was interrupted.
        let interrupted = || unit.interrupt.reason().filter(|_| !budget.after_service);
        if let Some(reason) = interrupted() {
            return Err(self.ended_by(Stop::Interrupted(reason)));
        }
        let end = End::of(context.wait_until, &budget, admitted);
        // What one plugin calls of another is charged with the call that it is in.
        let is_inner = context.via.is_some();
        let interrupt = context.interrupt.clone();
        let clock = Arc::new(CallClock::default());
        let call = self
            .clone()
            .run(target, args, context, budget, pass, clock.clone());
        let mut running = Running::new(call, clock, unit.clone());
        let first = std::future::poll_fn(|cx| {
            let polled = Pin::new(&mut running).poll(cx);
            if polled.is_ready() && !is_inner {
                use_up(admitted.elapsed(), cx);
            }
            Poll::Ready(polled)
        });
        match first.await {
            Poll::Ready(Some(outcome)) => outcome,
            // Its time was over before it waited for the first time.
            Poll::Ready(None) => Err(self.ended_by(end.stop)),
            Poll::Pending => Box::pin(self.to_its_end(running, interrupt, end, budget, is_inner)).await,
        }
    }

    /// The rest of a call that has not ended at once.
    async fn to_its_end(
        &self,
        running: Running,
        interrupt: Interrupt,
        end: End,
        budget: Budget,
        is_inner: bool,
    ) -> Result<Reply, Fault> {
        let mut call = std::pin::pin!(self.ended(running, interrupt, end, budget));
        std::future::poll_fn(|cx| {
            let began = Instant::now();
            let polled = call.as_mut().poll(cx);
            if polled.is_ready() && !is_inner {
                use_up(began.elapsed(), cx);
            }
            polled
        })
        .await
    }

    async fn ended(
        &self,
        running: Running,
        interrupt: Interrupt,
        end: End,
        budget: Budget,
    ) -> Result<Reply, Fault> {
        let shared = &*self.shared;
        // What runs after service is not ended by what ended the service.
        let of_all = (!budget.after_service).then_some(&shared.unit.interrupt);
        let watch = watch(&interrupt, of_all, end.at, end.stop);
        tokio::pin!(watch);
        let clock = running.clock();
        // Whoever has just given the thread away is not given it again at once.
        if let Some(stop) = until_woken(watch.as_mut()).await {
            return self.stopped(running, stop, &clock).await;
        }
        let mut running = Some(running);
        let outcome = tokio::select! {
            biased;
            outcome = turns(&mut running, &clock) => outcome,
            stop = &mut watch => {
                let Some(running) = running else { return Err(broke_off()) };
                return self.stopped(running, stop, &clock).await;
            }
        };
        match (outcome, running.take()) {
            (Some(outcome), _) => outcome,
            (None, Some(overrun)) => {
                let threads = shared.runtime.overrun().map_err(no_threads)?;
                let mut task = AbortOnDrop(threads.spawn(overrun));
                tokio::select! {
                    biased;
                    joined = &mut task.0 => match joined {
                        Ok(Some(outcome)) => outcome,
                        _ => Err(broke_off()),
                    },
                    stop = &mut watch => {
                        match stop {
                            stop if stop.is_deadline() => clock.end(),
                            _ => task.0.abort(),
                        }
                        // The store is gone when the task is: a guest yields
                        // at the next tick.
                        match (&mut task.0).await {
                            Ok(Some(outcome)) => outcome,
                            _ => Err(self.ended_by(stop)),
                        }
                    }
                }
            }
            (None, None) => Err(broke_off()),
        }
    }

    /// Ends a call that has not overrun its turn. At its deadline, a guest that
    /// computes is stopped by the tick, which knows where it was.
    async fn stopped(&self, running: Running, stop: Stop, clock: &CallClock) -> Result<Reply, Fault> {
        if stop.is_deadline() {
            clock.end();
            if let Some(outcome) = running.await {
                return outcome;
            }
        } else {
            // Drops the store, and with it whatever the guest waited for.
            drop(running);
        }
        Err(self.ended_by(stop))
    }

    fn ended_by(&self, stop: Stop) -> Fault {
        let fault = stop.fault(&self.shared.unit.spec.limits);
        self.shared.count_fault(&fault);
        fault
    }

    /// The call itself. The place in the gate goes with it, so that whoever
    /// drains waits for the instance and not for its caller.
    async fn run(
        self,
        target: Target,
        args: Vec<u8>,
        context: CallContext,
        budget: Budget,
        pass: Option<OwnedPass>,
        clock: Arc<CallClock>,
    ) -> Result<Reply, Fault> {
        let _pass = pass;
        let shared = &*self.shared;
        let ticker = &shared.unit.ticker;
        let _ungated = match &target {
            Target::Method(_) | Target::Web(..) => {
                ticker.awake();
                None
            }
            Target::Hook(_) => Some(ticker.ungated()),
        };
        let called = match &target {
            Target::Method(method) | Target::Hook(method) => *method,
            Target::Web(handler, _) => handler.method,
        };
        let via = context.via.clone();
        let context = Some(Box::new(context));
        let begin = |state: &mut HostState| {
            state.begin(context, budget, true);
            state.counted_by(clock);
            state.call.hop = shared.hop(called, via, state.call.before.take());
        };
        let (mut instance, template) = match shared.take_idle() {
            Some(mut instance) => {
                begin(instance.store.data_mut());
                let (_, template) = shared
                    .template(instance.shard)
                    .ok_or_else(|| Fault::new(Code::Internal, "the plugin has no code for this worker"))?;
                (instance, template)
            }
            None => {
                let (shard, template) = shared.here()?;
                // Of the ways that a call can go only the usual one has its place
                // in what is moved around.
                let making = Box::pin(Instance::make_async(template, &shared.unit, shard, begin));
                match making.await {
                    Ok(instance) => (Box::new(instance), template),
                    Err(not_made) => return Err(shared.not_made(*not_made)),
                }
            }
        };
        let found = template.methods.get(called.0).zip(shared.method_type(called));
        let Some((index, ty)) = found else {
            return Err(Fault::new(
                Code::MethodNotFound,
                "the plugin has no such function",
            ));
        };
        // The direct codec is for exports that are lifted synchronously; of a
        // component with any other, all go by way of decoded values.
        let outcome = match target {
            Target::Web(handler, exchange) => Box::pin(instance.answer(handler, index, *exchange)).await,
            _ if shared.source.description.async_lifted => {
                Box::pin(instance.call_lifted(index, ty, &args, &shared.values)).await
            }
            _ => instance.call_async(called, index, &args).await,
        };
        shared.settle(instance, shared.within_depth(called, outcome))
    }
}

/// When a call is over, and whose word that is.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) at: Option<Instant>,
    pub(super) stop: Stop,
}

impl End {
    pub(super) fn of(wait_until: Option<Instant>, budget: &Budget, admitted: Instant) -> Self {
        let own = admitted.checked_add(Duration::from_millis(budget.wall_ms));
        let (at, stop) = match (own, wait_until) {
            // Where both are the same, it is the caller's.
            (Some(own), Some(wait)) if wait <= own => (Some(wait), Stop::WaitEnded),
            (None, Some(wait)) => (Some(wait), Stop::WaitEnded),
            (own, _) => (own, budget.at_deadline),
        };
        End { at, stop }
    }
}

/// What is called.
pub(super) enum Target {
    /// What a caller called.
    Method(MethodId),
    /// What the host itself calls, before, between and after calls.
    Hook(MethodId),
    /// What answers a request that came in over HTTP.
    Web(WebHandler, Box<Incoming>),
}

/// Takes from what the caller's task may do, before it has to let others run,
/// by the time that the call held this thread: after a tick, nothing is left.
/// A call that waits for nothing gives the thread away at ticks that find the
/// guest computing, and at no other time: its caller, in a loop, would keep
/// everybody else from it. The next call waits when nothing is left.
fn use_up(held: Duration, cx: &mut Context<'_>) {
    /// The runtime's own measure: what a task may do is so many of these.
    const UNITS: u128 = 128;
    let units = held.as_nanos() * UNITS / TICK.as_nanos();
    for _ in 0..units.min(UNITS) {
        if !tokio::task::coop::has_budget_remaining() {
            break;
        }
        if let Poll::Ready(unit) = tokio::task::coop::poll_proceed(cx) {
            unit.made_progress();
        }
    }
}

/// What ends the call at once; else gives the thread away until the task is
/// woken. No macro here: those pass over what is in them when a task has used up
/// what it may do, and who was to be looked at once would never be.
async fn until_woken(mut watch: Pin<&mut impl Future<Output = Stop>>) -> Option<Stop> {
    let mut is_looked_at = false;
    std::future::poll_fn(|cx| match std::mem::replace(&mut is_looked_at, true) {
        false => watch.as_mut().poll(cx).map(Some),
        true => Poll::Ready(None),
    })
    .await
}

/// Runs a call that has had its first poll until it ends or overruns its turn.
async fn turns(running: &mut Option<Running>, clock: &CallClock) -> Option<Result<Reply, Fault>> {
    std::future::poll_fn(|cx| {
        let Some(future) = running.as_mut() else {
            return Poll::Ready(None);
        };
        match Pin::new(future).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending if clock.has_used(TURN) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits for whatever ends the call from outside.
pub(super) async fn watch(
    own: &Interrupt,
    of_all: Option<&Interrupt>,
    until: Option<Instant>,
    at_deadline: Stop,
) -> Stop {
    let interrupted = async {
        let reason = own.raised().await;
        if reason == Reason::Cancelled {
            tokio::time::sleep(CANCEL_GRACE).await;
        }
        reason
    };
    let all_interrupted = async {
        match of_all {
            Some(of_all) => of_all.raised().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        reason = interrupted => Stop::Interrupted(reason),
        reason = all_interrupted => Stop::Interrupted(reason),
        () = at(until) => at_deadline,
    }
}

pub(super) async fn at(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

/// A task that does not outlive whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
