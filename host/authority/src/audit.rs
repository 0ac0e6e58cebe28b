//! The record of what was decided and done: append-only, chained, signed.
//!
//! Owns the files `audit.jsonl` (one JSON object per line, each with the hash
//! of the line before it) and `audit.head` (the last line and its hash, signed
//! by the host, and the one before it in a slot of its own). The head is
//! written first and holds the whole new line, so a crash between the two
//! writes loses nothing: the next append completes the log from the head. What
//! stands in the log's end and is not the head's line is moved to
//! `audit.torn`, never dropped, and that is recorded; so is a head that was
//! not written to its end.
//!
//! Appends hold a file lock, so several processes share one chain. An append
//! costs two syncs: the log's, so that the line that is to be overwritten in
//! the head is on disk twice, and the head's before it returns. **Invariant:**
//! a log cut before its last line, or a head that is missing or not the host's,
//! stops all appends: nothing is let in on top of a damaged record.

mod chain;
mod coalesce;
mod copy;
mod event;
mod files;
mod read;
mod slots;
mod verify;

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use odeon_protocol::{Code, Digest};
use parking_lot::Mutex;

pub use coalesce::{Coalescer, Repeated};
pub use copy::HeadCopy;
pub use event::{Event, Text};
pub use read::{Record, Records};
pub use verify::{Finding, Report, verify};

use self::{
    chain::{Head, MAX_LINE, ROOT},
    files::{Files, deadline},
};
use crate::{
    file::{self, FileError},
    key::SigningKey,
};

/// The audit of a state directory. Its files are held open.
#[derive(Debug)]
pub struct Audit {
    folder: PathBuf,
    key: SigningKey,
    held: Mutex<Held>,
    /// Lines that were written since it was opened.
    written: AtomicU64,
}

#[derive(Debug)]
struct Held {
    files: Files,
    /// The checksum of the head that was last found to be the host's.
    verified: Option<Digest>,
}

/// An event that could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The files cannot be read or written.
    #[error("the audit cannot be written: {0}")]
    File(#[from] FileError),
    /// Others write to it and do not come to an end.
    #[error(
        "the audit is locked by another process for more than {} s, expected milliseconds; see who has audit.lock in the \
         state directory open (`fuser -v audit.lock`), end that or wait for it, and try again",
        files::PATIENCE.as_secs()
    )]
    Busy,
    /// There is a log, but no head.
    #[error("the audit's head is missing beside its log; {FIX}")]
    HeadMissing,
    /// The head is not this host's.
    #[error("the audit's head is not signed by this host's key; {FIX}")]
    HeadForged,
    /// Lines were removed from the end of the log.
    #[error("the audit's log is {found} bytes, expected at least {expected}: lines were cut off; {FIX}")]
    CutOff {
        /// How long it is.
        found: u64,
        /// How long it must be.
        expected: u64,
    },
    /// The audit is older than the copy that was made of its head.
    #[error(
        "the audit ends with record {found}, expected at least record {expected} as its copied head says: it was \
         replaced as a whole; {FIX}"
    )]
    OlderThanCopy {
        /// The last record there is.
        found: u64,
        /// The last record there was.
        expected: u64,
    },
    /// An event that makes a line too long.
    #[error("an audit line of {found} bytes, expected at most {MAX_LINE}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// An event that cannot be written as JSON.
    #[error("an audit line cannot be written: {0}")]
    Form(serde_json::Error),
}

const FIX: &str = "run `odeon audit --verify`, then move audit.jsonl, audit.head and \
                   audit.head.copy away to begin a new one";

impl AuditError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::AuditUnwritable
    }
}

/// Where the chain stands.
struct Tip {
    log: Arc<File>,
    seq: u64,
    hash: Digest,
    end: u64,
    /// What had to be put right: bytes moved away, if anything.
    recovered: Option<u64>,
}

impl Audit {
    /// Opens the audit of a folder, or begins one. `key` is the host's own and
    /// stays the same for the life of the audit. Waits for the disk only if
    /// something has to be put right.
    pub fn open(folder: &Path, key: SigningKey) -> Result<Self, AuditError> {
        let audit = Audit {
            folder: folder.to_owned(),
            key,
            held: Mutex::new(Held {
                files: Files::new(folder),
                verified: None,
            }),
            written: AtomicU64::new(0),
        };
        audit.in_turn(|held| {
            let tip = audit.tip(held)?;
            audit.note_recovery(held, tip).map(|_| ())
        })?;
        Ok(audit)
    }

    /// Writes an event, durably, and returns the number of its line. When this
    /// returns an error the event must be taken as not recorded.
    pub fn append(&self, event: Event) -> Result<u64, AuditError> {
        self.in_turn(|held| {
            let tip = self.tip(held)?;
            let tip = self.note_recovery(held, tip)?;
            Ok(self.write(held, tip, event)?.seq)
        })
    }

    /// How many lines were written since it was opened, by this process.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The number and hash of the last line, to be kept elsewhere too (the
    /// host's log, another machine): with them, an audit that was replaced as
    /// a whole is found. Nothing when there is no line yet.
    pub fn head(&self) -> Result<Option<(u64, Digest)>, AuditError> {
        self.in_turn(|held| {
            let tip = self.tip(held)?;
            Ok((tip.seq > 0).then_some((tip.seq, tip.hash)))
        })
    }

    /// Does something that no other thread and no other process does at the
    /// same time. Waits only so long for them.
    fn in_turn<R>(&self, work: impl FnOnce(&mut Held) -> Result<R, AuditError>) -> Result<R, AuditError> {
        let until = deadline();
        let mut held = self.held.try_lock_until(until).ok_or(AuditError::Busy)?;
        let _locked = held.files.lock(until)?;
        work(&mut held)
    }

    /// Finds the end of the chain and makes the log agree with the head.
    fn tip(&self, held: &mut Held) -> Result<Tip, AuditError> {
        let path = log_path(&self.folder);
        let wrong = |error| FileError::io(&path, error);
        let log = held.files.log()?;
        let length = log.metadata().map_err(wrong)?.len();
        let slots = match held.files.head()? {
            Some(file) => {
                Some(slots::read(&file).map_err(|error| FileError::io(&head_path(&self.folder), error))?)
            }
            None => None,
        };
        if slots.as_ref().is_some_and(|slots| slots.impossible) {
            return Err(AuditError::HeadForged);
        }
        let torn = slots.as_ref().is_some_and(|slots| slots.torn);
        let Some((head, sum)) = slots.and_then(|slots| slots.newest) else {
            if length > 0 {
                return Err(AuditError::HeadMissing);
            }
            return Ok(Tip {
                log,
                seq: 0,
                hash: ROOT,
                end: 0,
                recovered: torn.then_some(0),
            });
        };
        if held.verified != Some(sum) {
            if !head.is_signed_by(&self.key.public()) {
                return Err(AuditError::HeadForged);
            }
            held.verified = Some(sum);
        }
        if length < head.start {
            return Err(AuditError::CutOff {
                found: length,
                expected: head.start,
            });
        }
        let expected = head.line_bytes();
        let end = head.start.saturating_add(expected.len() as u64);
        let last = read_from(&log, head.start, expected.len().saturating_add(1)).map_err(wrong)?;
        let mut recovered = torn.then_some(0);
        if last != expected {
            let moved = if expected.starts_with(&last) {
                0
            } else {
                self.move_away(&log, head.start)?
            };
            log.set_len(head.start)
                .and_then(|()| log.write_all_at(&expected, head.start))
                .and_then(|()| log.sync_all())
                .map_err(wrong)?;
            file::sync_parent(&path)?;
            recovered = Some(moved);
        }
        Ok(Tip {
            log,
            seq: head.seq,
            hash: head.hash(),
            end,
            recovered,
        })
    }

    /// Keeps what does not belong at the end of the log.
    fn move_away(&self, mut log: &File, from: u64) -> Result<u64, AuditError> {
        let path = self.folder.join("audit.torn");
        let wrong = |error| FileError::io(&path, error);
        let mut torn = OpenOptions::new();
        torn.append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(no_follow());
        let mut torn = torn.open(&path).map_err(wrong)?;
        log.seek(SeekFrom::Start(from)).map_err(wrong)?;
        let moved = std::io::copy(&mut log, &mut torn).map_err(wrong)?;
        torn.write_all(b"\n")
            .and_then(|()| torn.sync_all())
            .map_err(wrong)?;
        Ok(moved)
    }

    fn note_recovery(&self, held: &mut Held, tip: Tip) -> Result<Tip, AuditError> {
        match tip.recovered {
            Some(bytes_moved) => self.write(held, tip, Event::Recovered { bytes_moved }),
            None => Ok(tip),
        }
    }

    fn write(&self, held: &mut Held, tip: Tip, event: Event) -> Result<Tip, AuditError> {
        let Tip {
            log, seq, hash, end, ..
        } = tip;
        let path = log_path(&self.folder);
        let seq = seq.saturating_add(1);
        let line = chain::line(seq, &hash, &event).map_err(AuditError::Form)?;
        if line.len() > MAX_LINE {
            return Err(AuditError::TooLong { found: line.len() });
        }
        let head = Head::signed(seq, end, line, &self.key);
        let file = held.files.made_head()?;
        // All lines so far are in the log for good once this returns; only then
        // may a slot be overwritten that holds one of them.
        log.sync_data().map_err(|error| FileError::io(&path, error))?;
        held.verified = None;
        let sum =
            slots::write(&file, &head).map_err(|error| FileError::io(&head_path(&self.folder), error))?;
        held.verified = Some(sum);
        let bytes = head.line_bytes();
        log.write_all_at(&bytes, end)
            .map_err(|error| FileError::io(&path, error))?;
        let end = end.saturating_add(bytes.len() as u64);
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(Tip {
            log,
            seq,
            hash: head.hash(),
            end,
            recovered: None,
        })
    }
}

/// At most so many bytes; fewer where the file ends.
fn read_from(file: &File, at: u64, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done = done.saturating_add(read),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn no_follow() -> i32 {
    (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC)
        .bits()
        .cast_signed()
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("audit.jsonl")
}

fn head_path(folder: &Path) -> PathBuf {
    folder.join("audit.head")
}

fn copy_path(folder: &Path) -> PathBuf {
    folder.join("audit.head.copy")
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("audit.lock")
}
