//! What a test's time is less by because the machine stood still.
//!
//! A promise in milliseconds says what the program does with a core that runs. On a
//! machine that others share, a core may be taken away for half a second, and every
//! thread on it is late by as much, whatever the program does. So whoever holds a
//! program to such a promise measures that too, in the same moments: a thread for
//! each core that does nothing but sleep for a millisecond. When it wakes much too
//! late, its core did not run, and that time is not the program's.
//!
//! Where nothing stands still nothing is taken off, and a promise is as strict as it
//! reads. A program that keeps its cores busy gains nothing: a thread that only
//! sleeps is let in front of busy ones long before `STALL`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long each of the threads sleeps.
const BEAT: Duration = Duration::from_millis(1);

/// From how late on a core has stood still. Several turns of a scheduler: behind
/// others of this program nobody who only sleeps waits for so long.
const STALL: Duration = Duration::from_millis(10);

/// A time on the wall, and how much of it some core stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Took {
    /// From the beginning to the end.
    pub wall: Duration,
    /// What of that was nobody's.
    pub lost: Duration,
}

impl Took {
    /// What the program took.
    pub fn own(self) -> Duration {
        self.wall.saturating_sub(self.lost)
    }
}

/// Watches the cores for as long as it lives.
pub struct Stalls {
    watched: Instant,
    cores: Vec<Core>,
    done: Arc<AtomicBool>,
}

struct Core {
    beats: Arc<Mutex<Beats>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread of a core has seen.
struct Beats {
    last: Instant,
    stalls: Vec<Stall>,
}

/// Since when a thread should have been awake, and when it was.
type Stall = (Instant, Instant);

impl Stalls {
    /// Watches every core that this thread may run on; from when this returns, all of
    /// them have run after it was called.
    ///
    /// # Panics
    ///
    /// When there is no thread for that.
    pub fn watch() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let may_run = sched_getaffinity(None).expect("where this thread may run");
        let cores: Vec<_> = (0..CpuSet::MAX_CPU)
            .filter(|core| may_run.is_set(*core))
            .map(|core| Core::watch(core, &done))
            .collect();
        let watched = Instant::now();
        for core in &cores {
            core.until(watched);
        }
        Stalls { watched, cores, done }
    }

    /// What 99 of 100 of these took at most.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn p99(&self, all: &[(Instant, Instant)]) -> Duration {
        let took = all
            .iter()
            .map(|(began, ended)| self.between(*began, *ended).own());
        let mut took: Vec<_> = took.collect();
        took.sort();
        took[took.len() * 99 / 100]
    }

    /// How late a thread that wakes every millisecond, and a clock that such a thread
    /// keeps, can have been at this moment.
    pub fn late_at(&self, moment: Instant) -> Duration {
        self.between(self.watched, moment).lost
    }

    /// What has passed since then.
    pub fn since(&self, began: Instant) -> Took {
        self.between(began, Instant::now())
    }

    /// What passed between these two moments, of which the second is over and the
    /// first is not before this began to watch.
    pub fn between(&self, began: Instant, ended: Instant) -> Took {
        let mut stalls: Vec<_> = self.cores.iter().flat_map(|core| core.until(ended)).collect();
        stalls.sort();
        // Cores that stand still at the same time lose that time once.
        let (mut lost, mut seen) = (Duration::ZERO, began);
        for (from, to) in stalls {
            let (from, to) = (from.max(seen), to.min(ended));
            if from < to {
                lost += to - from;
                seen = to;
            }
        }
        Took {
            wall: ended.saturating_duration_since(began),
            lost,
        }
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        for thread in self.cores.iter_mut().filter_map(|core| core.thread.take()) {
            // It has nothing to say.
            thread.join().ok();
        }
    }
}

impl Core {
    fn watch(core: usize, done: &Arc<AtomicBool>) -> Self {
        let beats = Arc::new(Mutex::new(Beats {
            last: Instant::now(),
            stalls: Vec::new(),
        }));
        let (own, done) = (beats.clone(), done.clone());
        let thread = Builder::new()
            .name("stalls".into())
            .spawn(move || watch(core, &own, &done))
            .expect("a thread");
        Core {
            beats,
            thread: Some(thread),
        }
    }

    /// All that was seen up to this moment, when its thread has been awake after it.
    fn until(&self, ended: Instant) -> Vec<Stall> {
        loop {
            let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
            if beats.last > ended {
                return beats.stalls.clone();
            }
            drop(beats);
            std::thread::sleep(BEAT);
        }
    }
}

fn watch(core: usize, beats: &Mutex<Beats>, done: &AtomicBool) {
    let mut only = CpuSet::new();
    only.set(core);
    // Unbound it still sees what stops all cores.
    sched_setaffinity(None, &only).ok();
    while !done.load(Ordering::SeqCst) {
        std::thread::sleep(BEAT);
        let mut beats = beats.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = beats.last + BEAT;
        if now.saturating_duration_since(due) >= STALL {
            beats.stalls.push((due, now));
        }
        beats.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is lost is lost once, and only within the two moments.
    #[test]
    fn stalls_of_several_cores_count_once() {
        let at = Instant::now();
        let ms = |ms: u64| at + Duration::from_millis(ms);
        let core = |stalls: &[(u64, u64)]| Core {
            beats: Arc::new(Mutex::new(Beats {
                last: ms(1_000),
                stalls: stalls.iter().map(|(from, to)| (ms(*from), ms(*to))).collect(),
            })),
            thread: None,
        };
        let stalls = Stalls {
            watched: at,
            cores: vec![core(&[(0, 50), (100, 200), (900, 1_000)]), core(&[(150, 250)])],
            done: Arc::default(),
        };
        let took = stalls.between(ms(20), ms(950));
        assert_eq!(
            (took.wall, took.lost),
            (Duration::from_millis(930), Duration::from_millis(30 + 150 + 50))
        );
        assert_eq!(took.own(), Duration::from_millis(700));
        assert_eq!(stalls.between(ms(300), ms(800)).lost, Duration::ZERO);
        assert_eq!(stalls.late_at(ms(120)), Duration::from_millis(50 + 20));
    }
}
