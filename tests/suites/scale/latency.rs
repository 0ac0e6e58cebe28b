//! How long calls take at several hosts: measured in turns of less than a
//! millisecond, so that whatever else the machine does falls on all of them
//! alike, and of each the tenth that took least, because whatever else the machine
//! does can only add. A comparison that does not hold is made again, and each
//! side keeps the least it ever took.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use odeon::Host;
use odeon_tests::clock::until;
use odeon_tests::ground::add;

/// Samples of each, and calls of a sample.
const ROUNDS: usize = 200;
const CALLS: usize = 64;

/// How often a comparison is made at most.
const ATTEMPTS: usize = 5;

/// What another thread does meanwhile.
const QUIET: usize = 0;
const COUNTS: usize = 1;
const CALLS_THE_OTHER: usize = 2;

/// The least that each of these takes, of as many attempts as it needs to hold.
fn at_best<const N: usize>(
    mut measure: impl FnMut() -> [f64; N],
    holds: impl Fn(&[f64; N]) -> bool,
) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..ATTEMPTS {
        for (best, found) in best.iter_mut().zip(measure()) {
            *best = best.min(found);
        }
        if holds(&best) {
            break;
        }
    }
    best
}

/// The names of a method of so many plugins.
fn methods(plugins: usize) -> Vec<String> {
    (0..plugins).map(|number| format!("p{number}/add")).collect()
}

/// Nanoseconds of a call of the same plugin again and again, at each of these
/// hosts.
pub(crate) fn of_one<const N: usize>(hosts: [&Host; N], holds: impl Fn(&[f64; N]) -> bool) -> [f64; N] {
    let mut calls = hosts.map(|host| move || add(host, "p0/add"));
    at_best(|| in_turns(&mut calls), holds)
}

/// Nanoseconds of a call of one plugin after the other, at hosts of so many.
pub(crate) fn of_each<const N: usize>(
    hosts: [(&Host, usize); N],
    holds: impl Fn(&[f64; N]) -> bool,
) -> [f64; N] {
    let mut calls = hosts.map(|(host, plugins)| {
        let (methods, mut next) = (methods(plugins), 0);
        move || {
            add(host, &methods[next]);
            next = (next + 1) % methods.len();
        }
    });
    at_best(|| in_turns(&mut calls), holds)
}

fn in_turns<const N: usize>(calls: &mut [impl FnMut(); N]) -> [f64; N] {
    let mut samples = [const { Vec::new() }; N];
    for round in 0..ROUNDS + 1 {
        for (call, samples) in calls.iter_mut().zip(&mut samples) {
            let took = sample(&mut *call);
            // The first round makes what the others find.
            if round > 0 {
                samples.push(took);
            }
        }
    }
    samples.map(low)
}

fn sample(mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..CALLS).for_each(|_| call());
    began.elapsed().as_secs_f64() * 1e9 / CALLS as f64
}

/// Nanoseconds of a call at a host while another thread of the process does
/// something else: nothing at all, work without a host, calls of `other`.
pub(crate) struct Beside {
    pub(crate) nothing: f64,
    pub(crate) work: f64,
    pub(crate) calls: f64,
}

impl Beside {
    /// Whether calls of the other host cost no more than so many times what other
    /// work costs.
    pub(crate) fn holds(&self, times: f64) -> bool {
        self.calls <= times * self.work
    }
}

/// What a call takes beside all of that, measured until calls cost no more than
/// so many times what work costs.
pub(crate) fn beside(host: &Host, other: &Host, times: f64) -> Beside {
    let of = |[nothing, work, calls]: [f64; 3]| Beside { nothing, work, calls };
    of(at_best(
        || beside_once(host, other),
        |found| of(*found).holds(times),
    ))
}

fn beside_once(host: &Host, other: &Host) -> [f64; 3] {
    let (wanted, turns) = (AtomicUsize::new(QUIET), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let mut samples = [const { Vec::new() }; 3];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                match wanted.load(Ordering::SeqCst) {
                    QUIET => std::thread::sleep(Duration::from_micros(100)),
                    COUNTS => (0..10_000_u64).for_each(|number| {
                        std::hint::black_box(number);
                    }),
                    _ => add(other, "p0/add"),
                }
                turns.fetch_add(1, Ordering::SeqCst);
            }
        });
        let _ends = Ends(&done);
        for round in 0..ROUNDS + 1 {
            for what in [QUIET, COUNTS, CALLS_THE_OTHER] {
                wanted.store(what, Ordering::SeqCst);
                // It does that by its second turn from here.
                let begun = turns.load(Ordering::SeqCst);
                until("the other thread works", Duration::from_secs(30), || {
                    turns.load(Ordering::SeqCst) > begun + 1
                });
                let begun = turns.load(Ordering::SeqCst);
                let took = sample(|| add(host, "p0/add"));
                let turns = turns.load(Ordering::SeqCst) - begun;
                if round > 0 {
                    samples[what].push(Shared {
                        took,
                        pace: turns as f64 / took,
                    });
                }
            }
        }
    });
    samples.map(low_of_shared)
}

/// A sample, and how fast the other thread went on meanwhile.
struct Shared {
    took: f64,
    pace: f64,
}

/// The low ones of those samples through which the other thread went on: where the
/// machine had stopped it there was nothing beside the calls. The faster half.
fn low_of_shared(mut samples: Vec<Shared>) -> f64 {
    samples.sort_by(|one, other| other.pace.total_cmp(&one.pace));
    samples.truncate(samples.len().div_ceil(2));
    low(samples.into_iter().map(|sample| sample.took).collect())
}

/// Ends the other thread, whatever happens to this one.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The one that a tenth of them is below.
fn low(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 10]
}
