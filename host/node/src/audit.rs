//! The host's side of the audit: who appends, and when.
//!
//! Owns the one writer of what guests make happen (denials, limits, secrets).
//! Decisions are appended by whoever takes them, before they take effect; what
//! a guest causes goes through a bounded queue to one thread that counts what
//! repeats, so that neither the disk nor a flood of denials holds a guest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use odeon_authority::{Audit, AuditError, Coalescer, Event, Repeated, Text};
use odeon_protocol::{Code, Generation, PluginName};
use odeon_runtime::{AuditSink, Denial};
use parking_lot::Mutex;

/// What the writer has not taken yet. More than this is counted, not kept.
const QUEUE: usize = 1024;

/// The audit as the host uses it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Shared>);

struct Shared {
    audit: Arc<Audit>,
    queue: SyncSender<Job>,
    /// What did not fit into the queue, by plugin.
    lost: Arc<Mutex<BTreeMap<PluginName, u64>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

enum Job {
    Note(PluginName, Repeated),
    Append(Event),
    /// To be on disk before the answer is sent.
    Durable(PluginName, Repeated, SyncSender<bool>),
    /// Write down everything that was counted, then end.
    Finish(SyncSender<()>),
}

impl Recorder {
    /// Starts the writer.
    pub(crate) fn start(audit: Audit, interval: Duration) -> std::io::Result<Self> {
        let audit = Arc::new(audit);
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let lost = Arc::new(Mutex::new(BTreeMap::new()));
        let writer = Writer {
            audit: audit.clone(),
            lost: lost.clone(),
            coalescer: Coalescer::new(interval),
            interval,
        };
        let writer = std::thread::Builder::new()
            .name("odeon-audit".into())
            .spawn(move || writer.run(&jobs))?;
        Ok(Recorder(Arc::new(Shared {
            audit,
            queue,
            lost,
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// The chain itself, for decisions.
    pub(crate) fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Appends at once. Blocks on the disk.
    pub(crate) fn append(&self, event: Event) -> Result<u64, AuditError> {
        self.0.audit.append(event)
    }

    /// Has something appended soon. Never blocks.
    pub(crate) fn append_soon(&self, event: Event) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.0.queue.try_send(Job::Append(event))
        {
            tracing::warn!("an audit line was dropped because the writer is behind");
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
        if self.0.queue.try_send(Job::Note(plugin.clone(), what)).is_err() {
            let mut lost = self.0.lost.lock();
            let count = lost.entry(plugin.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Writes down what was counted and ends the writer. Blocks on the disk.
    pub(crate) fn finish(&self) {
        let Some(writer) = self.0.writer.lock().take() else {
            return;
        };
        let (done, ended) = mpsc::sync_channel(1);
        if self.0.queue.send(Job::Finish(done)).is_ok() && ended.recv().is_ok() && writer.join().is_err() {
            tracing::error!("the audit's writer broke off");
        }
    }
}

impl AuditSink for Recorder {
    fn denied(&self, denial: Denial<'_>) {
        let what = Repeated::Denial {
            grant: denial.kind.into(),
            target: denial.target.into(),
        };
        self.note(denial.plugin, what);
    }

    fn revealed(&self, plugin: &PluginName, _: Generation, secret: &str) -> bool {
        let (done, written) = mpsc::sync_channel(1);
        let what = Repeated::SecretReveal {
            secret: secret.into(),
        };
        let sent = self
            .0
            .queue
            .send(Job::Durable(plugin.clone(), what, done))
            .is_ok();
        sent && written.recv().unwrap_or(false)
    }
}

struct Writer {
    audit: Arc<Audit>,
    lost: Arc<Mutex<BTreeMap<PluginName, u64>>>,
    coalescer: Coalescer,
    interval: Duration,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut flushed = Instant::now();
        loop {
            let until = self.interval.saturating_sub(flushed.elapsed());
            match jobs.recv_timeout(until) {
                Ok(Job::Note(plugin, what)) => {
                    self.note(&plugin, what);
                }
                Ok(Job::Append(event)) => {
                    self.append(event);
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
                for event in self.coalescer.flush(flushed) {
                    self.append(event);
                }
                self.write_lost();
            }
        }
    }

    /// Whether it is on disk, or counted beside one that is.
    fn note(&mut self, plugin: &PluginName, what: Repeated) -> bool {
        match self.coalescer.note(plugin, what, Instant::now()) {
            Some(event) => self.append(event),
            None => true,
        }
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
        let lost = std::mem::take(&mut *self.lost.lock());
        for (plugin, count) in lost {
            let (grant, target) = (Text::from("(others)"), Text::from("(others)"));
            self.append(Event::Denial {
                plugin,
                grant,
                target,
                count,
            });
        }
    }

    fn end(&mut self) {
        for event in self.coalescer.finish() {
            self.append(event);
        }
        self.write_lost();
    }
}
