//! The places that open files and directories take.
//!
//! Owns the count of what one plugin has open over all its instances. A place
//! is given back when the last of what keeps the file open is dropped: its
//! descriptor, a stream of it, a listing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A place among the files a plugin may have open.
pub(crate) struct Opened(Arc<AtomicUsize>);

impl Opened {
    /// Takes a place if fewer than `limit` are taken.
    pub(super) fn take(open: &Arc<AtomicUsize>, limit: u64) -> Option<Arc<Self>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let taken = open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            (open < limit).then(|| open.saturating_add(1))
        });
        taken.ok().map(|_| Arc::new(Opened(open.clone())))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
