//! How long calls take.
//!
//! Owns the histogram of one generation: fixed buckets from a microsecond to a
//! minute, so that the times of several generations can be added up. Recording
//! takes no lock and allocates nothing.
//!
//! **Invariant:** a call on its caller's own thread reads no clock unless it is
//! one of those that are timed, see [`Timed::some`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The upper bounds of the buckets, in nanoseconds. What takes longer than the
/// last is in one more.
const BOUNDS: [u64; 24] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// So many calls of a generation are all timed, so that one that is seldom
/// called shows what it does.
const ALL: u64 = 1024;

/// Of those after them on their callers' own threads, one in so many.
const SAMPLE: u64 = 16;

/// The clock of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    since: Instant,
    /// How many calls it stands for.
    weight: u64,
}

impl Timed {
    /// From now on, for this call alone.
    pub(crate) fn now() -> Self {
        Timed {
            since: Instant::now(),
            weight: 1,
        }
    }

    /// From now on, if the call of this number is one of those that are timed.
    #[inline]
    pub(crate) fn some(number: u64) -> Option<Self> {
        /// 2^64 by the golden ratio: its multiples are spread evenly, so that a
        /// pattern in the calls and the sample never go in step.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        if number < ALL {
            return Some(Self::now());
        }
        if number.wrapping_mul(SPREAD) > u64::MAX / SAMPLE {
            return None;
        }
        Some(Timed {
            weight: SAMPLE,
            ..Self::now()
        })
    }

    /// When it began.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }
}

/// The times of one generation's calls.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    pub(crate) const fn new() -> Self {
        Histogram {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            nanos: AtomicU64::new(0),
        }
    }

    /// A call is over.
    pub(crate) fn record(&self, timed: &Timed) {
        self.add(timed.since.elapsed(), timed.weight);
    }

    fn add(&self, took: Duration, weight: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanos);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(weight, Ordering::Relaxed);
        }
        self.nanos
            .fetch_add(nanos.saturating_mul(weight), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Latencies {
        Latencies {
            counts: std::array::from_fn(|bucket| {
                self.counts
                    .get(bucket)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// How long calls took, from their admission to their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    counts: [u64; BUCKETS],
    nanos: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies {
            counts: [0; BUCKETS],
            nanos: 0,
        }
    }
}

impl Latencies {
    /// How many calls they are of: each that was timed, as often as it counts.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What all of them took together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Each bucket's upper bound and how many calls took at most that long. The
    /// last has no bound, and counts all.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Some(Duration::from_nanos(*bound)));
        let mut all = 0_u64;
        bounds.chain([None]).zip(self.counts).map(move |(bound, count)| {
            all = all.saturating_add(count);
            (bound, all)
        })
    }

    /// Within what time so many of a hundred calls ended, as well as the buckets
    /// tell; nothing before the first call. At most the last bound.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = self.count().saturating_mul(percent).div_ceil(100).max(1);
        let (mut below, mut lower) = (0_u64, 0_u64);
        for (count, upper) in self.counts.iter().zip(BOUNDS) {
            let to = below.saturating_add(*count);
            if to >= rank {
                // As if the calls of a bucket were spread evenly over it.
                let share = u128::from(upper - lower) * u128::from(rank - below) / u128::from(*count);
                let share = u64::try_from(share).unwrap_or(upper - lower);
                return Some(Duration::from_nanos(lower + share));
            }
            (below, lower) = (to, upper);
        }
        (self.count() > 0).then(|| Duration::from_nanos(lower))
    }

    /// Adds those of another generation, or of another plugin.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.nanos = self.nanos.saturating_add(other.nanos);
    }
}

#[cfg(test)]
mod tests;
