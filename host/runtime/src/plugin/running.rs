//! A call on a fiber, as something that can be moved between threads.
//!
//! Owns what surrounds each of its turns: processor time is charged for it, a
//! panic inside the engine or a host function ends this call and nothing else,
//! and once its time is over it is waited for only while it computes.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use odeon_protocol::{Code, Fault};

use super::Reply;
use crate::call_clock::CallClock;
use crate::unit::Unit;

type Outcome = Result<Reply, Fault>;

/// The call. Dropping it drops its instance, and frees its place in the gate.
pub(super) struct Running {
    call: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    clock: Arc<CallClock>,
    unit: Arc<Unit>,
}

impl Running {
    pub(super) fn new(
        call: impl Future<Output = Outcome> + Send + 'static,
        clock: Arc<CallClock>,
        unit: Arc<Unit>,
    ) -> Self {
        Running {
            call: Box::pin(call),
            clock,
            unit,
        }
    }

    /// What counts its time.
    pub(super) fn clock(&self) -> Arc<CallClock> {
        self.clock.clone()
    }
}

impl Future for Running {
    /// Nothing when its time was over while it waited inside a host call.
    type Output = Option<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        self.clock.resume();
        let call = self.call.as_mut();
        // After a panic the call is never polled again: it ended.
        let polled = catch_unwind(AssertUnwindSafe(|| call.poll(cx)));
        self.clock.pause();
        match polled {
            Ok(Poll::Ready(outcome)) => Poll::Ready(Some(outcome)),
            Err(_) => {
                let fault = broke_off();
                self.unit.counters.fault(&fault);
                Poll::Ready(Some(Err(fault)))
            }
            Ok(Poll::Pending) if self.clock.computes() => Poll::Pending,
            Ok(Poll::Pending) => {
                self.clock.waits(cx.waker());
                match self.clock.is_over() {
                    true => Poll::Ready(None),
                    false => Poll::Pending,
                }
            }
        }
    }
}

/// What a caller is told when the host's own code panicked.
#[cold]
pub(super) fn broke_off() -> Fault {
    Fault::new(
        Code::Internal,
        "the call broke off in the host, which is a defect of the host; its instance is gone",
    )
}
