//! What time does to requests.
//!
//! Owns the one timer of the table: it ends pending requests whose time to
//! live or deadline has come, and signals running ones whose deadline has. No
//! request has a timer of its own, and accepting one costs a comparison.

use std::{sync::Arc, time::Duration};

use parking_lot::MutexGuard;
use tokio::time::Instant;

use super::{Entry, Requests, Table};
use crate::request::Request;

/// The least time between two looks at the whole table: what bounds the cost
/// of many deadlines that lie close together, and how late an end can be.
const LEAST_PAUSE: Duration = Duration::from_millis(5);

impl Requests {
    /// Ends or signals every request whose time has come, now.
    pub fn expire_due(&self) {
        let now = Instant::now();
        for request in self.take_due(now) {
            if let Some(again) = request.expire(now) {
                self.due_at(self.shared.table.lock(), again);
            }
        }
    }

    /// Does [`expire_due`](Self::expire_due) whenever it is time, until it is
    /// dropped. One per table is enough.
    ///
    /// A pending request gets its end at most a few milliseconds after its
    /// time has come, whether or not anybody tries to start it.
    pub async fn run_sweeper(self) {
        let mut swept: Option<Instant> = None;
        loop {
            let sooner = self.shared.sooner.notified();
            let next = self.shared.table.lock().next_due;
            let Some(next) = next else {
                sooner.await;
                continue;
            };
            let earliest = swept.and_then(|swept| swept.checked_add(LEAST_PAUSE));
            let at = earliest.map_or(next, |earliest| earliest.max(next));
            tokio::select! {
                () = tokio::time::sleep_until(at) => {
                    self.expire_due();
                    swept = Some(Instant::now());
                }
                () = sooner => {}
            }
        }
    }

    /// Has the sweeper look at the table at this time, or before.
    pub(super) fn due_at(&self, mut table: MutexGuard<'_, Table>, at: Instant) {
        if table.next_due.is_none_or(|next| at < next) {
            table.next_due = Some(at);
            drop(table);
            self.shared.sooner.notify_one();
        }
    }

    /// The requests whose time has come. Leaves `next_due` exact.
    fn take_due(&self, now: Instant) -> Vec<Arc<Request>> {
        let mut table = self.shared.table.lock();
        let mut due = Vec::new();
        if table.next_due.is_none_or(|next| next > now) {
            return due;
        }
        let mut next: Option<Instant> = None;
        for entry in table.known.values() {
            let Entry::Open(request) = entry else { continue };
            match request.due() {
                Some(at) if at <= now => due.push(request.clone()),
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        table.next_due = next;
        due
    }
}
