//! The numbers of all plugins that are called; and the rests, in which nobody
//! calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use odeon_tests::numbers::Numbers;

use crate::host::soon;

/// How often a caller that rests looks whether it is over.
const REST: Duration = Duration::from_millis(1);

/// The plugins that are called, and whether that goes on.
pub(super) struct Storm {
    pub(super) short: Arc<Numbers>,
    pub(super) slow: Arc<Numbers>,
    pub(super) web: Arc<Numbers>,
    pub(super) provider: Arc<Numbers>,
    /// Of the plugin that uses the provider.
    pub(super) user: Arc<Numbers>,
    done: AtomicBool,
    rests: AtomicBool,
    resting: AtomicUsize,
}

impl Storm {
    /// So many versions of the plugin whose calls are short, and of the others
    /// some of whose answers only tell a version.
    pub(super) fn of(short: u64, others: u64) -> Arc<Self> {
        // Where every answer comes with its generation, three are enough: the one
        // before and the one after a generation differ from it and each other.
        const KNOWN: u64 = 3;
        Arc::new(Storm {
            short: Numbers::of(short),
            slow: Numbers::of(KNOWN),
            web: Numbers::of(others),
            provider: Numbers::of(others),
            user: Numbers::of(others),
            done: AtomicBool::new(false),
            rests: AtomicBool::new(false),
            resting: AtomicUsize::new(0),
        })
    }

    pub(super) fn is_over(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    /// Waits until none of so many callers has a call under way, and keeps them
    /// so.
    pub(super) async fn rest(&self, callers: usize) {
        self.rests.store(true, Ordering::SeqCst);
        soon("every caller rests", || {
            self.resting.load(Ordering::SeqCst) == callers
        })
        .await;
    }

    /// The rest is over.
    pub(super) async fn resume(&self) {
        self.rests.store(false, Ordering::SeqCst);
        soon("no caller rests", || self.resting.load(Ordering::SeqCst) == 0).await;
    }

    /// To be asked by a task before each call. Not answered during a rest.
    pub(super) async fn goes_on(&self) -> bool {
        if self.begins_to_rest() {
            while self.rests.load(Ordering::SeqCst) {
                tokio::time::sleep(REST).await;
            }
            self.has_rested();
        }
        !self.done.load(Ordering::SeqCst)
    }

    /// The same for a thread.
    pub(super) fn goes_on_here(&self) -> bool {
        if self.begins_to_rest() {
            while self.rests.load(Ordering::SeqCst) {
                std::thread::sleep(REST);
            }
            self.has_rested();
        }
        !self.done.load(Ordering::SeqCst)
    }

    fn begins_to_rest(&self) -> bool {
        let rests = self.rests.load(Ordering::SeqCst);
        if rests {
            self.resting.fetch_add(1, Ordering::SeqCst);
        }
        rests
    }

    fn has_rested(&self) {
        self.resting.fetch_sub(1, Ordering::SeqCst);
    }
}
