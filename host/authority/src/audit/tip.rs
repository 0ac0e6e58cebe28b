//! Where the chain stands, and making the files agree about it.
//!
//! Owns what is put right before an append, and the end of a segment. Steps are
//! taken in one order, so that wherever a process is killed, or the power
//! fails, what it leaves is one of these states, and each is completed by the
//! next append or start:
//!
//! | State | Head | `audit.jsonl` | Segment's file | Completed by |
//! |---|---|---|---|---|
//! | at rest | its last line | ends with it | none | nothing to do |
//! | 1. head written | the new line | ends before it, or within it | none | writing the line from the head, and a `recovered` line |
//! | 2. `rotate` in the head | `rotate` | ends before it, or within it | none | as 1, then as 3 |
//! | 3. `rotate` in the log | `rotate` | ends with it | none | syncing and renaming it |
//! | 4. renamed | `rotate` | is not there | ends with `rotate` | making an empty one |
//! | 5. begun | `rotate` | is empty | ends with `rotate` | nothing to do |
//! | 6. head of the next segment | its first line | empty, or ends within it | ends with `rotate` | as 1 |
//!
//! What makes this so: the log is synced before it is renamed, and the folder
//! before a head is written that begins a segment.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

use odeon_protocol::Digest;

use super::{
    Audit, AuditError, Held,
    chain::{FIRST, Head, ROOT},
    copy::Stood,
    head_path, log_path, no_follow, read_from, segments, slots,
};
use crate::file::{self, FileError, Others};

/// Where the chain stands.
pub(super) struct Tip {
    pub(super) log: Arc<File>,
    pub(super) seq: u64,
    pub(super) hash: Digest,
    /// The number of the first line of the segment that is written.
    pub(super) segment: u64,
    pub(super) end: u64,
    /// The last line, if there is one, and where it stands.
    pub(super) last: Option<Stood>,
    /// What had to be put right: bytes moved away, if anything.
    pub(super) recovered: Option<u64>,
}

impl Audit {
    /// Finds the end of the chain and makes the log agree with the head.
    pub(super) fn tip(&self, held: &mut Held) -> Result<Tip, AuditError> {
        let path = log_path(&self.folder);
        let log = held.files.log()?;
        let length = length(&path, &log)?;
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
            if length > 0 || !segments::list(&self.folder)?.is_empty() {
                return Err(AuditError::HeadMissing);
            }
            return Ok(Tip {
                log,
                seq: 0,
                hash: ROOT,
                segment: FIRST,
                end: 0,
                last: None,
                recovered: torn.then_some(0),
            });
        };
        if held.verified != Some(sum) {
            if !head.is_signed_by(&self.key.public()) {
                return Err(AuditError::HeadForged);
            }
            held.verified = Some(sum);
        }
        let recovered = torn.then_some(0);
        let length_of_line = head.line_bytes().len();
        let last = Some(Stood {
            seq: head.seq,
            hash: head.hash(),
            segment: head.segment,
            start: head.start,
            length: length_of_line,
        });
        if head.ends_segment() {
            let moved = self.end_again(&log, &head, length)?;
            return Ok(Tip {
                log: held.files.log()?,
                seq: head.seq,
                hash: head.hash(),
                segment: head.seq.saturating_add(1),
                end: 0,
                last,
                recovered: moved.or(recovered),
            });
        }
        let moved = self.complete(&log, &head, length)?;
        Ok(Tip {
            log,
            seq: head.seq,
            hash: head.hash(),
            segment: head.segment,
            end: head.start.saturating_add(length_of_line as u64),
            last,
            recovered: moved.or(recovered),
        })
    }

    /// Makes the log end with the head's line. Says how much did not belong
    /// there, if it did not.
    fn complete(&self, log: &File, head: &Head, length: u64) -> Result<Option<u64>, AuditError> {
        let path = log_path(&self.folder);
        let wrong = |error| FileError::io(&path, error);
        if length < head.start {
            return Err(AuditError::CutOff {
                found: length,
                expected: head.start,
            });
        }
        let expected = head.line_bytes();
        let last = read_from(log, head.start, expected.len().saturating_add(1)).map_err(wrong)?;
        if last == expected {
            return Ok(None);
        }
        let moved = if expected.starts_with(&last) {
            0
        } else {
            self.move_away(log, head.start)?
        };
        log.set_len(head.start)
            .and_then(|()| log.write_all_at(&expected, head.start))
            .and_then(|()| log.sync_all())
            .map_err(wrong)?;
        file::sync_parent(&path)?;
        Ok(Some(moved))
    }

    /// The end of a segment, from wherever it stopped.
    fn end_again(&self, log: &File, head: &Head, length: u64) -> Result<Option<u64>, AuditError> {
        let ended = segments::path(&self.folder, head.segment);
        if ended.symlink_metadata().is_err() {
            let moved = self.complete(log, head, length)?;
            self.close(log, head.segment)?;
            return Ok(moved);
        }
        ends_with(&ended, head)?;
        if length == 0 {
            return Ok(None);
        }
        let moved = self.move_away(log, 0)?;
        log.set_len(0)
            .and_then(|()| log.sync_all())
            .map_err(|error| FileError::io(&log_path(&self.folder), error))?;
        Ok(Some(moved))
    }

    /// Gives a segment that has ended its name, for good.
    pub(super) fn close(&self, log: &File, segment: u64) -> Result<(), AuditError> {
        let path = log_path(&self.folder);
        let ended = segments::path(&self.folder, segment);
        let wrong = |error| FileError::io(&ended, error);
        if ended.symlink_metadata().is_ok() {
            return Err(FileError::Taken { path: ended }.into());
        }
        log.sync_all().map_err(|error| FileError::io(&path, error))?;
        std::fs::rename(&path, &ended).map_err(wrong)?;
        Ok(file::sync_parent(&path)?)
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
        // Its name lasts before the log is cut.
        file::sync_parent(&path)?;
        Ok(moved)
    }
}

/// Whether the segment that has ended does so with the head's line.
fn ends_with(path: &Path, head: &Head) -> Result<(), AuditError> {
    let file = file::open_owned(path, Others::MayRead)?;
    let expected = head.line_bytes();
    let end = head.start.saturating_add(expected.len() as u64);
    let last = read_from(&file, head.start, expected.len().saturating_add(1))
        .map_err(|error| FileError::io(path, error))?;
    if last == expected {
        return Ok(());
    }
    Err(AuditError::SegmentDamaged {
        file: segments::shown(path),
        found: length(path, &file)?,
        expected: end,
    })
}

fn length(path: &Path, file: &File) -> Result<u64, AuditError> {
    let metadata = file.metadata().map_err(|error| FileError::io(path, error))?;
    Ok(metadata.len())
}
