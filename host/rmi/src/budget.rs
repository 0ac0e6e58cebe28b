//! The bytes that a host holds for its callers.
//!
//! Owns one number for all of them: arguments of requests that have not ended,
//! results that nobody has fetched, messages that have not arrived whole. A
//! share is a guard, so that what is dropped, by whatever hand, is given back.
//!
//! **Invariant:** no peer fills the budget: whenever he takes a share, at least
//! half of all he then holds stays free. A peer is one connection. Whoever is
//! first may have two thirds, who comes next two thirds of the rest, and nothing
//! is taken back: after `n` of them a 3^n-th is free, and in the end everybody
//! lives on what does not count.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use odeon_protocol::{Code, Fault};
use parking_lot::Mutex;

/// What each holder has for nothing, in bytes: whoever fills the budget keeps
/// nobody from small calls. As many holders as may be open bound the sum.
const FREE: usize = 4 * 1024;

/// How many bytes are held, of how many.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    /// What all of them hold. Every holder's own number changes under this
    /// lock too: who checks sees both as they are, and no share that is refused.
    held: Mutex<usize>,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Budget {
            limit,
            held: Mutex::new(0),
        })
    }
}

/// In whose name bytes are held. Cheap to clone; all clones are one account.
#[derive(Clone, Debug)]
pub struct Account(Arc<Holder>);

#[derive(Debug)]
struct Holder {
    budget: Arc<Budget>,
    /// Read and written under the budget's lock.
    held: AtomicUsize,
    /// He has to leave half as much as he holds.
    is_peer: bool,
}

impl Account {
    /// The account of whoever may use up all there is.
    pub(crate) fn unshared(budget: Arc<Budget>) -> Self {
        Account::new(budget, false)
    }

    /// A new account of one among many.
    pub(crate) fn of_a_peer(&self) -> Self {
        Account::new(self.0.budget.clone(), true)
    }

    fn new(budget: Arc<Budget>, is_peer: bool) -> Self {
        Account(Arc::new(Holder {
            budget,
            held: AtomicUsize::new(0),
            is_peer,
        }))
    }

    pub(crate) fn held_by_all(&self) -> usize {
        *self.0.budget.held.lock()
    }

    /// A share of nothing yet.
    pub fn share(&self) -> Share {
        Share {
            account: self.clone(),
            bytes: 0,
        }
    }

    fn take(&self, more: usize) -> Result<(), Fault> {
        let Holder {
            budget,
            held,
            is_peer,
        } = &*self.0;
        let mut all = budget.held.lock();
        let before = held.load(Ordering::Relaxed);
        let own = before.saturating_add(more);
        let to_leave = if *is_peer { own.div_ceil(2) } else { 0 };
        let room = |all: usize| {
            let sum = all.checked_add(more)?;
            (sum.checked_add(to_leave)? <= budget.limit).then_some(sum)
        };
        let found = *all;
        if let Some(sum) = room(found) {
            *all = sum;
            held.store(own, Ordering::Relaxed);
            return Ok(());
        }
        drop(all);
        Err(self.refusal(more, before, found))
    }

    fn give_back(&self, less: usize) {
        if less == 0 {
            // Most shares are of nothing: they wait for nobody.
            return;
        }
        let mut all = self.0.budget.held.lock();
        *all = all.saturating_sub(less);
        self.0.held.fetch_sub(less, Ordering::Relaxed);
    }

    /// What somebody is told for whom nothing is left.
    fn refusal(&self, more: usize, own: usize, all: usize) -> Fault {
        let limit = self.0.budget.limit;
        let text = if all.checked_add(more).is_none_or(|sum| sum > limit) {
            format!(
                "the host holds {all} bytes of requests and results, of {limit} that it takes; try again later"
            )
        } else {
            format!(
                "the host holds {own} bytes of requests and results for this caller, and with {more} more too \
                 few would be left to others; read the results that are there, or try again later"
            )
        };
        Fault::new(Code::Overloaded, text)
    }
}

/// Bytes of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    account: Account,
    bytes: usize,
}

impl Share {
    /// Holds this many bytes from now on, instead of those of before.
    ///
    /// # Errors
    ///
    /// `ODN-1006` when there are not as many, or too few would be left to
    /// others. It then holds what it held.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Fault> {
        let counted = bytes.saturating_sub(FREE);
        match counted.checked_sub(self.bytes) {
            None => self.account.give_back(self.bytes.saturating_sub(counted)),
            Some(0) => {}
            Some(more) => self.account.take(more)?,
        }
        self.bytes = counted;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}
