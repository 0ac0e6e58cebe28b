//! Core dumps of calls that trapped.
//!
//! Owns who gets one, and the thread that writes them: a dump is a copy of all
//! of the guest's memory, so that none is made on a thread that serves, and one
//! at a time. What becomes of the bytes is the sink's matter.
//!
//! **Invariant:** of a guest whose memory may hold a secret, no dump is made.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use odeon_authority::ByteSize;
use odeon_protocol::{Code, Generation, PluginName, Serial};
use parking_lot::Mutex;
use tokio::sync::watch;
use wasmtime::{Store, WasmCoreDump};

use crate::state::HostState;

/// Core dumps that wait to be written. Each keeps an instance.
const QUEUE: usize = 32;

/// What an operator wants of the calls of a plugin.
#[derive(Clone)]
pub struct DumpOrder {
    /// How many calls that trap leave a core dump.
    pub traps: u32,
    /// For how long.
    pub time: Duration,
    /// The most linear memory of an instance that is dumped, in bytes.
    pub largest: u64,
    /// What takes them.
    pub sink: Arc<dyn DumpSink>,
}

/// What is left of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpsLeft {
    /// Calls.
    pub traps: u32,
    /// Time.
    pub time: Duration,
}

/// A call that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoppedCall {
    /// Which plugin.
    pub plugin: PluginName,
    /// Which of its generations.
    pub generation: Generation,
    /// The request, where it had a serial.
    pub serial: Option<Serial>,
    /// The fault that its caller got.
    pub code: Code,
}

/// A core dump in the form of WebAssembly's tool conventions.
#[derive(Clone, Copy)]
pub struct CoreDump<'a> {
    /// Whose.
    pub call: &'a StoppedCall,
    /// The dump: a core module with sections of its own.
    pub bytes: &'a [u8],
}

/// Why a call that trapped left none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// Its memory may hold one.
    #[error(
        "the plugin, or one that it works with in this call, was shown a secret or a granted variable, and no core \
             dump holds one"
    )]
    Secret,
    /// It has more memory than a dump may have.
    #[error("the instance has {}, expected at most host-limits.dump-size = {}", ByteSize::new(*.memory), ByteSize::new(*.most))]
    TooLarge {
        /// Bytes of its linear memory.
        memory: u64,
        /// The most that is dumped.
        most: u64,
    },
    /// Others are being written.
    #[error("{QUEUE} core dumps wait to be written, which is all that may")]
    Busy,
    /// There is none in what the engine knows of it.
    #[error("the engine cannot write down a component that is made of others")]
    Engine,
    /// It could not be kept.
    #[error("{0}")]
    Unkept(String),
}

/// Takes the core dumps of a plugin.
pub trait DumpSink: Send + Sync {
    /// Takes one. It may take its time: it is called on a thread that serves
    /// nobody.
    fn dumped(&self, dump: CoreDump<'_>);

    /// Is told that a call left none. It must return at once: it is called on
    /// the thread of the call.
    fn left_out(&self, call: &StoppedCall, why: LeftOut);
}

/// An order that is being kept.
pub(super) struct Armed {
    order: DumpOrder,
    until: Instant,
}

/// Leave for one dump.
pub(crate) struct Ticket {
    pub(crate) largest: u64,
    pub(crate) sink: Arc<dyn DumpSink>,
}

impl Armed {
    pub(super) fn new(order: DumpOrder) -> Self {
        let now = Instant::now();
        Armed {
            until: now.checked_add(order.time).unwrap_or(now),
            order,
        }
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn left(&self) -> DumpsLeft {
        DumpsLeft {
            traps: self.order.traps,
            time: self.until.saturating_duration_since(Instant::now()),
        }
    }

    /// A call that leaves none in the end counts as well: a guest that traps for
    /// ever is told of so often and no more.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.order.traps = self.order.traps.saturating_sub(1);
        Ticket {
            largest: self.order.largest,
            sink: self.order.sink.clone(),
        }
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.order.traps == 0
    }
}

/// A dump that is to be written, and what it is made of.
pub(crate) struct Job {
    pub(crate) call: StoppedCall,
    pub(crate) store: Store<HostState>,
    /// Holds what the engine kept.
    pub(crate) error: wasmtime::Error,
    pub(crate) sink: Arc<dyn DumpSink>,
}

impl Job {
    fn write(mut self) {
        let Some(dump) = self.error.downcast_ref::<WasmCoreDump>() else {
            return;
        };
        let (store, name) = (&mut self.store, self.call.plugin.as_str());
        // The engine has no words for what it puts between nested components.
        match catch_unwind(AssertUnwindSafe(|| dump.serialize(store, name))) {
            Ok(bytes) => {
                drop((self.store, self.error));
                let call = &self.call;
                self.sink.dumped(CoreDump { call, bytes: &bytes });
            }
            Err(_) => self.sink.left_out(&self.call, LeftOut::Engine),
        }
    }
}

/// The thread that writes dumps, started with the first.
pub(super) struct Writing {
    queue: Mutex<Option<SyncSender<Job>>>,
    /// How many are to be written.
    open: Arc<watch::Sender<usize>>,
}

impl Default for Writing {
    fn default() -> Self {
        Writing {
            queue: Mutex::default(),
            open: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl Writing {
    pub(super) fn hand_over(&self, job: Job) {
        let mut queue = self.queue.lock();
        if queue.is_none() {
            match start(self.open.clone()) {
                Ok(started) => *queue = Some(started),
                Err(error) => {
                    let why = LeftOut::Unkept(format!("a thread cannot be started: {error}"));
                    return job.sink.left_out(&job.call, why);
                }
            }
        }
        let Some(sender) = &*queue else { return };
        self.open.send_modify(|open| *open = open.saturating_add(1));
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = sender.try_send(job) {
            one_less(&self.open);
            job.sink.left_out(&job.call, LeftOut::Busy);
        }
    }

    pub(super) async fn over(&self) {
        let mut open = self.open.subscribe();
        // The sender is here: it does not go away meanwhile.
        open.wait_for(|open| *open == 0).await.ok();
    }
}

fn one_less(open: &watch::Sender<usize>) {
    open.send_modify(|open| *open = open.saturating_sub(1));
}

/// The thread ends when the runtime has.
fn start(open: Arc<watch::Sender<usize>>) -> std::io::Result<SyncSender<Job>> {
    let (sender, jobs) = sync_channel(QUEUE);
    std::thread::Builder::new()
        .name("odeon-dump".into())
        .spawn(move || write_all(&jobs, &open))?;
    Ok(sender)
}

fn write_all(jobs: &Receiver<Job>, open: &watch::Sender<usize>) {
    while let Ok(job) = jobs.recv() {
        let plugin = job.call.plugin.clone();
        if catch_unwind(AssertUnwindSafe(|| job.write())).is_err() {
            tracing::error!(plugin = plugin.as_str(), "writing a core dump broke off");
        }
        one_less(open);
    }
}
