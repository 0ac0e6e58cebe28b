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
//! A log that would grow beyond its size ends with a `rotate` line and becomes
//! `audit.N.jsonl`, after its first line's number; the chain goes on in a new
//! one. [`tip`] has the states in between.
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
mod export;
mod files;
mod finding;
mod known;
mod read;
mod segments;
mod slots;
mod tip;
mod verify;
mod walk;

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use odeon_protocol::{Code, Digest};
use parking_lot::Mutex;

pub use coalesce::{Coalescer, Due, Noted, Repeated};
pub use copy::HeadCopy;
pub use event::{Event, FailedLoad, LoadStep, Text};
pub use export::{Exported, Manifest, export, verify_export};
pub use finding::{Finding, Place, Report};
pub use read::{Record, Records};
pub use verify::{verify, verify_with};

use self::{
    chain::{Head, MAX_LINE},
    copy::Stood,
    files::{Files, deadline},
    tip::Tip,
};
use crate::{
    file::{self, FileError},
    key::SigningKey,
    limits::HostLimits,
    unit::ByteSize,
};

/// The audit of a state directory. Its files are held open.
#[derive(Debug)]
pub struct Audit {
    folder: PathBuf,
    key: SigningKey,
    /// The most bytes of one segment, unless one line is longer.
    segment: u64,
    held: Mutex<Held>,
    /// Lines that were written since it was opened.
    written: AtomicU64,
    /// Which lines the copies are of that this process made, by their places,
    /// which the host's operator named.
    copied: Mutex<HashMap<PathBuf, Stood>>,
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
    /// The end of a segment is not what the host wrote.
    #[error(
        "the audit's segment {file} is {found} bytes, expected {expected} and the host's last line; {FIX}"
    )]
    SegmentDamaged {
        /// The segment's file.
        file: String,
        /// How long it is.
        found: u64,
        /// How long it must be.
        expected: u64,
    },
    /// What is to be exported is not an unbroken chain.
    #[error(
        "line {line} of {file} does not continue the chain, so that an export would vouch for what the host did not \
         write; run `odeon audit --verify`"
    )]
    Broken {
        /// The segment's file.
        file: String,
        /// The line, from 1.
        line: u64,
    },
    /// There is nothing to export from there on.
    #[error("there is no record {from} to export from, expected a number from {first} to {last}")]
    NothingFrom {
        /// What was asked for.
        from: u64,
        /// The first record there is.
        first: u64,
        /// The last.
        last: u64,
    },
    /// What stands where the head is to be kept is not this audit's.
    #[error(
        "{} is not a head of this host's audit, and is left as it is; expected that or no file: move it away, or name \
         another file", path.display()
    )]
    ForeignCopy {
        /// The file.
        path: PathBuf,
    },
    /// A place for the head that cannot be written down.
    #[error("{}: expected the absolute path of a file, on one line", path.display())]
    Place {
        /// What was found, or the file that says it.
        path: PathBuf,
    },
    /// The audit is older than the copy that was made of its head.
    #[error(
        "the audit ends with record {found}, expected at least record {expected} and the same one as its copied head \
         says: it was replaced as a whole; {FIX}"
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

const FIX: &str = "run `odeon audit --verify`, then move all files audit.* of the state directory away together, and \
                   the copy of the head that is kept elsewhere, to begin a new one";

/// How much of a segment is kept free for its `rotate` line.
const ROTATE_LINE: u64 = 512;

impl AuditError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::AuditUnwritable
    }
}

impl Audit {
    /// Opens the audit of a folder, or begins one. `key` is the host's own and
    /// stays the same for the life of the audit. Waits for the disk only if
    /// something has to be put right. Its segments are of the usual size.
    pub fn open(folder: &Path, key: SigningKey) -> Result<Self, AuditError> {
        Self::open_sized(folder, key, HostLimits::default().audit_size)
    }

    /// The same with segments of at most this size. One that has but one line
    /// and its `rotate` line may be longer.
    pub fn open_sized(folder: &Path, key: SigningKey, segment: ByteSize) -> Result<Self, AuditError> {
        let audit = Audit {
            folder: folder.to_owned(),
            key,
            segment: segment.bytes(),
            held: Mutex::new(Held {
                files: Files::new(folder),
                verified: None,
            }),
            written: AtomicU64::new(0),
            copied: Mutex::new(HashMap::new()),
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
        Ok(self.last()?.map(|last| (last.seq, last.hash)))
    }

    /// The last line. What had to be put right to find it is recorded.
    fn last(&self) -> Result<Option<Stood>, AuditError> {
        self.in_turn(|held| {
            let tip = self.tip(held)?;
            Ok(self.note_recovery(held, tip)?.last)
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

    fn note_recovery(&self, held: &mut Held, tip: Tip) -> Result<Tip, AuditError> {
        match tip.recovered {
            Some(bytes_moved) => self.write(held, tip, Event::Recovered { bytes_moved }),
            None => Ok(tip),
        }
    }

    /// Writes an event behind the tip, in a segment that has room for it.
    fn write(&self, held: &mut Held, tip: Tip, event: Event) -> Result<Tip, AuditError> {
        let line = line(&tip, &event)?;
        let grown = tip
            .end
            .saturating_add(line.len() as u64)
            .saturating_add(ROTATE_LINE);
        if tip.end == 0 || grown <= self.segment {
            return self.put(held, tip, line);
        }
        let tip = self.rotate(held, tip)?;
        let line = self::line(&tip, &event)?;
        self.put(held, tip, line)
    }

    /// Ends a segment and begins the next.
    fn rotate(&self, held: &mut Held, tip: Tip) -> Result<Tip, AuditError> {
        let first = tip.segment;
        let event = Event::Rotate {
            first,
            next: tip.seq.saturating_add(2),
        };
        let line = line(&tip, &event)?;
        let tip = self.put(held, tip, line)?;
        self.close(&tip.log, first)?;
        Ok(Tip {
            log: held.files.log()?,
            segment: tip.seq.saturating_add(1),
            end: 0,
            ..tip
        })
    }

    /// Writes a line behind the tip: the head first, then the log.
    fn put(&self, held: &mut Held, tip: Tip, line: String) -> Result<Tip, AuditError> {
        let Tip {
            log,
            seq,
            segment,
            end,
            ..
        } = tip;
        let path = log_path(&self.folder);
        let head = Head::signed(seq.saturating_add(1), segment, end, line, &self.key);
        let file = held.files.made_head()?;
        // All lines so far are in the log for good once this returns; only then
        // may a slot be overwritten that holds one of them.
        log.sync_data().map_err(|error| FileError::io(&path, error))?;
        if end == 0 {
            // So are the names of the segment before and of this one.
            file::sync_parent(&path)?;
        }
        held.verified = None;
        let sum =
            slots::write(&file, &head).map_err(|error| FileError::io(&head_path(&self.folder), error))?;
        held.verified = Some(sum);
        let bytes = head.line_bytes();
        log.write_all_at(&bytes, end)
            .map_err(|error| FileError::io(&path, error))?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(Tip {
            log,
            seq: head.seq,
            hash: head.hash(),
            segment,
            end: end.saturating_add(bytes.len() as u64),
            last: Some(Stood {
                seq: head.seq,
                hash: head.hash(),
                segment,
                start: end,
                length: bytes.len(),
            }),
            recovered: None,
        })
    }
}

/// The line of an event that comes behind the tip.
fn line(tip: &Tip, event: &Event) -> Result<String, AuditError> {
    let line = chain::line(tip.seq.saturating_add(1), &tip.hash, event).map_err(AuditError::Form)?;
    match line.len() {
        found if found > MAX_LINE => Err(AuditError::TooLong { found }),
        _ => Ok(line),
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
