//! How long a client may keep the host waiting.
//!
//! Owns the clock of a connection: for the head of a request, between two of
//! them, and for whoever sends or reads less than a little. Who takes longer is
//! disconnected.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::listen::Stream;

/// What a client that is waited for sends or reads at least, in bytes a second.
const LEAST: u64 = 1024;

/// How much of what came before a head is looked at with it, at most, in bytes.
pub(super) const MOST_SEEN: usize = 128 * 1024;

/// How much room for that a connection keeps between its requests, in bytes.
const KEPT: usize = 4 * 1024;

/// The times of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) stall: Duration,
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests, since then.
    Idle(Instant),
    /// A head has begun to come.
    Head(Instant),
    /// A request is answered.
    Busy,
}

/// What the connection, its request and its response know of each other.
#[derive(Clone)]
pub(super) struct Pace(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    /// What came since the last response was complete.
    seen: Vec<u8>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace(Arc::new(Mutex::new(State {
            phase: Phase::Idle(Instant::now()),
            seen: Vec::new(),
        })))
    }

    /// A request is there. Its head is looked at with what was seen.
    pub(super) fn begin<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        let mut state = self.0.lock();
        state.phase = Phase::Busy;
        let looked = look(&state.seen);
        // The room for one of the usual size is used again.
        match state.seen.capacity() <= KEPT {
            true => state.seen.clear(),
            false => state.seen = Vec::new(),
        }
        looked
    }

    /// The response is complete: whatever comes now belongs to the next request.
    pub(super) fn complete(&self) {
        let mut state = self.0.lock();
        if state.phase == Phase::Busy {
            state.phase = Phase::Idle(Instant::now());
        }
    }

    fn saw(&self, bytes: &[u8]) {
        let mut state = self.0.lock();
        match state.phase {
            Phase::Busy => return,
            Phase::Idle(_) if !bytes.is_empty() => state.phase = Phase::Head(Instant::now()),
            Phase::Idle(_) | Phase::Head(_) => {}
        }
        let room = MOST_SEEN.saturating_sub(state.seen.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        state.seen.extend_from_slice(kept);
    }

    fn until(&self, times: &Times) -> Option<Instant> {
        match self.0.lock().phase {
            Phase::Idle(since) => since.checked_add(times.idle),
            Phase::Head(since) => since.checked_add(times.head),
            Phase::Busy => None,
        }
    }
}

/// For how long somebody may be waited for: used up by waiting, and got back by
/// what comes. Whoever waits is woken up now and then to say so: time in which
/// nobody asks, as a guest that does something else, is not the client's.
pub(super) struct Patience {
    left: Duration,
    most: Duration,
    /// When somebody last asked, and nothing could be done.
    asked: Option<Instant>,
    /// Rings no later than an ask counts.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// For how long an ask counts that is not asked again.
const ASK: Duration = Duration::from_millis(100);

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Patience {
            left: most,
            most,
            asked: None,
            alarm: None,
        }
    }

    /// Nothing can be done now. Ready when there is no patience left.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let left = self.ask(now);
            if left.is_zero() {
                return Poll::Ready(());
            }
            let next = now + left.min(ASK);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if alarm.is_elapsed() {
                alarm.as_mut().reset(next);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// So many bytes were moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        if self.asked.is_some() {
            let earned = Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / LEAST);
            let left = self.left.saturating_sub(self.waited(Instant::now()));
            self.left = left.saturating_add(earned).min(self.most);
            self.asked = None;
            self.alarm = None;
        }
    }

    /// Somebody asks at this time. Gives what patience is left.
    fn ask(&mut self, now: Instant) -> Duration {
        self.left = self.left.saturating_sub(self.waited(now));
        self.asked = Some(now);
        self.left
    }

    /// How much of the time since the last ask was waited.
    fn waited(&self, now: Instant) -> Duration {
        self.asked.map_or(Duration::ZERO, |asked| {
            now.saturating_duration_since(asked).min(ASK)
        })
    }
}

/// A connection whose client is waited for only so long.
pub(super) struct Paced<S> {
    stream: Stream<S>,
    pace: Pace,
    times: Times,
    /// Rings no later than the time that holds.
    alarm: Option<Pin<Box<Sleep>>>,
    writing: Patience,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace, times: Times) -> Self {
        Paced {
            stream: Stream::new(stream),
            pace,
            times,
            alarm: None,
            writing: Patience::new(times.stall),
        }
    }

    /// Whether the time for what the connection is at is over. An alarm that
    /// rings too early is set again, so that most requests set none.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(until) = self.pace.until(&self.times) else {
            return false;
        };
        loop {
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if alarm.deadline() > until {
                alarm.as_mut().reset(until);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return false;
            }
            if Instant::now() >= until {
                return true;
            }
            alarm.as_mut().reset(until);
        }
    }

    fn stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.writing.poll_wait(cx) {
            Poll::Ready(()) => Poll::Ready(Err(late("the client does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn late(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, words)
}

impl<S: AsyncRead + Unpin> Read for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let pace = &this.pace;
        match this.stream.poll_read_seen(cx, into, |bytes| pace.saw(bytes)) {
            Poll::Pending if this.is_late(cx) => Poll::Ready(Err(late("the client sent no request in time"))),
            polled => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Pending => this.stalled(cx),
            Poll::Ready(written) => {
                this.writing.moved(*written.as_ref().unwrap_or(&0));
                Poll::Ready(written)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(cx) {
            Poll::Pending => this.stalled(cx),
            ready => {
                // Nobody is waited for now.
                this.writing.moved(0);
                ready
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_shutdown(cx) {
            Poll::Pending => this.stalled(cx),
            ready => ready,
        }
    }
}

#[cfg(test)]
mod tests;
