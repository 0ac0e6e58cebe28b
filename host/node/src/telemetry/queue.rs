//! What waits to be sent.
//!
//! Owns its bound: what comes when it is full is dropped and counted. Whoever
//! puts something in holds a lock for that long and waits for nothing. One task
//! takes it out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most that waits.
pub(super) const MOST: usize = 4096;
/// The most that is sent at once.
pub(super) const BATCH: usize = 512;

/// A queue of one kind of things.
pub(super) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    /// There is a whole batch, which was not there before.
    ready: Notify,
    counts: Counts,
}

/// What became of the things.
#[derive(Default)]
pub(super) struct Counts {
    /// The collector took them.
    pub(super) sent: AtomicU64,
    /// There was no room.
    pub(super) full: AtomicU64,
    /// The collector did not take them.
    pub(super) untaken: AtomicU64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Queue {
            items: Mutex::default(),
            ready: Notify::new(),
            counts: Counts::default(),
        }
    }

    /// Puts one in, or drops it.
    pub(super) fn push(&self, item: T) {
        let mut items = self.items.lock();
        if items.len() >= MOST {
            drop(items);
            self.counts.full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        items.push_back(item);
        let whole = items.len() == BATCH;
        drop(items);
        if whole {
            self.ready.notify_one();
        }
    }

    /// Waits until there is a whole batch. Cancellation safe.
    pub(super) async fn whole(&self) {
        // Not only when it becomes one: much may have come while something was
        // sent, and whoever waits to be told of that waits for nothing.
        while self.len() < BATCH {
            self.ready.notified().await;
        }
    }

    /// The oldest, as many as are sent at once.
    pub(super) fn batch(&self) -> Vec<T> {
        let mut items = self.items.lock();
        let count = items.len().min(BATCH);
        items.drain(..count).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.items.lock().len()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Enforced by `Queue::push`.
    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let queue = Queue::new();
        (0..MOST + 3).for_each(|number| queue.push(number));
        assert_eq!(queue.len(), MOST);
        assert_eq!(queue.counts().full.load(Ordering::Relaxed), 3);
        let first = queue.batch();
        assert_eq!((first.len(), first[0], first[BATCH - 1]), (BATCH, 0, BATCH - 1));
        queue.push(0);
        assert_eq!(queue.len(), MOST - BATCH + 1, "there is room again");
        assert_eq!(queue.counts().full.load(Ordering::Relaxed), 3);
    }

    /// Enforced by `Queue::whole`.
    #[tokio::test]
    async fn a_whole_batch_is_a_reason_to_send_for_as_long_as_it_is_there() {
        let queue = Queue::new();
        let is_whole = || queue.whole().now_or_never().is_some();
        (1..BATCH).for_each(|number| queue.push(number));
        assert!(!is_whole());
        (0..=BATCH).for_each(|number| queue.push(number));
        assert!(is_whole() && is_whole(), "however often it is asked");
        queue.batch();
        assert!(is_whole(), "the rest is one too");
        queue.batch();
        assert!(!is_whole());
    }
}
