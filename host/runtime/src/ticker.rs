//! The clock that interrupts guests.
//!
//! Owns one thread that raises the epoch of every engine once per tick while a
//! guest is running anywhere, and rests otherwise: an idle host makes no
//! wake-ups. It is a plain thread, so it ticks even when every thread of the
//! async runtime is busy.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use wasmtime::Engine;

/// How often a running guest is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a running guest after which the thread rests. Long enough
/// that a steady trickle of calls does not pay for waking it each time.
const IDLE_TICKS: u32 = 50;

/// One counter per worker, far enough apart that workers do not share a line.
#[repr(align(128))]
#[derive(Default)]
struct Running(AtomicUsize);

/// Handle to the ticking thread; the thread ends with the last handle.
#[derive(Clone)]
pub(crate) struct Ticker(Arc<Shared>);

struct Shared {
    running: Vec<Running>,
    resting: AtomicBool,
    /// Milliseconds since `start`, refreshed every tick: a clock that costs
    /// one load and is at most a tick late while anything runs.
    now_ms: AtomicU64,
    start: Instant,
    thread: Mutex<Option<Thread>>,
    engines: RwLock<Vec<Engine>>,
}

impl Ticker {
    /// Starts the thread, with one counter per worker.
    pub(crate) fn start(workers: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            running: (0..workers.max(1)).map(|_| Running::default()).collect(),
            resting: AtomicBool::new(false),
            now_ms: AtomicU64::new(0),
            start: Instant::now(),
            thread: Mutex::new(None),
            engines: RwLock::new(Vec::new()),
        });
        let weak = Arc::downgrade(&shared);
        let handle = thread::Builder::new()
            .name("odeon-ticker".into())
            .spawn(move || tick(&weak))?;
        *shared.thread.lock() = Some(handle.thread().clone());
        Ok(Ticker(shared))
    }

    /// Ticks this engine from now on.
    pub(crate) fn add(&self, engine: Engine) {
        self.0.engines.write().push(engine);
    }

    /// Says that a guest runs on `worker` until the returned value is dropped.
    #[inline]
    pub(crate) fn running(&self, worker: usize) -> RunningGuard<'_> {
        let shared = &*self.0;
        // Sequentially consistent on both sides: either this load sees that
        // the thread rests, or the thread sees the count before it rests.
        let counter = shared.running.get(worker).or(shared.running.first());
        if let Some(counter) = counter {
            counter.0.fetch_add(1, Ordering::SeqCst);
        }
        if shared.resting.load(Ordering::SeqCst) {
            shared.wake();
        }
        RunningGuard {
            counter: counter.map(|c| &c.0),
        }
    }

    /// Milliseconds on the tick clock.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.now_ms.load(Ordering::Relaxed)
    }
}

impl Shared {
    #[cold]
    fn wake(&self) {
        self.refresh();
        if self.resting.swap(false, Ordering::SeqCst)
            && let Some(thread) = &*self.thread.lock()
        {
            thread.unpark();
        }
    }

    fn refresh(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now_ms.store(now, Ordering::Relaxed);
    }

    fn busy(&self) -> bool {
        self.running
            .iter()
            .any(|counter| counter.0.load(Ordering::SeqCst) > 0)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.get_mut() {
            thread.unpark();
        }
    }
}

/// While this lives, a guest counts as running.
pub(crate) struct RunningGuard<'t> {
    counter: Option<&'t AtomicUsize>,
}

impl Drop for RunningGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(counter) = self.counter {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn tick(shared: &Weak<Shared>) {
    let mut idle = 0;
    loop {
        let Some(alive) = shared.upgrade() else { return };
        alive.refresh();
        alive.engines.read().iter().for_each(Engine::increment_epoch);
        idle = if alive.busy() { 0 } else { idle + 1 };
        if idle <= IDLE_TICKS {
            drop(alive);
            thread::sleep(TICK);
            continue;
        }
        alive.resting.store(true, Ordering::SeqCst);
        let busy = alive.busy();
        if busy {
            alive.resting.store(false, Ordering::SeqCst);
        }
        drop(alive);
        if !busy {
            // Woken by a call, or by the last handle being dropped.
            thread::park();
        }
        idle = 0;
    }
}
