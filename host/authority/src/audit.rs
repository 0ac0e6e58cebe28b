//! The record of what was decided and done: append-only, chained, signed.
//!
//! Owns the files `audit.jsonl` (one JSON object per line, each with the hash
//! of the line before it) and `audit.head` (the last line and its hash, signed
//! by the host). The head is written first and holds the whole new line, so a
//! crash between the two writes loses nothing: the next append completes the
//! log from the head. What stands in the log's end and is not the head's line
//! is moved to `audit.torn`, never dropped, and that is recorded.
//!
//! Appends hold a file lock, so several processes share one chain; the head is
//! synced before an append returns, the log before the next. **Invariant:** a
//! log cut before its last line, or a head that is missing or not the host's,
//! stops all appends: nothing is let in on top of a damaged record.

mod chain;
mod coalesce;
mod event;
mod read;
mod verify;

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use odeon_protocol::{Code, Digest};

pub use coalesce::{Coalescer, Repeated};
pub use event::{Event, Text};
pub use read::{Record, Records};
pub use verify::{Finding, Report, verify};

use self::chain::{Head, MAX_HEAD, MAX_LINE, ROOT};
use crate::{
    file::{self, FileError, Others},
    key::SigningKey,
};

/// The audit of a state directory.
#[derive(Debug)]
pub struct Audit {
    folder: PathBuf,
    key: SigningKey,
}

/// An event that could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The files cannot be read or written.
    #[error("the audit cannot be written: {0}")]
    File(#[from] FileError),
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

const FIX: &str = "run `odeon audit --verify`, then move audit.jsonl and audit.head away to begin a new one";

impl AuditError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::AuditUnwritable
    }
}

/// Where the chain stands.
struct Tip {
    log: File,
    seq: u64,
    hash: Digest,
    end: u64,
    /// What had to be put right in the log: bytes moved away, if anything.
    recovered: Option<u64>,
}

impl Audit {
    /// Opens the audit of a folder, or begins one. `key` is the host's own and
    /// stays the same for the life of the audit.
    pub fn open(folder: &Path, key: SigningKey) -> Result<Self, AuditError> {
        let audit = Audit {
            folder: folder.to_owned(),
            key,
        };
        let _lock = file::lock(&lock_path(folder))?;
        let tip = audit.tip()?;
        audit.note_recovery(tip)?;
        Ok(audit)
    }

    /// Writes an event, durably, and returns the number of its line. When this
    /// returns an error the event must be taken as not recorded.
    pub fn append(&self, event: Event) -> Result<u64, AuditError> {
        let _lock = file::lock(&lock_path(&self.folder))?;
        let tip = self.tip()?;
        let tip = self.note_recovery(tip)?;
        Ok(self.write(tip, event)?.seq)
    }

    /// The number and hash of the last line, to be kept elsewhere too (the
    /// host's log, another machine): with them, an audit that was replaced as
    /// a whole is found. Nothing when there is no line yet.
    pub fn head(&self) -> Result<Option<(u64, Digest)>, AuditError> {
        Ok(read_head(&self.folder)?.map(|head| (head.seq, head.hash())))
    }

    /// Finds the end of the chain and makes the log agree with the head.
    fn tip(&self) -> Result<Tip, AuditError> {
        let path = log_path(&self.folder);
        let wrong = |error| FileError::io(&path, error);
        let mut log = open_log(&path)?;
        let length = log.metadata().map_err(wrong)?.len();
        let Some(head) = read_head(&self.folder)? else {
            if length > 0 {
                return Err(AuditError::HeadMissing);
            }
            return Ok(Tip {
                log,
                seq: 0,
                hash: ROOT,
                end: 0,
                recovered: None,
            });
        };
        if !head.is_signed_by(&self.key.public()) {
            return Err(AuditError::HeadForged);
        }
        if length < head.start {
            return Err(AuditError::CutOff {
                found: length,
                expected: head.start,
            });
        }
        let expected = head.line_bytes();
        let end = head.start.saturating_add(expected.len() as u64);
        let mut last = Vec::new();
        log.seek(SeekFrom::Start(head.start)).map_err(wrong)?;
        (&log)
            .take(expected.len() as u64 + 1)
            .read_to_end(&mut last)
            .map_err(wrong)?;
        // The line is on disk twice once this returns; only then may the head
        // that also holds it be replaced.
        log.sync_data().map_err(wrong)?;
        let mut recovered = None;
        if last != expected {
            let moved = if expected.starts_with(&last) {
                0
            } else {
                self.move_away(&log, head.start)?
            };
            log.set_len(head.start).map_err(wrong)?;
            log.seek(SeekFrom::Start(head.start)).map_err(wrong)?;
            log.write_all(&expected)
                .and_then(|()| log.sync_all())
                .map_err(wrong)?;
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

    fn note_recovery(&self, tip: Tip) -> Result<Tip, AuditError> {
        match tip.recovered {
            Some(bytes_moved) => self.write(tip, Event::Recovered { bytes_moved }),
            None => Ok(tip),
        }
    }

    fn write(&self, tip: Tip, event: Event) -> Result<Tip, AuditError> {
        let Tip {
            mut log,
            seq,
            hash,
            end,
            ..
        } = tip;
        let seq = seq.saturating_add(1);
        let line = chain::line(seq, &hash, &event).map_err(AuditError::Form)?;
        if line.len() > MAX_LINE {
            return Err(AuditError::TooLong { found: line.len() });
        }
        let head = Head::signed(seq, end, line, &self.key);
        let text = serde_json::to_vec(&head).map_err(AuditError::Form)?;
        file::replace(&head_path(&self.folder), &text, 0o600)?;
        let path = log_path(&self.folder);
        let bytes = head.line_bytes();
        log.seek(SeekFrom::Start(end))
            .and_then(|_| log.write_all(&bytes))
            .map_err(|error| FileError::io(&path, error))?;
        let end = end.saturating_add(bytes.len() as u64);
        Ok(Tip {
            log,
            seq,
            hash: head.hash(),
            end,
            recovered: None,
        })
    }
}

fn open_log(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow());
    let log = options.open(path).map_err(|error| FileError::io(path, error))?;
    file::check_owned(path, &log, Others::MayRead)?;
    Ok(log)
}

fn no_follow() -> i32 {
    (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC)
        .bits()
        .cast_signed()
}

fn read_head(folder: &Path) -> Result<Option<Head>, AuditError> {
    match file::read_owned(&head_path(folder), Others::MayRead, MAX_HEAD) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| AuditError::HeadForged),
        Err(FileError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("audit.jsonl")
}

fn head_path(folder: &Path) -> PathBuf {
    folder.join("audit.head")
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("audit.lock")
}
