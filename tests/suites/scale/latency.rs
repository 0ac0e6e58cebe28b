//! How long calls take at several hosts, measured in turns, so that whatever else
//! the machine does falls on all of them alike.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use odeon::Host;
use odeon_tests::clock::until;
use odeon_tests::ground::add;

/// Samples of each, and calls of a sample.
const ROUNDS: usize = 200;
const CALLS: usize = 64;

/// What another thread does meanwhile.
const QUIET: usize = 0;
const COUNTS: usize = 1;
const CALLS_THE_OTHER: usize = 2;

/// The names of a method of so many plugins.
fn methods(plugins: usize) -> Vec<String> {
    (0..plugins).map(|number| format!("p{number}/add")).collect()
}

/// Nanoseconds of a call of the same plugin again and again, at each of these
/// hosts.
pub(crate) fn of_one(hosts: &[&Host]) -> Vec<f64> {
    let calls: Vec<_> = hosts.iter().map(|host| || add(host, "p0/add")).collect();
    in_turns(calls)
}

/// Nanoseconds of a call of one plugin after the other, at hosts of so many.
pub(crate) fn of_each(hosts: &[(&Host, usize)]) -> Vec<f64> {
    let calls = hosts.iter().map(|(host, plugins)| {
        let (methods, mut next) = (methods(*plugins), 0);
        move || {
            add(host, &methods[next]);
            next = (next + 1) % methods.len();
        }
    });
    in_turns(calls.collect())
}

fn in_turns(mut calls: Vec<impl FnMut()>) -> Vec<f64> {
    let mut samples = vec![Vec::new(); calls.len()];
    for round in 0..ROUNDS + 1 {
        for (call, samples) in calls.iter_mut().zip(&mut samples) {
            let took = sample(&mut *call);
            // The first round makes what the others find.
            if round > 0 {
                samples.push(took);
            }
        }
    }
    samples.into_iter().map(median).collect()
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

pub(crate) fn beside(host: &Host, other: &Host) -> Beside {
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
                until("the other thread works", Duration::from_secs(10), || {
                    turns.load(Ordering::SeqCst) > begun + 1
                });
                let took = sample(|| add(host, "p0/add"));
                if round > 0 {
                    samples[what].push(took);
                }
            }
        }
    });
    let [nothing, work, calls] = samples.map(median);
    Beside { nothing, work, calls }
}

/// Ends the other thread, whatever happens to this one.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The middle one.
fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
