//! What waits to be sent.
//!
//! Owns its bound: what comes when it is full is dropped and counted. Whoever
//! puts something in holds a lock for that long and waits for nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The most that waits.
pub(super) const MOST: usize = 4096;
/// The most that is sent at once.
pub(super) const BATCH: usize = 512;

/// A queue of one kind of things.
pub(super) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
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
            counts: Counts::default(),
        }
    }

    /// Puts one in, or drops it. Whether there is a whole batch now, which was
    /// not there before.
    pub(super) fn push(&self, item: T) -> bool {
        let mut items = self.items.lock();
        if items.len() >= MOST {
            drop(items);
            self.counts.full.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        items.push_back(item);
        items.len() == BATCH
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
    use super::*;

    /// Enforced by `Queue::push`.
    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let queue = Queue::new();
        let whole: Vec<usize> = (0..MOST + 3).filter(|number| queue.push(*number)).collect();
        assert_eq!(whole, [BATCH - 1], "told once");
        assert_eq!(queue.len(), MOST);
        assert_eq!(queue.counts().full.load(Ordering::Relaxed), 3);
        let first = queue.batch();
        assert_eq!((first.len(), first[0], first[BATCH - 1]), (BATCH, 0, BATCH - 1));
        assert!(!queue.push(0), "there is room again");
        assert_eq!(queue.counts().full.load(Ordering::Relaxed), 3);
    }
}
