//! The host's side of the audit: who appends, and when.
//!
//! Owns the one writer of what guests make happen (denials, limits, secrets).
//! Decisions are appended by whoever takes them, before they take effect; what
//! a guest causes goes through a bounded queue to one thread that counts what
//! repeats, so that neither the disk nor a flood of denials holds a guest.
//!
//! Owns also when the head is copied: as the host begins and ends to serve and
//! once an hour, to its file and to the host's log, so that an audit that was
//! replaced as a whole is found.

mod elsewhere;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use odeon_authority::{Audit, AuditError, Coalescer, Due, Event, FailedLoad, Noted, Repeated};
use odeon_protocol::{Code, Generation, PluginName};
use odeon_runtime::{AuditSink, Denial};
use parking_lot::Mutex;

use self::elsewhere::Keeper;

/// What the writer has not taken yet. More than this is counted, not kept.
const QUEUE: usize = 1024;

/// How often the head is copied while the host serves.
const COPY_EVERY: Duration = Duration::from_secs(3600);

/// How long what is to be on disk at once waits for that: a guest's use of a
/// secret, which is refused after it, and a load that failed.
const WAIT: Duration = Duration::from_secs(2);

/// The audit as the host uses it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Shared>);

struct Shared {
    audit: Arc<Audit>,
    queue: SyncSender<Job>,
    /// What did not fit into the queue.
    lost: Arc<Mutex<Lost>>,
    /// Lines of the host's own that did not fit.
    dropped: Arc<AtomicU64>,
    thread: Mutex<Thread>,
    /// Who keeps the head in a second place.
    keeper: Mutex<Option<Keeper>>,
    on_record: OnRecord,
}

/// What was written down since the host started, in numbers.
#[derive(Default)]
pub(crate) struct OnRecord {
    pub(crate) loads: AtomicU64,
    pub(crate) unloads: AtomicU64,
    pub(crate) replaces: AtomicU64,
    pub(crate) rollbacks: AtomicU64,
}

impl OnRecord {
    /// What counts an event of this kind, if anything does.
    fn of(&self, event: &Event) -> Option<&AtomicU64> {
        match event {
            Event::Load { .. } => Some(&self.loads),
            Event::Unload { .. } => Some(&self.unloads),
            Event::Replace { .. } => Some(&self.replaces),
            Event::Rollback { .. } => Some(&self.rollbacks),
            _ => None,
        }
    }
}

/// What was counted and not told apart, by plugin and kind.
type Lost = HashMap<(PluginName, Repeated), u64>;

/// The writer's thread.
enum Thread {
    /// Started when there is something to write.
    Waiting(Box<Writer>, Receiver<Job>),
    Running(JoinHandle<()>),
    Ended,
}

/// When the writer's thread is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterStart {
    /// At once, so that a host that serves finds out at its start.
    Now,
    /// When a guest causes something to be written.
    WhenNeeded,
}

enum Job {
    Note(PluginName, Repeated),
    Append(Box<Event>),
    /// To be on disk before the answer is sent.
    Durable(PluginName, Repeated, SyncSender<bool>),
    /// Write down everything that was counted, then end.
    Finish(SyncSender<()>),
}

impl Recorder {
    /// Sets the writer up.
    pub(crate) fn start(audit: Audit, interval: Duration, start: WriterStart) -> std::io::Result<Self> {
        let audit = Arc::new(audit);
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let lost = Arc::new(Mutex::new(Lost::new()));
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            audit: audit.clone(),
            lost: lost.clone(),
            dropped: dropped.clone(),
            coalescer: Coalescer::new(interval),
            interval,
        };
        let recorder = Recorder(Arc::new(Shared {
            audit,
            queue,
            lost,
            dropped,
            thread: Mutex::new(Thread::Waiting(Box::new(writer), jobs)),
            keeper: Mutex::new(None),
            on_record: OnRecord::default(),
        }));
        if start == WriterStart::Now {
            recorder.wake()?;
        }
        Ok(recorder)
    }

    /// Has the head kept in this file too, and says so to whoever checks the
    /// audit.
    pub(crate) fn keep_elsewhere(&self, path: PathBuf, every: Duration) -> std::io::Result<()> {
        let keeper = Keeper::start(self.0.audit.clone(), path, every)?;
        *self.0.keeper.lock() = Some(keeper);
        Ok(())
    }

    /// Keeps the last head and ends that. Waits only so long for the place.
    pub(crate) fn end_keeping(&self) {
        let keeper = self.0.keeper.lock().take();
        if let Some(keeper) = keeper {
            keeper.end();
        }
    }

    /// Starts the writer's thread if it does not run yet.
    fn wake(&self) -> std::io::Result<()> {
        let mut thread = self.0.thread.lock();
        match std::mem::replace(&mut *thread, Thread::Ended) {
            Thread::Waiting(writer, jobs) => {
                let spawned = std::thread::Builder::new()
                    .name("odeon-audit".into())
                    .spawn(move || writer.run(&jobs))?;
                *thread = Thread::Running(spawned);
            }
            other => *thread = other,
        }
        Ok(())
    }

    /// Hands a job to the writer without waiting. Gives back one that was not
    /// taken.
    fn hand_over(&self, job: Job) -> Result<(), Job> {
        if let Err(error) = self.wake() {
            tracing::error!(%error, "the audit's writer cannot be started");
            return Err(job);
        }
        self.0.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// The chain itself, for decisions.
    pub(crate) fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Hands a job over, waiting for room if others left none.
    fn hand_over_within(&self, mut job: Job, patience: Duration) -> bool {
        const PAUSE: Duration = Duration::from_millis(2);
        if let Err(error) = self.wake() {
            tracing::error!(%error, "the audit's writer cannot be started");
            return false;
        }
        let asked = Instant::now();
        loop {
            job = match self.0.queue.try_send(job) {
                Ok(()) => return true,
                Err(TrySendError::Full(job)) if asked.elapsed() < patience => job,
                Err(_) => return false,
            };
            std::thread::sleep(PAUSE);
        }
    }

    /// Appends at once. Blocks on the disk.
    pub(crate) fn append(&self, event: Event) -> Result<u64, AuditError> {
        let copies = matches!(event, Event::Start { .. } | Event::Stop { .. });
        let counted = self.0.on_record.of(&event);
        let seq = self.0.audit.append(event)?;
        if let Some(counted) = counted {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        if copies {
            copy_head(&self.0.audit);
            self.0.keeper.lock().iter().for_each(Keeper::look);
        }
        Ok(seq)
    }

    /// What was written down, in numbers.
    pub(crate) fn on_record(&self) -> &OnRecord {
        &self.0.on_record
    }

    /// Has something appended soon. Never blocks.
    pub(crate) fn append_soon(&self, event: Event) {
        if self.hand_over(Job::Append(Box::new(event))).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a limit stopped a plugin. Never blocks.
    pub(crate) fn stopped(&self, plugin: &PluginName, code: Code, method: &str) {
        self.note(
            plugin,
            Repeated::LimitStop {
                code,
                method: method.into(),
            },
        );
    }

    fn note(&self, plugin: &PluginName, what: Repeated) {
        if let Err(Job::Note(plugin, what)) = self.hand_over(Job::Note(plugin.clone(), what)) {
            let mut lost = self.0.lost.lock();
            let count = lost.entry((plugin, what.lumped())).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Notes that a load failed. Answers whether that is on disk, or counted
    /// beside one that is. Blocks on the disk.
    pub(crate) fn load_failed(&self, plugin: &PluginName, failed: FailedLoad) -> bool {
        self.durable(plugin, Repeated::LoadFailed(Box::new(failed)))
    }

    fn durable(&self, plugin: &PluginName, what: Repeated) -> bool {
        let (done, written) = mpsc::sync_channel(1);
        self.hand_over_within(Job::Durable(plugin.clone(), what, done), WAIT)
            && written.recv_timeout(WAIT).unwrap_or(false)
    }

    /// Writes down what was counted and ends the writer. Blocks on the disk.
    pub(crate) fn finish(&self) {
        let thread = std::mem::replace(&mut *self.0.thread.lock(), Thread::Ended);
        match thread {
            Thread::Waiting(mut writer, _) => writer.end(),
            Thread::Running(writer) => {
                let (done, ended) = mpsc::sync_channel(1);
                let told = self.0.queue.send(Job::Finish(done)).is_ok() && ended.recv().is_ok();
                if told && writer.join().is_err() {
                    tracing::error!("the audit's writer broke off");
                }
            }
            Thread::Ended => {}
        }
    }
}

/// Copies the head to its file and to the host's log.
fn copy_head(audit: &Audit) {
    match audit.copy_head() {
        Ok(Some(copy)) => tracing::info!(seq = copy.seq, hash = %copy.hash, "the audit's head"),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "the audit's head was not copied"),
    }
}

impl AuditSink for Recorder {
    fn denied(&self, denial: Denial<'_>) {
        let what = Repeated::Denial {
            grant: denial.kind.into(),
            target: denial.target.into(),
            reason: denial.reason.into(),
            rule: denial.rule.map(Into::into),
            chain: denial.chain.iter().map(|name| (*name).into()).collect(),
        };
        self.note(denial.plugin, what);
    }

    fn revealed(&self, plugin: &PluginName, _: Generation, secret: &str) -> bool {
        let what = Repeated::SecretReveal {
            secret: secret.into(),
        };
        self.durable(plugin, what)
    }
}

struct Writer {
    audit: Arc<Audit>,
    lost: Arc<Mutex<Lost>>,
    dropped: Arc<AtomicU64>,
    coalescer: Coalescer,
    interval: Duration,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut flushed = Instant::now();
        let mut copied = flushed;
        loop {
            let until = self.interval.saturating_sub(flushed.elapsed());
            match jobs.recv_timeout(until) {
                Ok(Job::Note(plugin, what)) => {
                    self.note(&plugin, what);
                }
                Ok(Job::Append(event)) => {
                    self.append(*event);
                }
                Ok(Job::Durable(plugin, what, done)) => {
                    let written = self.note(&plugin, what);
                    // Whoever asked may have been dropped meanwhile.
                    done.send(written).ok();
                }
                Ok(Job::Finish(done)) => {
                    self.end();
                    done.send(()).ok();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            if flushed.elapsed() >= self.interval {
                flushed = Instant::now();
                for due in self.coalescer.flush(flushed) {
                    self.write(due);
                }
                self.write_lost();
            }
            if copied.elapsed() >= COPY_EVERY {
                copied = Instant::now();
                copy_head(&self.audit);
            }
        }
    }

    /// Whether it is on disk, or counted beside one that is.
    fn note(&mut self, plugin: &PluginName, what: Repeated) -> bool {
        match self.coalescer.note(plugin, what, Instant::now()) {
            Noted::Due(due) => self.write(due),
            Noted::Counted => true,
            Noted::NotOnRecord => false,
        }
    }

    fn write(&mut self, due: Due) -> bool {
        let written = self.append(due.event());
        if !written {
            self.coalescer.unwritten(due, Instant::now());
        }
        written
    }

    fn append(&self, event: Event) -> bool {
        match self.audit.append(event) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, "an audit line could not be written");
                false
            }
        }
    }

    fn write_lost(&self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(
                lines = dropped,
                "audit lines were dropped because the writer is behind"
            );
        }
        let lost = std::mem::take(&mut *self.lost.lock());
        for ((plugin, what), count) in lost {
            if !self.append(what.event(&plugin, count)) {
                let mut lost = self.lost.lock();
                let kept = lost.entry((plugin, what)).or_default();
                *kept = kept.saturating_add(count);
            }
        }
    }

    fn end(&mut self) {
        for event in self.coalescer.finish() {
            self.append(event);
        }
        self.write_lost();
    }
}
