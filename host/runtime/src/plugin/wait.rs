//! Waiting for a future on a thread that runs no tasks.
//!
//! Owns the two ways to do that: with a clock of its own, and within a runtime
//! that has one.

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

/// The future's output, which may use the runtime's clock and connections. One
/// that is ready at once costs nothing of the runtime's.
pub(super) fn block_within<F: Future>(runtime: &tokio::runtime::Runtime, future: F) -> F::Output {
    let mut future = pin!(future);
    let first = {
        let _within = runtime.enter();
        // Whoever is to be woken is named when it is polled again.
        let mut context = Context::from_waker(Waker::noop());
        future.as_mut().poll(&mut context)
    };
    match first {
        Poll::Ready(output) => output,
        Poll::Pending => runtime.block_on(future),
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
