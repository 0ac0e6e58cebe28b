//! Time on the wall and on the processor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
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

/// Seconds that are looked at, as long as those before say nothing.
const SECONDS: usize = 10;

/// How long who looks sleeps at a time. Who sleeps for twice as long did not run.
const STEP: Duration = Duration::from_millis(10);

/// For how long cores of this machine were somebody else's so far, by what it is
/// told of that, which is said in hundredths of a second.
fn stolen() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = text.lines().next().unwrap_or_default();
    let field = all.split_whitespace().nth(8);
    Duration::from_millis(10 * field.and_then(|field| field.parse::<u64>().ok()).unwrap_or(0))
}

/// Lets a second pass. How much of it the machine stood still, or a core of it, which
/// may be counted as the time of the thread that was to run.
fn second() -> Duration {
    let (began, before) = (Instant::now(), stolen());
    let mut stood_still = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(1) {
        let slept = Instant::now();
        std::thread::sleep(STEP);
        let late = slept.elapsed().saturating_sub(STEP);
        if late >= STEP {
            stood_still += late;
        }
    }
    stood_still + stolen().saturating_sub(before)
}

/// The share of a core that somebody uses over the second that begins now, by what
/// he has used so far. A second in which he used too much, but no more of that than
/// what the machine stood still, says nothing: the next one is looked at instead.
/// What goes on in secret goes on in every one of them.
pub fn share_of_a_core(used: impl Fn() -> Duration) -> f64 {
    let mut share = 0.0;
    for _ in 0..SECONDS {
        let (wall, before) = (Instant::now(), used());
        let lost = second();
        let (used, passed) = (used().saturating_sub(before), wall.elapsed());
        share = used.as_secs_f64() / passed.as_secs_f64();
        if share < QUIET || used > passed.mul_f64(QUIET) + lost {
            break;
        }
    }
    share
}

/// What is wrong with the second that begins now, if something is: the process
/// uses 2 % of a core or more of it, though nothing is to run any more. Names the
/// threads that did.
pub fn busy_second() -> Option<String> {
    let before = threads();
    let share = share_of_a_core(process_cpu);
    if share < QUIET {
        return None;
    }
    let ran = threads().into_iter().filter_map(|(id, now)| {
        let before = before
            .get(&id)
            .map_or((0, 0), |thread| (thread.user, thread.system));
        let (user, system) = (
            now.user.saturating_sub(before.0),
            now.system.saturating_sub(before.1),
        );
        (user + system > 0).then(|| format!("{} ({user} ticks, {system} in the kernel)", now.name))
    });
    let ran: Vec<_> = ran.collect();
    Some(format!("{share:.3} of a core busy, by {ran:?}"))
}

/// What the kernel says of one thread.
struct Thread {
    name: String,
    user: u64,
    system: u64,
}

/// The threads of this process, by their number.
fn threads() -> BTreeMap<OsString, Thread> {
    let listed = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads = listed.filter_map(|entry| {
        let said = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name is in parentheses, and may have some of its own.
        let (head, rest) = said.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split(' ').collect();
        let thread = Thread {
            name: head.split_once(" (")?.1.to_owned(),
            user: fields.get(11)?.parse().ok()?,
            system: fields.get(12)?.parse().ok()?,
        };
        Some((entry.file_name(), thread))
    });
    threads.collect()
}

/// Fails unless the process uses less than 2 % of a core over the second that
/// begins now: nothing that was stopped goes on in secret.
///
/// # Panics
///
/// When it is busier.
#[track_caller]
pub fn assert_quiet() {
    let busy = busy_second();
    assert!(
        busy.is_none(),
        "expected less than {QUIET} of a core while nothing runs, found {busy:?}"
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
