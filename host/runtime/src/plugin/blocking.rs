//! Calls on the caller's own thread, of plugins that can wait.
//!
//! Owns what happens on such a thread: a guest that computes has it for as long
//! as its limits let it, and is never moved to another; where it waits, the
//! thread does, for no longer than the call may take.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use odeon_protocol::{Code, Fault};

use super::drive::{End, watch};
use super::entry::no_threads;
use super::running::broke_off;
use super::{MethodId, Plugin, Reply, Shared};
use crate::control::{CallContext, Interrupt};
use crate::gate::Pass;
use crate::instance::Instance;
use crate::state::HostState;
use crate::ticker::TICK;
use crate::trace::{self, Span};

impl Shared {
    /// A call that was admitted at this moment, or within the last tick, to its
    /// result.
    pub(super) fn call_waiting_here(
        &self,
        method: MethodId,
        args: &[u8],
        context: Option<Box<CallContext>>,
        pass: Pass<'_>,
        admitted: Option<Instant>,
    ) -> Result<Reply, Fault> {
        let threads = self.runtime.waiting().map_err(no_threads)?;
        let interrupt = context
            .as_ref()
            .map_or(Interrupt::never(), |context| context.interrupt.clone());
        let ticker = &self.unit.ticker;
        ticker.awake();
        let now = ticker.now_ms();
        let wait_until = context.as_ref().and_then(|context| context.wait_until);
        // Most calls wait for nothing, and nothing has to look when that is over.
        let end = || {
            let admitted = admitted.or_else(|| ticker.when(now)?.checked_add(TICK));
            End::of(wait_until, &self.budget, admitted.unwrap_or_else(Instant::now))
        };
        // Whatever ends the call, its instance is gone before its place is.
        let ended = {
            let mut work = pin!(self.work(method, args, context));
            let first = {
                let _within = threads.enter();
                // Whoever is to be woken is named when it is polled again.
                guarded(work.as_mut(), &mut Context::from_waker(Waker::noop()))
            };
            match first {
                Poll::Ready(ended) => Ok(ended),
                Poll::Pending => threads.block_on(async {
                    let end = end();
                    let of_all = Some(&self.unit.interrupt);
                    tokio::select! {
                        biased;
                        ended = poll_fn(|cx| guarded(work.as_mut(), cx)) => Ok(ended),
                        stop = watch(&interrupt, of_all, end.at, end.stop) => Err(stop),
                    }
                }),
            }
        };
        let reply = match ended {
            Ok(Some(reply)) => reply,
            Ok(None) => {
                let fault = broke_off();
                self.count_fault(&fault);
                Err(fault)
            }
            Err(stop) => {
                let fault = stop.fault(&self.unit.spec.limits);
                self.count_fault(&fault);
                Err(fault)
            }
        };
        drop(pass);
        reply
    }

    async fn work(
        &self,
        method: MethodId,
        args: &[u8],
        context: Option<Box<CallContext>>,
    ) -> Result<Reply, Fault> {
        let via = context.as_ref().and_then(|context| context.via.clone());
        let begin = |state: &mut HostState| {
            state.begin(context, self.budget, false);
            state.call.hop = self.hop(method, via, state.call.before.take());
        };
        let (mut instance, template) = match self.take_idle() {
            Some(mut instance) => {
                begin(instance.store.data_mut());
                let (_, template) = self
                    .template(instance.shard)
                    .ok_or_else(|| Fault::new(Code::Internal, "the plugin has no code for this worker"))?;
                (instance, template)
            }
            None => {
                let (shard, template) = self.here()?;
                match Box::pin(Instance::make_async(template, &self.unit, shard, begin)).await {
                    Ok(instance) => (Box::new(instance), template),
                    Err(not_made) => return Err(self.not_made(*not_made)),
                }
            }
        };
        let Some(index) = template.methods.get(method.number()) else {
            return Err(Fault::new(
                Code::MethodNotFound,
                "the plugin has no method of this number",
            ));
        };
        let called = instance.call_async(method, index, args).await;
        self.settle(instance, self.within_depth(method, called))
    }
}

impl Plugin {
    /// Calls a method on the stack of the plugin that calls this one, if there is
    /// room at once. For plugins that wait for nothing and call nobody: so there
    /// are never more than two guests on one stack, which is how large it is.
    ///
    /// Where there is no room, the context is given back.
    pub(crate) fn call_nested(
        &self,
        method: MethodId,
        args: &[u8],
        mut context: Box<CallContext>,
    ) -> Result<Result<Reply, Fault>, Box<CallContext>> {
        let shared = &*self.shared;
        let Some(pass) = shared.gate.try_enter() else {
            return Err(context);
        };
        let span = Span::begin(&mut context, shared, method);
        let called = shared.call_here(method, args, Some(context), pass);
        trace::end(span, &called);
        Ok(called)
    }
}

/// Polls it. Nothing when the host's own code panicked: it ended, and is never
/// polled again.
fn guarded<F: Future>(work: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
    match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    }
}
