//! What waits to be sent.
//!
//! Owns its bounds: what has no room is dropped and counted. No plugin takes the
//! room of the others, and all of them leave some to the host itself. Whoever
//! puts something in holds a lock for that long and waits for nothing. One task
//! takes it out.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use odeon_protocol::PluginName;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most that waits.
pub(super) const MOST: usize = 4096;
/// The most that is sent at once.
pub(super) const BATCH: usize = 512;
/// Room that no plugin's takes.
const RESERVE: usize = MOST / 8;

/// What can wait.
pub(super) trait Owned {
    /// The most of one plugin's that waits.
    const SHARE: usize;

    /// The plugin whose room it takes; none for what is the host's own.
    fn owner(&self) -> Option<&PluginName>;
}

/// A queue of one kind of things.
pub(super) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    /// There is a whole batch, which was not there before.
    ready: Notify,
    counts: Counts,
}

struct Waiting<T> {
    items: VecDeque<T>,
    /// How many of them are of each plugin of which there are any.
    of: HashMap<PluginName, usize>,
}

impl<T: Owned> Waiting<T> {
    fn has_room(&self, item: &T) -> bool {
        let Some(owner) = item.owner() else {
            return self.items.len() < MOST;
        };
        let own = self.of.get(owner).copied().unwrap_or_default();
        own < T::SHARE && self.items.len() < MOST - RESERVE
    }

    fn push(&mut self, item: T) {
        if let Some(owner) = item.owner() {
            match self.of.get_mut(owner) {
                Some(own) => *own = own.saturating_add(1),
                None => drop(self.of.insert(owner.clone(), 1)),
            }
        }
        self.items.push_back(item);
    }

    fn take(&mut self, most: usize) -> Vec<T> {
        let count = self.items.len().min(most);
        let taken: Vec<T> = self.items.drain(..count).collect();
        for owner in taken.iter().filter_map(T::owner) {
            let left = self.of.get_mut(owner).map_or(0, |own| {
                *own = own.saturating_sub(1);
                *own
            });
            if left == 0 {
                self.of.remove(owner);
            }
        }
        taken
    }
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

impl<T: Owned> Queue<T> {
    pub(super) fn new() -> Self {
        Queue {
            waiting: Mutex::new(Waiting {
                items: VecDeque::new(),
                of: HashMap::new(),
            }),
            ready: Notify::new(),
            counts: Counts::default(),
        }
    }

    /// Puts one in, or drops it.
    pub(super) fn push(&self, item: T) {
        let mut waiting = self.waiting.lock();
        if !waiting.has_room(&item) {
            drop(waiting);
            self.counts.full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push(item);
        let whole = waiting.items.len() == BATCH;
        drop(waiting);
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
        self.waiting.lock().take(BATCH)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.lock().items.len()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Item(Option<PluginName>, usize);

    const SHARE: usize = MOST / 8;

    impl Owned for Item {
        const SHARE: usize = SHARE;

        fn owner(&self) -> Option<&PluginName> {
            self.0.as_ref()
        }
    }

    fn own(number: usize) -> Item {
        Item(None, number)
    }

    fn of(plugin: usize) -> Item {
        Item(Some(format!("plugin-{plugin}").parse().unwrap()), 0)
    }

    /// Enforced by `Waiting::has_room`.
    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let queue = Queue::new();
        (0..MOST + 3).for_each(|number| queue.push(own(number)));
        assert_eq!(queue.len(), MOST);
        assert_eq!(queue.counts().full.load(Ordering::Relaxed), 3);
        let first = queue.batch();
        assert_eq!(first.len(), BATCH);
        assert_eq!((&first[0], &first[BATCH - 1]), (&own(0), &own(BATCH - 1)));
        queue.push(own(0));
        assert_eq!(queue.len(), MOST - BATCH + 1, "there is room again");
        assert_eq!(queue.counts().full.load(Ordering::Relaxed), 3);
    }

    /// Enforced by `Waiting::has_room`.
    #[test]
    fn a_plugin_has_its_share_and_the_host_what_all_of_them_leave() {
        let queue = Queue::new();
        (0..=SHARE).for_each(|_| queue.push(of(0)));
        assert_eq!(queue.len(), SHARE);
        (1..9).for_each(|plugin| (0..SHARE).for_each(|_| queue.push(of(plugin))));
        assert_eq!(queue.len(), MOST - RESERVE);
        (0..=RESERVE).for_each(|number| queue.push(own(number)));
        assert_eq!(queue.len(), MOST);
        // What was taken out is no part of a share any more.
        assert!(queue.batch().iter().all(|item| *item == of(0)));
        while !queue.batch().is_empty() {}
        assert!(queue.waiting.lock().of.is_empty());
        (0..=SHARE).for_each(|_| queue.push(of(0)));
        assert_eq!(queue.len(), SHARE);
    }

    /// Enforced by `Queue::whole`.
    #[tokio::test]
    async fn a_whole_batch_is_a_reason_to_send_for_as_long_as_it_is_there() {
        let queue = Queue::new();
        let is_whole = || queue.whole().now_or_never().is_some();
        (1..BATCH).for_each(|number| queue.push(own(number)));
        assert!(!is_whole());
        (0..=BATCH).for_each(|number| queue.push(own(number)));
        assert!(is_whole() && is_whole(), "however often it is asked");
        queue.batch();
        assert!(is_whole(), "the rest is one too");
        queue.batch();
        assert!(!is_whole());
    }
}
