//! The threads that the runtime itself starts for calls.
//!
//! Owns the two places where a call can be besides its caller's thread: where
//! guests compute that have overrun their turn, and where the clock and the
//! connections are of a call that waits on its caller's own thread. Must not
//! decide which call goes where.
//!
//! **Invariant:** neither is ever dropped, or waited for, inside another runtime.

use std::io;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

/// Threads that are started when they are first needed.
pub(super) struct Threads {
    workers: usize,
    overrun: OnceLock<Runtime>,
    waiting: OnceLock<Runtime>,
    /// Of these only one at a time is started.
    starting: Mutex<()>,
}

impl Threads {
    /// For a runtime of so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Threads {
            workers,
            overrun: OnceLock::new(),
            waiting: OnceLock::new(),
            starting: Mutex::new(()),
        }
    }

    /// For guests that have overrun their turn, at a lower priority than what
    /// answers short calls.
    pub(super) fn overrun(&self) -> io::Result<&Runtime> {
        self.started(&self.overrun, || {
            Builder::new_multi_thread()
                .worker_threads(self.workers)
                .thread_name("odeon-overrun")
                .on_thread_start(lower_priority)
                // A guest holds a thread for a tick, and whatever waits here for time
                // or for a connection is looked at after so many of them. After each
                // one would be a system call for every turn of a guest that yields.
                .event_interval(8)
                .enable_all()
                .build()
        })
    }

    /// For the clock and the connections of calls that wait on a thread of their
    /// caller's: no guest ever computes here.
    pub(super) fn waiting(&self) -> io::Result<&Runtime> {
        self.started(&self.waiting, || {
            Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("odeon-waiting")
                .enable_all()
                .build()
        })
    }

    fn started<'t>(
        &self,
        place: &'t OnceLock<Runtime>,
        start: impl FnOnce() -> io::Result<Runtime>,
    ) -> io::Result<&'t Runtime> {
        if let Some(started) = place.get() {
            return Ok(started);
        }
        let _one = self.starting.lock();
        if let Some(started) = place.get() {
            return Ok(started);
        }
        let made = start()?;
        Ok(place.get_or_init(|| made))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for threads in [self.overrun.take(), self.waiting.take()].into_iter().flatten() {
            // Never waits: the last handle may be dropped inside a runtime.
            threads.shutdown_background();
        }
    }
}

fn lower_priority() {
    /// Enough that the operating system runs anything else first, not so much
    /// that a stopped guest waits long for its end.
    const NICE: i32 = 10;
    // Without the permission to lower it, it stays as it is.
    if rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE).is_err() {
        tracing::debug!("overrun threads keep their priority");
    }
}
