//! The clock that interrupts guests.
//!
//! Owns one thread that raises the epoch of every engine once per tick while a
//! guest is running anywhere, and rests otherwise: an idle host makes no
//! wake-ups. It is a plain thread, so it ticks even when every thread of the
//! async runtime is busy.
//!
//! Whether a guest runs is read off the plugins' gates, which count their calls
//! anyway: a call pays one load for being ticked.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use wasmtime::Engine;

use crate::gate::Gate;

/// How often a running guest is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a running guest after which the thread rests. Long enough
/// that a steady trickle of calls does not pay for waking it each time; short
/// enough that what has ended costs next to nothing from then on, also where a
/// thread that wakes up is dear.
const IDLE_TICKS: u32 = 10;

/// Handle to the ticking thread; the thread ends with the last handle.
#[derive(Clone)]
pub(crate) struct Ticker(Arc<Shared>);

struct Shared {
    /// Guests that run without having passed a gate.
    ungated: AtomicUsize,
    gates: Mutex<Vec<Weak<Gate>>>,
    resting: AtomicBool,
    /// Milliseconds since `start`, refreshed every tick: a clock that costs
    /// one load and is at most a tick late while anything runs.
    now_ms: AtomicU64,
    start: Instant,
    thread: Mutex<Option<Thread>>,
    engines: RwLock<Vec<Engine>>,
}

impl Ticker {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            ungated: AtomicUsize::new(0),
            gates: Mutex::new(Vec::new()),
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

    /// Ticks while a call is inside this gate, from now on.
    pub(crate) fn watch(&self, gate: &Arc<Gate>) {
        self.0.gates.lock().push(Arc::downgrade(gate));
    }

    /// To be called by whoever has passed a gate, before anything that goes by
    /// the clock: ticks until the call has left.
    #[inline]
    pub(crate) fn awake(&self) {
        // Sequentially consistent on both sides: either this load sees that
        // the thread rests, or the thread sees the call before it rests.
        if self.0.resting.load(Ordering::SeqCst) {
            self.0.wake();
        }
    }

    /// Ticks until the returned value is dropped, for guests that pass no gate.
    pub(crate) fn ungated(&self) -> Ungated<'_> {
        self.0.ungated.fetch_add(1, Ordering::SeqCst);
        self.awake();
        Ungated(&self.0.ungated)
    }

    /// When the tick clock shows, or showed, so much.
    pub(crate) fn when(&self, ms: u64) -> Option<Instant> {
        self.0.start.checked_add(Duration::from_millis(ms))
    }

    /// What the tick clock shows then.
    pub(crate) fn ms_at(&self, when: Instant) -> u64 {
        let since = when.saturating_duration_since(self.0.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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

    /// Whether a guest runs now, and a number that is another one when any
    /// ran since the last look.
    fn look(&self) -> (bool, u64) {
        let mut busy = self.ungated.load(Ordering::SeqCst) > 0;
        let mut activity = 0_u64;
        self.gates.lock().retain(|gate| {
            let Some(gate) = gate.upgrade() else { return false };
            busy |= gate.in_flight() > 0;
            activity = activity.wrapping_add(gate.activity());
            true
        });
        (busy, activity)
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
pub(crate) struct Ungated<'t>(&'t AtomicUsize);

impl Drop for Ungated<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Weak<Shared>) {
    let (mut unlooked, mut seen) = (0, 0);
    loop {
        let Some(alive) = shared.upgrade() else { return };
        alive.refresh();
        alive.engines.read().iter().for_each(Engine::increment_epoch);
        unlooked += 1;
        if unlooked <= IDLE_TICKS {
            drop(alive);
            thread::sleep(TICK);
            continue;
        }
        unlooked = 0;
        let (busy, activity) = alive.look();
        if busy || activity != seen {
            seen = activity;
            drop(alive);
            thread::sleep(TICK);
            continue;
        }
        alive.resting.store(true, Ordering::SeqCst);
        // Whoever came in before that is seen now; whoever comes later sees it.
        let (busy, _) = alive.look();
        if busy {
            alive.resting.store(false, Ordering::SeqCst);
        }
        drop(alive);
        if !busy {
            // Woken by a call, or by the last handle being dropped.
            thread::park();
        }
    }
}
