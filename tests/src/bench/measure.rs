//! Two pieces of work, timed in turns.
//!
//! Owns the way of measuring: both sides warm, samples of about a millisecond,
//! taken alternately so that whatever else the machine does falls on both
//! alike, and the median of each.

use std::hint::black_box;
use std::time::Duration;

use crate::clock::thread_cpu;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Enough for numbers to compare.
    Full,
    /// Enough to see that every row can be measured.
    Quick,
    /// Enough for a profiler to see nothing else.
    Long,
}

impl Effort {
    /// `full` rounds, or two, or many times as many.
    pub(super) fn rounds(self, full: usize) -> usize {
        match self {
            Effort::Full => full,
            Effort::Quick => 2,
            Effort::Long => full.saturating_mul(40),
        }
    }
}

/// How long one sample takes.
const SAMPLE: Duration = Duration::from_millis(1);

/// How often each side is done before anything is measured.
const WARM: u32 = 3;

/// The clocks that a sample can be taken on.
#[derive(Clone, Copy)]
pub(super) enum Clock {
    /// Processor time of this thread: for work that one thread does alone.
    ThreadCpu,
}

impl Clock {
    fn time(self, work: impl FnOnce()) -> Duration {
        match self {
            Clock::ThreadCpu => {
                let began = thread_cpu();
                work();
                thread_cpu() - began
            }
        }
    }
}

/// One side of a comparison: a piece of work, and how often it is done in a sample.
struct Side<F> {
    work: F,
    turns: u32,
    samples: Vec<f64>,
}

impl<F: FnMut()> Side<F> {
    /// Warms up, and finds out how many turns make a sample.
    fn new(mut work: F, clock: Clock, effort: Effort) -> Self {
        let mut turns = 1_u32;
        if effort != Effort::Quick {
            // The first makes what all others find, and would pass for a long one.
            (0..WARM).for_each(|_| work());
            loop {
                let took = clock.time(|| (0..turns).for_each(|_| work()));
                if took >= SAMPLE / 2 || turns >= 1 << 24 {
                    let wanted = f64::from(turns) * SAMPLE.as_secs_f64() / took.as_secs_f64().max(1e-9);
                    turns = (wanted.ceil() as u32).max(1);
                    break;
                }
                turns *= 2;
            }
        }
        Side {
            work,
            turns,
            samples: Vec::new(),
        }
    }

    fn sample(&mut self, clock: Clock) {
        let Side { work, turns, samples } = self;
        let took = clock.time(|| (0..*turns).for_each(|_| work()));
        samples.push(took.as_secs_f64() * 1e9 / f64::from(*turns));
    }
}

/// Nanoseconds that a turn of `value` and one of `baseline` take: the medians
/// of `rounds` samples each, taken in turns.
pub(super) fn compare(
    effort: Effort,
    clock: Clock,
    rounds: usize,
    value: impl FnMut(),
    baseline: impl FnMut(),
) -> (f64, f64) {
    let mut value = Side::new(value, clock, effort);
    let mut baseline = Side::new(baseline, clock, effort);
    for round in 0..effort.rounds(rounds) {
        // Whoever comes second finds the caches as the first left them, so
        // that each side comes second half of the time.
        if round % 2 == 0 {
            value.sample(clock);
            baseline.sample(clock);
        } else {
            baseline.sample(clock);
            value.sample(clock);
        }
    }
    (median(value.samples), median(baseline.samples))
}

/// The middle one.
pub(super) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    black_box(samples[samples.len() / 2])
}
