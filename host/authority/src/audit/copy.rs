//! The head kept a second time, for when the audit is replaced as a whole.
//!
//! Owns `audit.head.copy` and the copy that is kept elsewhere: number and hash
//! of the last line at the time the copy was made, signed by the host. It is
//! worth most out of reach of whoever can write to the state directory, which is
//! why a host can be told to keep one in another place, and writes it to its log
//! as well. Where that place is stands in `audit.elsewhere`.
//!
//! **Invariant:** a copy is overwritten only by one that continues it: the line
//! that it is of stands in the log. Else an audit that was put back would only
//! have to grow past the copy to be taken for the one that it replaced.

use std::{
    fs::OpenOptions,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use odeon_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::{
    Audit, AuditError,
    chain::{Link, hex, unhex},
    copy_path,
    known::Known,
    log_path, read,
    read::Lines,
    read_from, segments,
    verify::Snapshot,
};
use crate::{
    file::{self, FileError, Others},
    key::{PublicKey, SigningKey},
};

const MAX: u64 = 4096;
/// A path and a line feed.
const MAX_PLACE: u64 = 8 * 1024;
const PLACE: &str = "audit.elsewhere";

/// Which line was the last when the copy was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadCopy {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// When the copy was made: UTC, RFC 3339.
    pub time: String,
    signature: String,
}

impl HeadCopy {
    fn signed(seq: u64, hash: Digest, key: &SigningKey) -> Self {
        let time = format!("{:.0}", jiff::Timestamp::now());
        let signature = hex(&key.sign(&message(seq, &hash, &time)));
        HeadCopy {
            seq,
            hash,
            time,
            signature,
        }
    }

    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = message(self.seq, &self.hash, &self.time);
        unhex(&self.signature).is_some_and(|signature| key.verifies(&message, &signature))
    }

    /// The copy in a state directory, if one was made. One that cannot be read,
    /// or that somebody else made, says nothing: who can write it there can
    /// remove it as well.
    pub(super) fn read(folder: &Path, key: &PublicKey) -> Result<Option<Self>, AuditError> {
        match file::read_owned(&copy_path(folder), Others::MayRead, MAX) {
            Ok(bytes) => {
                let copy: Option<Self> = serde_json::from_slice(&bytes).ok();
                Ok(copy.filter(|copy| copy.is_signed_by(key)))
            }
            Err(FileError::Missing { .. } | FileError::TooLong { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A line that was the last one once, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stood {
    pub(super) seq: u64,
    pub(super) hash: Digest,
    /// The number of the first line of its segment.
    pub(super) segment: u64,
    /// Where in that it begins.
    pub(super) start: u64,
    /// Its bytes, line feed included.
    pub(super) length: usize,
}

impl Stood {
    /// What stands there now, if the segment is still there.
    fn hash_now(&self, folder: &Path) -> Result<Option<Digest>, AuditError> {
        let ended = segments::path(folder, self.segment);
        let (path, file) = match read::open(&ended)? {
            Some(file) => (ended, Some(file)),
            None => (log_path(folder), read::open(&log_path(folder))?),
        };
        let Some(file) = file else { return Ok(None) };
        let bytes = read_from(&file, self.start, self.length).map_err(|error| FileError::io(&path, error))?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        Ok(Some(Digest::of(line)))
    }
}

/// The hash of the line of this number, if it is there. Reads one segment.
fn hash_of(folder: &Path, seq: u64) -> Result<Option<Digest>, AuditError> {
    let snapshot = Snapshot::of(folder)?;
    let ended = snapshot.ended.iter().rev().find(|segment| segment.first <= seq);
    if let Some(segment) = ended {
        let file = file::open_owned(&segment.path, Others::MayRead)?;
        let found = find(&segment.path, Lines::of(file), seq)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    match snapshot.written {
        Some((file, length)) => find(&log_path(folder), Lines::up_to(file, length), seq),
        None => Ok(None),
    }
}

fn find(path: &Path, mut lines: Lines, seq: u64) -> Result<Option<Digest>, AuditError> {
    while let Some(line) = lines.next().map_err(|error| FileError::io(path, error))? {
        let link = serde_json::from_slice::<Link>(&line.bytes).ok();
        if link.is_some_and(|link| link.seq == seq) {
            return Ok(Some(Digest::of(&line.bytes)));
        }
    }
    Ok(None)
}

fn message(seq: u64, hash: &Digest, time: &str) -> Vec<u8> {
    format!("odeon audit head copy v1\n{seq}\n{hash}\n{time}\n").into_bytes()
}

impl Audit {
    /// Copies the head to `audit.head.copy` and returns it, to be kept
    /// elsewhere too. Nothing when there is no line yet.
    ///
    /// A copy of a line that is not in the audit, or not any more, stays as it is
    /// and is an error: somebody put an older audit in its place.
    pub fn copy_head(&self) -> Result<Option<HeadCopy>, AuditError> {
        let Some(last) = self.last()? else {
            return Ok(None);
        };
        let path = copy_path(&self.folder);
        if let Some(before) = HeadCopy::read(&self.folder, &self.key.public())? {
            self.check_continues(&path, &before, &last)?;
        }
        let copy = HeadCopy::signed(last.seq, last.hash, &self.key);
        let text = serde_json::to_vec(&copy).map_err(AuditError::Form)?;
        file::replace(&path, &text, 0o600)?;
        self.copied.lock().insert(path, last);
        Ok(Some(copy))
    }

    /// Whether this audit, which ends with that line now, goes on from the copy
    /// that stands in that place. What this process copied itself is looked up
    /// where it stands; anything else is searched for, once.
    fn check_continues(&self, place: &Path, before: &HeadCopy, last: &Stood) -> Result<(), AuditError> {
        let found = if before.seq < last.seq {
            let copied = self.copied.lock().get(place).copied();
            match copied.filter(|copied| (copied.seq, copied.hash) == (before.seq, before.hash)) {
                Some(copied) => self.in_turn(|_| copied.hash_now(&self.folder))?,
                None => hash_of(&self.folder, before.seq)?,
            }
        } else {
            (before.seq == last.seq).then_some(last.hash)
        };
        let exported = |known: Known| known.through >= before.seq;
        let continues = match found {
            Some(hash) => hash == before.hash,
            // It may have been taken away, with a segment that was exported.
            None if before.seq < last.seq => {
                Known::read(&self.folder, &self.key.public())?.is_some_and(exported)
            }
            None => false,
        };
        match continues {
            true => Ok(()),
            false => Err(AuditError::OlderThanCopy {
                found: last.seq,
                expected: before.seq,
            }),
        }
    }

    /// Copies the head to a file in another place. Says which record it is of;
    /// nothing when there is none yet. A copy that is of this record already is
    /// left as it is.
    ///
    /// What stands there and is no head of this audit, or of a line that is not in
    /// it, stays as it is and is an error.
    pub fn keep_head(&self, path: &Path) -> Result<Option<u64>, AuditError> {
        let Some(last) = self.last()? else {
            return Ok(None);
        };
        let Stood { seq, hash, .. } = last;
        if let Some(before) = read_elsewhere(path)? {
            if !before.is_signed_by(&self.key.public()) {
                return Err(AuditError::ForeignCopy {
                    path: path.to_owned(),
                });
            }
            self.check_continues(path, &before, &last)?;
            if before.seq == seq {
                return Ok(Some(seq));
            }
        }
        let text = serde_json::to_vec(&HeadCopy::signed(seq, hash, &self.key)).map_err(AuditError::Form)?;
        file::replace(path, &text, 0o644)?;
        self.copied.lock().insert(path.to_owned(), last);
        Ok(Some(seq))
    }

    /// Writes down where the head is kept besides the state directory, so that
    /// whoever checks the audit finds it; or that it is kept nowhere else.
    pub fn say_elsewhere(&self, path: Option<&Path>) -> Result<(), AuditError> {
        let place = self.folder.join(PLACE);
        if elsewhere(&self.folder).is_ok_and(|now| now.as_deref() == path) {
            return Ok(());
        }
        let Some(path) = path else {
            std::fs::remove_file(&place).map_err(|error| FileError::io(&place, error))?;
            return Ok(file::sync_parent(&place)?);
        };
        let mut line = path.as_os_str().as_bytes().to_vec();
        if !is_place(&line) {
            return Err(AuditError::Place {
                path: path.to_owned(),
            });
        }
        line.push(b'\n');
        Ok(file::replace(&place, &line, 0o600)?)
    }
}

/// Where the head of a state directory's audit is kept besides.
pub(super) fn elsewhere(folder: &Path) -> Result<Option<PathBuf>, AuditError> {
    let place = folder.join(PLACE);
    let bytes = match file::read_owned(&place, Others::MayRead, MAX_PLACE) {
        Ok(bytes) => bytes,
        Err(FileError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if !is_place(line) {
        return Err(AuditError::Place { path: place });
    }
    Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(line.to_vec()))))
}

fn is_place(line: &[u8]) -> bool {
    line.starts_with(b"/") && !line.contains(&b'\n') && !line.contains(&0)
}

/// The copy in another place, where others may own the files. One that cannot
/// be read as such counts as nobody's.
pub(super) fn read_elsewhere(path: &Path) -> Result<Option<HeadCopy>, AuditError> {
    use rustix::fs::OFlags;
    // Not waiting for a pipe that somebody put there.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io(path, error).into()),
    };
    let bytes = file::read_bounded(path, &file, MAX)?;
    let foreign = |_| AuditError::ForeignCopy {
        path: path.to_owned(),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(foreign)
}
