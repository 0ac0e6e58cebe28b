//! The bytes that a host holds for its callers.
//!
//! Owns one number for all of them: arguments of requests that have not ended,
//! results that nobody has fetched, messages that have not arrived whole. A
//! share is a guard, so that what is dropped, by whatever hand, is given back.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use odeon_protocol::{Code, Fault};

/// What each holder has for nothing, in bytes: whoever fills the budget keeps
/// nobody from small calls. As many holders as may be open bound the sum.
const FREE: usize = 4 * 1024;

/// How many bytes are held, of how many.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    held: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Budget {
            limit,
            held: AtomicUsize::new(0),
        })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// A share of this many bytes, if there are as many.
    pub(crate) fn share(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut share = Share::of(self.clone());
        share.set(bytes).then_some(share)
    }

    /// What somebody is told for whom nothing is left.
    pub(crate) fn used_up(&self) -> Fault {
        let text = format!(
            "the host holds {} bytes of requests and results, which is all it takes; try again later",
            self.limit
        );
        Fault::new(Code::Overloaded, text)
    }
}

/// Bytes of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    pub(crate) fn of(budget: Arc<Budget>) -> Self {
        Share { budget, bytes: 0 }
    }

    /// Holds this many bytes from now on, instead of those of before.
    ///
    /// # Errors
    ///
    /// `ODN-1006` when there are not as many. It then holds what it held.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Fault> {
        if self.set(bytes) {
            return Ok(());
        }
        Err(self.budget.used_up())
    }

    /// Whether it holds as many now.
    fn set(&mut self, bytes: usize) -> bool {
        let counted = bytes.saturating_sub(FREE);
        let fits = match counted.checked_sub(self.bytes) {
            None => {
                let less = self.bytes.saturating_sub(counted);
                self.budget.held.fetch_sub(less, Ordering::Relaxed);
                true
            }
            Some(0) => true,
            Some(more) => {
                let limit = self.budget.limit;
                let room = |held: usize| held.checked_add(more).filter(|sum| *sum <= limit);
                let held = &self.budget.held;
                held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
                    .is_ok()
            }
        };
        if fits {
            self.bytes = counted;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
