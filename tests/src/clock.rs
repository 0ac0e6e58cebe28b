//! Time on the wall and on the processor.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Processor time of this thread so far.
pub fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// Processor time of all threads of this process so far.
pub fn process_cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// What a process that has nothing to do may use of a core.
pub const QUIET: f64 = 0.02;

/// The share of a core that this process uses over the second that begins now.
pub fn share_of_a_core() -> f64 {
    let (wall, cpu) = (Instant::now(), process_cpu());
    std::thread::sleep(Duration::from_secs(1));
    (process_cpu() - cpu).as_secs_f64() / wall.elapsed().as_secs_f64()
}

/// Fails unless the process uses less than 2 % of a core over the second that
/// begins now: nothing that was stopped goes on in secret.
///
/// # Panics
///
/// When it is busier.
#[track_caller]
pub fn assert_quiet() {
    let used = share_of_a_core();
    assert!(
        used < QUIET,
        "expected less than {QUIET} of a core while nothing runs, found {used:.3}"
    );
}

/// Waits until `done`, looking often, for at most `most`; gives how long it took.
///
/// # Panics
///
/// When it does not come true in time.
#[track_caller]
pub fn until(what: &str, most: Duration, done: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() <= most, "expected within {most:?}: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
    began.elapsed()
}
