//! Calls from asynchronous tasks.
//!
//! Owns what happens while such a call runs: the guest is made to yield every
//! tick, is moved to threads of lower priority when it overruns its turn, and
//! is dropped, wherever it is, when its deadline passes or it is interrupted.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault};
use wasmtime::component::ComponentExportIndex;

use super::{MethodId, Plugin, Reply, no_threads};
use crate::control::{CANCEL_GRACE, CallContext, Interrupt, Reason};
use crate::instance::Instance;
use crate::state::Budget;
use crate::stop::Stop;

/// Ticks after which a call is moved to the threads of lower priority.
const TURN: u32 = 4;

type Running = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

impl Plugin {
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
        let budget = self.shared.budget;
        let target = Target::Method(method);
        self.drive(target, args, context, budget).await
    }

    pub(super) async fn drive(
        &self,
        target: Target,
        args: Vec<u8>,
        context: CallContext,
        budget: Budget,
    ) -> Result<Reply, Fault> {
        let shared = &*self.shared;
        let interrupt = context.interrupt.clone();
        let wall = Duration::from_millis(budget.wall_ms);
        let pass = match target {
            Target::Method(_) => match shared.gate.try_enter() {
                Some(pass) => Some(pass),
                None => {
                    let (until, end) = patience(wall, &context);
                    Some(tokio::select! {
                        biased;
                        admitted = shared.admit(&context) => admitted?,
                        () = at(until) => return Err(end.fault(wall)),
                    })
                }
            },
            // Runs before the first and after the last call.
            Target::Load | Target::Unload => None,
        };
        // What the call itself may take is counted from here.
        let admitted = Instant::now();
        if let Some(late) = late(admitted, &context) {
            return Err(late.fault(wall));
        }
        if let Some(started) = &context.started {
            started()?;
        }
        let (until, at_deadline) = match (admitted.checked_add(wall), context.wait_until) {
            (Some(own), Some(wait)) if wait < own => (Some(wait), Stop::WaitEnded),
            (None, Some(wait)) => (Some(wait), Stop::WaitEnded),
            (own, _) => (own, Stop::Deadline),
        };
        // What runs after service is not ended by what ended the service.
        let nothing = budget.after_service.then(Interrupt::new);
        let of_all = nothing.as_ref().unwrap_or(&shared.unit.interrupt);
        let watch = watch(&interrupt, of_all, until, at_deadline);
        tokio::pin!(watch);
        let mut running = Some(self.clone().run(target, args, context, budget));
        let outcome = tokio::select! {
            biased;
            outcome = turn(&mut running, &interrupt) => outcome,
            stop = &mut watch => return Err(self.stopped(running, stop)),
        };
        let outcome = match (outcome, running.take()) {
            (Some(outcome), _) => outcome,
            (None, Some(overrun)) => {
                let background = shared.runtime.background().map_err(no_threads)?;
                let mut task = AbortOnDrop(background.spawn(overrun));
                tokio::select! {
                    biased;
                    joined = &mut task.0 => match joined {
                        Ok(outcome) => outcome,
                        Err(_) => Err(Fault::new(Code::Internal, "the call broke off in the host")),
                    },
                    stop = &mut watch => {
                        task.0.abort();
                        // The store is gone when the task is: a guest yields
                        // at the next tick.
                        drop((&mut task.0).await);
                        shared.count_fault();
                        Err(stop.fault(&shared.unit.spec.limits))
                    }
                }
            }
            (None, None) => Err(Fault::new(Code::Internal, "the call was lost in the host")),
        };
        drop(pass);
        outcome
    }

    fn stopped(&self, running: Option<Running>, stop: Stop) -> Fault {
        // Drops the store, and with it whatever the guest waited for.
        drop(running);
        self.shared.count_fault();
        stop.fault(&self.shared.unit.spec.limits)
    }

    /// The call itself, as something that can be moved between threads.
    fn run(self, target: Target, args: Vec<u8>, context: CallContext, budget: Budget) -> Running {
        Box::pin(async move {
            let shared = &*self.shared;
            let context = Some(Box::new(context));
            let ticker = &shared.unit.ticker;
            let _ungated = match target {
                Target::Method(_) => {
                    ticker.awake();
                    None
                }
                Target::Load | Target::Unload => Some(ticker.ungated()),
            };
            let (mut instance, template) = match shared.take_idle() {
                Some(mut instance) => {
                    instance.store.data_mut().begin(context, budget, true);
                    let (_, template) = shared.template(instance.shard).ok_or_else(|| {
                        Fault::new(Code::Internal, "the plugin has no code for this worker")
                    })?;
                    (instance, template)
                }
                None => {
                    let (shard, template) = shared.here()?;
                    let begin = |state: &mut crate::state::HostState| state.begin(context, budget, true);
                    match Instance::make_async(template, &shared.unit, shard, begin).await {
                        Ok(instance) => (Box::new(instance), template),
                        Err(not_made) => return Err(shared.not_made(&not_made)),
                    }
                }
            };
            let index: Option<&ComponentExportIndex> = match target {
                Target::Method(method) => template.methods.get(method.0),
                Target::Load => template.load.as_ref(),
                Target::Unload => template.unload.as_ref(),
            };
            let Some(index) = index else {
                return Err(Fault::new(
                    Code::MethodNotFound,
                    "the plugin has no such function",
                ));
            };
            let lifted = match target {
                Target::Method(method) if shared.source.description.async_lifted => shared
                    .source
                    .description
                    .exports
                    .get(method.0)
                    .map(|export| &export.ty),
                _ => None,
            };
            let called = match lifted {
                Some(ty) => instance.call_lifted(index, ty, &args, &shared.values).await,
                None => instance.call_async(index, &args).await,
            };
            shared.settle(instance, called)
        })
    }
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Method(MethodId),
    Load,
    Unload,
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
            Unstarted::WaitEnded => Fault::new(
                Code::WaitEnded,
                "the caller's waiting time ended before the call was started; wait longer",
            ),
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
fn patience(wall: Duration, context: &CallContext) -> (Option<Instant>, Unstarted) {
    let own = Instant::now().checked_add(wall);
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

/// Runs the call until it ends or overruns its turn.
async fn turn(running: &mut Option<Running>, interrupt: &Interrupt) -> Option<Result<Reply, Fault>> {
    std::future::poll_fn(|cx| {
        let Some(future) = running.as_mut() else {
            return Poll::Ready(None);
        };
        match future.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if interrupt.ticks() >= TURN => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits for whatever ends the call from outside.
async fn watch(own: &Interrupt, of_all: &Interrupt, until: Option<Instant>, at_deadline: Stop) -> Stop {
    let interrupted = async {
        let reason = own.raised().await;
        if reason == Reason::Cancelled {
            tokio::time::sleep(CANCEL_GRACE).await;
        }
        reason
    };
    tokio::select! {
        reason = interrupted => Stop::Interrupted(reason),
        reason = of_all.raised() => Stop::Interrupted(reason),
        () = at(until) => at_deadline,
    }
}

async fn at(until: Option<Instant>) {
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
