//! The audit's head, kept in a second place while the host lives.
//!
//! Owns the thread that does it: the place may be on another machine's disk and
//! hang, and nobody waits for it then, neither a guest nor an append. Says once
//! what is wrong, not each time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use odeon_authority::Audit;

/// How long the end of a host waits for the last copy.
const LAST: Duration = Duration::from_secs(2);

/// Keeps the head until dropped.
pub(super) struct Keeper {
    /// Has it look at once; ends it when dropped.
    now: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Copies the head whenever there is a new one, at most once in that time
    /// unless it is told to look.
    pub(super) fn start(audit: Arc<Audit>, path: PathBuf, every: Duration) -> std::io::Result<Self> {
        let (now, told) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("odeon-audit-head".into())
            .spawn(move || keep(&audit, &path, every, &told))?;
        Ok(Keeper { now, thread })
    }

    /// Has the head copied soon. Never blocks.
    pub(super) fn look(&self) {
        // It is told already, or looks anyhow.
        self.now.try_send(()).ok();
    }

    /// Copies the head once more and ends, unless the place does not answer.
    pub(super) fn end(self) {
        const PAUSE: Duration = Duration::from_millis(2);
        let Keeper { now, thread } = self;
        drop(now);
        let asked = Instant::now();
        while !thread.is_finished() && asked.elapsed() < LAST {
            std::thread::sleep(PAUSE);
        }
        if !thread.is_finished() {
            tracing::error!("the audit's head was not kept elsewhere at the end: its place does not answer");
        }
    }
}

fn keep(audit: &Audit, path: &Path, every: Duration, told: &Receiver<()>) {
    let mut said = None;
    loop {
        let ended = match told.recv_timeout(every) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        match audit.keep_head(path) {
            Ok(_) => said = None,
            Err(error) => {
                let words = error.to_string();
                if said.as_ref() != Some(&words) {
                    tracing::error!(%error, path = %path.display(), "the audit's head is not kept elsewhere");
                    said = Some(words);
                }
            }
        }
        if ended {
            return;
        }
    }
}
