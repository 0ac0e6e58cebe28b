//! From the queues to the collector.
//!
//! Owns when something is sent and how often that is tried. Spans and lines have
//! a task each, so that neither waits for the other; whatever they do not get rid
//! of in time is counted as dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use odeon_protocol::Fault;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::complaint::Complaints;
use super::post::{Told, post};
use super::queue::{BATCH, Counts, Owned, Queue};
use super::record::{LogRecord, Span};
use super::{FLUSH, Shared, headers, json};
use crate::load::blocking;

/// How long something waits at most for others to be sent with.
const EVERY: Duration = Duration::from_secs(2);
/// For how long one is tried again, and the pauses between.
const RETRY_FOR: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Sends one kind until the end.
pub(super) async fn run<T: Signal>(shared: Arc<Shared>, stop: CancellationToken) {
    let over = async {
        shared.closing.cancelled().await;
        tokio::time::sleep(FLUSH).await;
    };
    let queue = T::queue(&shared);
    let mut exporter = Exporter {
        shared: &shared,
        queue,
        complaints: Complaints::new(shared.address, T::NAME),
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = exporter.work() => {}
        () = over => {}
    }
    // Whatever is left is sent by nobody.
    queue.give_up();
    exporter.complaints.lost(queue.counts(), true);
}

/// What is sent in one message.
pub(super) trait Signal: Owned + Sized + Send + 'static {
    const NAME: &'static str;
    const PATH: &'static str;
    /// Where the collector says how many it has not taken.
    const REJECTED: &'static str;

    /// Where it waits.
    fn queue(shared: &Shared) -> &Queue<Self>;

    fn message(instance: &str, batch: &[Self]) -> Value;
}

impl Signal for Span {
    const NAME: &'static str = "spans";
    const PATH: &'static str = "/v1/traces";
    const REJECTED: &'static str = "rejectedSpans";

    fn queue(shared: &Shared) -> &Queue<Self> {
        &shared.spans
    }

    fn message(instance: &str, batch: &[Self]) -> Value {
        json::spans(instance, batch)
    }
}

impl Signal for LogRecord {
    const NAME: &'static str = "logs";
    const PATH: &'static str = "/v1/logs";
    const REJECTED: &'static str = "rejectedLogRecords";

    fn queue(shared: &Shared) -> &Queue<Self> {
        &shared.logs
    }

    fn message(instance: &str, batch: &[Self]) -> Value {
        json::logs(instance, batch)
    }
}

struct Exporter<'s, T> {
    shared: &'s Shared,
    queue: &'s Queue<T>,
    complaints: Complaints,
}

/// Things on their way. Dropping it says that the collector did not take them.
struct Held<'q> {
    counts: &'q Counts,
    count: u64,
}

impl Held<'_> {
    /// The collector took all but this many.
    fn taken_but(mut self, rejected: u64) {
        let rejected = rejected.min(self.count);
        self.counts
            .sent
            .fetch_add(self.count - rejected, Ordering::Relaxed);
        self.count = rejected;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        add(&self.counts.untaken, self.count);
    }
}

fn add(to: &AtomicU64, count: u64) {
    to.fetch_add(count, Ordering::Relaxed);
}

impl<T: Owned> Queue<T> {
    /// Drops what is in it.
    fn give_up(&self) {
        loop {
            let left = self.batch().len();
            if left == 0 {
                return;
            }
            add(&self.counts().untaken, left as u64);
        }
    }
}

impl<T: Signal> Exporter<'_, T> {
    async fn work(&mut self) {
        let mut times = tokio::time::interval(EVERY);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (count, last) = tokio::select! {
                biased;
                // What came before this was said is in the queue.
                () = self.shared.closing.cancelled() => (self.queue.len(), true),
                () = self.queue.whole() => (BATCH, false),
                // What comes meanwhile waits for the next time.
                _ = times.tick() => (self.queue.len(), false),
            };
            self.send(count).await;
            self.complaints.lost(self.queue.counts(), false);
            if last {
                return;
            }
        }
    }

    /// Sends so many of what is there.
    async fn send(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let batch = self.queue.batch();
            left = left.saturating_sub(batch.len().max(1));
            if !batch.is_empty() {
                self.deliver(batch).await;
            }
        }
    }

    async fn deliver(&mut self, batch: Vec<T>) {
        let held = Held {
            counts: self.queue.counts(),
            count: batch.len() as u64,
        };
        let instance = self.shared.instance.clone();
        let written = blocking(move || serde_json::to_vec(&T::message(&instance, &batch)));
        let body = match written.await {
            Ok(Ok(body)) => Bytes::from(body),
            Ok(Err(error)) => return self.complaints.not_taken(&error.to_string()),
            Err(fault) => return self.complaints.not_taken(&fault.message),
        };
        let until = Instant::now() + RETRY_FOR;
        let mut pause = FIRST_PAUSE;
        loop {
            // Whoever closes while this waits has it tried once more, at once.
            let last = self.shared.closing.is_cancelled();
            let (why, after) = match self.attempt(T::PATH, body.clone()).await {
                Told::Taken(answer) => {
                    let part = json::partial(&answer, T::REJECTED);
                    self.complaints.taken_in_part(&part);
                    return held.taken_but(part.rejected);
                }
                Told::Refused(status) => return self.complaints.not_taken(&format!("it says {status}")),
                Told::NotNow { why, after } => (why, after),
            };
            self.complaints.not_taken(&why);
            self.complaints.lost(self.queue.counts(), false);
            let left = until.saturating_duration_since(Instant::now());
            if last || left < pause {
                return;
            }
            // It is not asked before it wants to be, but once more in any case.
            let wait = after.map_or(pause, |after| after.clamp(pause, left));
            let closing = self.shared.closing.cancelled();
            // Early or not, it is tried again.
            tokio::time::timeout(wait, closing).await.ok();
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, path: &'static str, body: Bytes) -> Told {
        let fields = match self.shared.headers.clone() {
            None => Ok(http::HeaderMap::new()),
            Some(file) => blocking(move || headers::read(&file))
                .await
                .map_err(|fault: Fault| fault.message)
                .and_then(|read| read.map_err(|why| format!("telemetry.headers: {why}"))),
        };
        let fields = match fields {
            Ok(fields) => fields,
            // It may be in the middle of being put in its place.
            Err(why) => return Told::NotNow { why, after: None },
        };
        post(self.shared.address, path, fields, body).await
    }
}
