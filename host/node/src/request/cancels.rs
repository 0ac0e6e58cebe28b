//! How many cancels of one principal the audit has a line for.
//!
//! Owns the counting: whoever cancels without end fills neither the disk nor
//! the queue that other lines wait in. What is not written is counted, and the
//! log says how many there were.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use parking_lot::Mutex;

/// The cancels of one principal that are written within one interval.
const WRITTEN: u64 = 64;
/// The principals that are told apart at a time; the others share one count.
const PRINCIPALS: usize = 64;

pub(crate) struct Cancels {
    interval: Duration,
    counts: Mutex<HashMap<Option<Principal>, Count>>,
}

struct Count {
    since: Instant,
    cancels: u64,
}

impl Cancels {
    pub(crate) fn new(interval: Duration) -> Self {
        Cancels {
            interval,
            counts: Mutex::default(),
        }
    }

    /// Counts a cancel. Whether the audit gets a line for it.
    pub(crate) fn may_write(&self, principal: &Principal, now: Instant) -> bool {
        let over = |count: &Count| now.saturating_duration_since(count.since) >= self.interval;
        let mut counts = self.counts.lock();
        let mut who = Some(principal.clone());
        if !counts.contains_key(&who) && counts.len() >= PRINCIPALS {
            counts.retain(|_, count| !over(count));
            if counts.len() >= PRINCIPALS {
                who = None;
            }
        }
        let count = counts.entry(who).or_insert(Count {
            since: now,
            cancels: 0,
        });
        if over(count) {
            let unwritten = count.cancels.saturating_sub(WRITTEN);
            if unwritten > 0 {
                tracing::warn!(%principal, unwritten, "cancels beyond the rate of the audit were not written");
            }
            *count = Count {
                since: now,
                cancels: 0,
            };
        }
        count.cancels = count.cancels.saturating_add(1);
        count.cancels <= WRITTEN
    }
}
