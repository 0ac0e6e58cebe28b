//! Standard error, which nobody may be reading.
//!
//! Owns the one thread that writes it, a bounded queue before that thread, and
//! the words that say what is being waited for on a terminal. **Invariant:**
//! nobody but that thread ever waits for standard error: a guest's line, the
//! host's log and a last word are dropped and counted when the queue is full,
//! so that a reader who stopped reading stops nothing else.
//!
//! A process has one standard error, so this is the one static of the program.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use crate::output::is_lively;

/// What may wait to be written, in bytes.
const MAX_QUEUED: usize = 4 << 20;
/// How long the end of the program waits for a reader who reads nothing, and
/// for one who reads slowly.
const PATIENCE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// How long work goes on before it is said to, and how often that moves.
const QUIET: Duration = Duration::from_millis(250);
const FRAME: Duration = Duration::from_millis(100);
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Back to the first column, and nothing behind it.
const ERASE: &[u8] = b"\r\x1b[2K";

static STDERR: OnceLock<Option<Arc<Shared>>> = OnceLock::new();

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    queued: usize,
    /// Entries written so far, and whether one is being written now.
    written: u64,
    writing: bool,
    busy: Option<Busy>,
    /// Whether the words about it stand on the terminal.
    drawn: bool,
}

enum Entry {
    Text(Box<[u8]>),
    Lost(u64),
}

/// What the user waits for.
struct Busy {
    text: String,
    since: Instant,
}

/// Writes bytes that end a line. Never waits; what does not fit is counted.
pub(crate) fn write(bytes: &[u8]) {
    let Some(shared) = shared() else {
        return;
    };
    let mut state = shared.lock();
    if state.queued.saturating_add(bytes.len()) > MAX_QUEUED {
        match state.queue.back_mut() {
            Some(Entry::Lost(lost)) => *lost = lost.saturating_add(1),
            _ => state.queue.push_back(Entry::Lost(1)),
        }
    } else {
        state.queued = state.queued.saturating_add(bytes.len());
        state.queue.push_back(Entry::Text(bytes.into()));
    }
    drop(state);
    shared.changed.notify_all();
}

/// Writes one line.
pub(crate) fn line(text: &str) {
    let mut bytes = Vec::with_capacity(text.len().saturating_add(1));
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(b'\n');
    write(&bytes);
}

/// Waits until everything is written, as long as somebody reads.
pub(crate) fn finish() {
    let Some(Some(shared)) = STDERR.get() else {
        return;
    };
    let until = Instant::now() + LONGEST;
    let mut state = shared.lock();
    state.busy = None;
    shared.changed.notify_all();
    let mut moved = (state.written, Instant::now());
    while (!state.queue.is_empty() || state.writing || state.drawn) && Instant::now() < until {
        if state.written != moved.0 {
            moved = (state.written, Instant::now());
        }
        let left = PATIENCE.saturating_sub(moved.1.elapsed());
        if left.is_zero() {
            return;
        }
        state = shared
            .changed
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

/// Has a panic say what it has to say without waiting for a reader.
pub(crate) fn take_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        line(&match trace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("{panic}\n{trace}"),
            _ => panic.to_string(),
        });
        finish();
    }));
}

/// Says on a terminal what is being waited for, until it is dropped.
pub(crate) struct Waiting(Option<Arc<Shared>>);

impl Waiting {
    /// Begins to say it, if that is for people and takes long enough to notice.
    pub(crate) fn begin(text: impl FnOnce() -> String, wanted: bool) -> Self {
        let shared = (wanted && is_lively()).then(shared).flatten();
        if let Some(shared) = &shared {
            shared.lock().busy = Some(Busy {
                text: crate::output::clean(&text()),
                since: Instant::now(),
            });
            shared.changed.notify_all();
        }
        Waiting(shared)
    }
}

impl Drop for Waiting {
    /// The words are gone when this returns, so that they do not take an
    /// answer on standard output with them.
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            let mut state = shared.lock();
            state.busy = None;
            shared.changed.notify_all();
            drop(
                shared
                    .changed
                    .wait_timeout_while(state, PATIENCE, |state| state.drawn || state.writing),
            );
        }
    }
}

/// For the subscriber: each event is one `write_all`.
#[derive(Clone, Copy)]
pub(crate) struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, until the process ends. The lock is never held
    /// while something is written.
    fn run(&self) {
        let mut frames = FRAMES.iter().cycle();
        let mut state = self.lock();
        loop {
            let (bytes, pause) = state.next(&mut frames);
            if let Some(bytes) = bytes {
                state.writing = true;
                drop(state);
                put(&bytes);
                state = self.lock();
                state.writing = false;
                self.changed.notify_all();
                // What came meanwhile is looked at before anything is waited for.
                if pause.is_none() || !state.queue.is_empty() || state.busy.is_none() {
                    continue;
                }
            }
            state = match pause {
                Some(pause) => {
                    let waited = self.changed.wait_timeout(state, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl State {
    /// What to write now, and how long to wait after it: for ever where
    /// nothing moves by itself.
    fn next<'f>(
        &mut self,
        mut frames: impl Iterator<Item = &'f &'f str>,
    ) -> (Option<Vec<u8>>, Option<Duration>) {
        if let Some(entry) = self.queue.pop_front() {
            let mut bytes = self.erased();
            match entry {
                Entry::Text(text) => {
                    self.queued = self.queued.saturating_sub(text.len());
                    bytes.extend_from_slice(&text);
                }
                Entry::Lost(lost) => bytes.extend_from_slice(
                    format!("({lost} lines lost here: standard error was not read)\n").as_bytes(),
                ),
            }
            self.written = self.written.saturating_add(1);
            return (Some(bytes), None);
        }
        let Some(busy) = &self.busy else {
            let bytes = self.erased();
            return ((!bytes.is_empty()).then_some(bytes), None);
        };
        let quiet = QUIET.saturating_sub(busy.since.elapsed());
        if !quiet.is_zero() {
            return (None, Some(quiet));
        }
        let frame = frames.next().copied().unwrap_or_default();
        let text = format!("{frame} {} {} s", busy.text, busy.since.elapsed().as_secs());
        let mut bytes = ERASE.to_vec();
        bytes.extend_from_slice(text.as_bytes());
        self.drawn = true;
        (Some(bytes), Some(FRAME))
    }

    /// What takes the words about what is waited for away, if they are there.
    fn erased(&mut self) -> Vec<u8> {
        match std::mem::take(&mut self.drawn) {
            true => ERASE.to_vec(),
            false => Vec::new(),
        }
    }
}

/// The queue, with its thread; nothing where no thread can be had.
fn shared() -> Option<Arc<Shared>> {
    STDERR
        .get_or_init(|| {
            let shared = Arc::<Shared>::default();
            let writer = shared.clone();
            std::thread::Builder::new()
                .name("odeon-stderr".into())
                .spawn(move || writer.run())
                .ok()
                .map(|_| shared)
        })
        .clone()
}

/// Writes to the descriptor itself: the lock of the standard library would be
/// held for as long as nobody reads. There is nobody to tell of an error.
fn put(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stderr(), bytes) {
            Err(rustix::io::Errno::INTR) => {}
            // Somebody made the terminal one that is never waited for.
            Err(rustix::io::Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Ok(0) | Err(_) => return,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_waiting_come_late_and_go_before_the_next_line() {
        let mut state = State::default();
        let mut frames = FRAMES.iter().cycle();
        state.busy = Some(Busy {
            text: "compiling".into(),
            since: Instant::now() + QUIET * 100,
        });
        assert!(matches!(state.next(&mut frames), (None, Some(_))));
        let since = Instant::now() - QUIET;
        state.busy = Some(Busy {
            text: "compiling".into(),
            since,
        });
        let (drawn, _) = state.next(&mut frames);
        let drawn = String::from_utf8(drawn.unwrap()).unwrap();
        let (_, seconds) = drawn.split_once("compiling ").unwrap();
        let seconds: u64 = seconds.strip_suffix(" s").unwrap().parse().unwrap();
        assert!(seconds <= since.elapsed().as_secs(), "{drawn}");
        state.queue.push_back(Entry::Text(b"a line\n".as_slice().into()));
        assert_eq!(state.next(&mut frames).0.unwrap(), [ERASE, b"a line\n"].concat());
        state.busy = None;
        assert_eq!(state.next(&mut frames), (None, None));
    }
}
