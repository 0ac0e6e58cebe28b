//! Resident instances that are kept between calls.
//!
//! Owns them while nobody calls them. **Invariant:** an instance is in here or
//! with the one call that took it, never both.

use crossbeam_utils::atomic::AtomicCell;
use parking_lot::Mutex;

use crate::instance::Instance;

/// The free instances of one plugin generation. Most plugins keep one, which
/// changes hands with every call: that one is exchanged in one step, and only
/// further ones go by way of a lock.
#[derive(Default)]
pub(super) struct Idle {
    last: AtomicCell<Option<Box<Instance>>>,
    #[allow(
        clippy::vec_box,
        reason = "an instance is large and changes hands with every call"
    )]
    others: Mutex<Vec<Box<Instance>>>,
}

impl Idle {
    /// The one that was put back last, or another of `workers`.
    #[inline]
    pub(super) fn take(&self, workers: usize) -> Option<Box<Instance>> {
        match self.last.take() {
            None if workers > 1 => self.others.lock().pop(),
            last => last,
        }
    }

    #[inline]
    pub(super) fn put(&self, instance: Box<Instance>) {
        if let Some(other) = self.last.swap(Some(instance)) {
            self.others.lock().push(other);
        }
    }
}

const _: () = assert!(
    AtomicCell::<Option<Box<Instance>>>::is_lock_free(),
    "every call exchanges one"
);
