//! `fresh-scaling`: how many more fresh calls two workers make than one,
//! beside how much more a plain loop gets done on two threads.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use odeon_authority::InstanceMode;

use super::fresh::{ARGS, SUM};
use super::host::Stage;
use super::measure::{Effort, median};
use super::{Row, row};

const ROUNDS: usize = 31;
const SAMPLE: Duration = Duration::from_millis(100);

/// Two threads that stay, so that each keeps its worker.
struct Pair<'w> {
    work: [&'w (dyn Fn() + Sync); 2],
    start: Barrier,
    end: Barrier,
    /// Which piece of work, and on how many threads; none to leave.
    task: std::sync::Mutex<Option<(usize, usize)>>,
    stop: AtomicBool,
    done: AtomicU64,
}

impl Pair<'_> {
    fn thread(&self, number: usize) {
        loop {
            self.start.wait();
            let Some((work, threads)) = *self.task.lock().expect("the task") else {
                return;
            };
            if number < threads {
                let mut done = 0;
                while !self.stop.load(Ordering::Relaxed) {
                    for _ in 0..16 {
                        (self.work[work])();
                    }
                    done += 16;
                }
                self.done.fetch_add(done, Ordering::SeqCst);
            }
            self.end.wait();
        }
    }

    /// Turns per second of this work on so many threads.
    fn rate(&self, work: usize, threads: usize) -> f64 {
        *self.task.lock().expect("the task") = Some((work, threads));
        self.stop.store(false, Ordering::SeqCst);
        self.done.store(0, Ordering::SeqCst);
        self.start.wait();
        let began = Instant::now();
        std::thread::sleep(SAMPLE);
        self.stop.store(true, Ordering::SeqCst);
        let took = began.elapsed();
        self.end.wait();
        self.done.load(Ordering::SeqCst) as f64 / took.as_secs_f64()
    }
}

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::new(2);
    stage.load_echo("echo", InstanceMode::Fresh);
    let fresh = || {
        let reply = stage
            .host
            .call_encoded("echo/add", black_box(&ARGS))
            .expect("a sum");
        assert_eq!(reply.bytes, SUM);
    };
    let pair = Pair {
        work: [&fresh, &native],
        start: Barrier::new(3),
        end: Barrier::new(3),
        task: std::sync::Mutex::new(None),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
    };
    let mut scaling = [Vec::new(), Vec::new()];
    std::thread::scope(|scope| {
        for number in 0..2 {
            let pair = &pair;
            scope.spawn(move || pair.thread(number));
        }
        // Both workers make what they need before anything is timed.
        (0..2).for_each(|work| {
            std::hint::black_box(pair.rate(work, 2));
        });
        for _ in 0..effort.rounds(ROUNDS) {
            for (work, scaling) in scaling.iter_mut().enumerate() {
                let (one, two) = (pair.rate(work, 1), pair.rate(work, 2));
                scaling.push(two / one);
            }
        }
        *pair.task.lock().expect("the task") = None;
        pair.start.wait();
    });
    let [fresh, native] = scaling.map(median);
    vec![row(
        "fresh-scaling",
        "x",
        (fresh, native),
        "a native loop's own scaling",
    )]
}

/// About as long as a fresh call, in registers alone.
fn native() {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..4000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}
