//! Finding what was done to the log behind the host's back.
//!
//! Owns which files are looked at and in which order: all segments, the signed
//! head, the copies of it, and what says that segments may be missing. What a
//! line that does not fit is, [`super::walk`] says.
//!
//! Changes nothing. Holds the audit's lock only while it looks what there is: a
//! segment that has ended does not change, and the log only grows. Reads line by
//! line, so that the memory it takes does not grow with the log.

use std::{fs::File, path::Path};

use odeon_protocol::Digest;

use super::{
    AuditError,
    chain::{FIRST, Link, ROOT},
    copy::{self, HeadCopy},
    files::lock_shared,
    finding::{Finding, Report},
    head_path,
    known::Known,
    log_path,
    read::{self, Lines},
    segments::{self, Segment},
    slots::{self, Slots},
    walk::{Vouched, Walk},
};
use crate::{
    file::{self, FileError, Others},
    key::PublicKey,
};

/// Checks the audit of a folder against the host's public key, and against the
/// copy of its head that the host keeps elsewhere, if it does.
pub fn verify(folder: &Path, key: &PublicKey) -> Result<Report, AuditError> {
    verify_with(folder, key, None)
}

/// The same, against this copy of the head as well.
pub fn verify_with(folder: &Path, key: &PublicKey, copy: Option<&Path>) -> Result<Report, AuditError> {
    let mut report = Report::default();
    // Before anything else is looked at: no copy is newer than the log then,
    // however much is appended meanwhile.
    let known = Known::read(folder, key)?;
    let vouched = vouched(folder, key, copy, known.as_ref(), &mut report)?;
    let snapshot = Snapshot::of(folder)?;
    let head = snapshot.slots.newest.as_ref().map(|(head, _)| head);
    let signed = head.filter(|head| !snapshot.slots.impossible && head.is_signed_by(key));
    // What the file that is written begins with, by the host's word.
    let has_ended = |segment| snapshot.ended.iter().any(|ended| ended.first == segment);
    let written = signed.map(|head| match head.ends_segment() && has_ended(head.segment) {
        true => head.seq.saturating_add(1),
        false => head.segment,
    });
    let files = in_order(snapshot.ended, written, &mut report)?;
    let named = files.first().map(|file| file.first).or(written);
    let (first, prev) = beginning(named.unwrap_or(FIRST), known.as_ref(), &mut report);
    report.first = Some(first);
    let mut walk = Walk::new(first, prev, &vouched);
    for Segment { first, path } in files {
        let file = file::open_owned(&path, Others::MayRead)?;
        walk.begin(segments::shown(&path), Some(first), &mut report);
        look(&path, Lines::of(file), &mut walk, &mut report)?;
    }
    if let Some((file, length)) = snapshot.written {
        let path = log_path(folder);
        walk.begin(segments::shown(&path), written, &mut report);
        look(&path, Lines::up_to(file, length), &mut walk, &mut report)?;
    }
    walk.missed(&mut report);
    if snapshot.slots.torn && !snapshot.slots.impossible {
        report.add(Finding::HeadTorn);
    }
    match (signed, head) {
        (Some(head), _) => {
            report.head = Some(head.seq);
            report.head_hash = Some(head.hash());
            report.key = Some(*key);
            walk.end(head.seq, &head.hash(), &mut report);
        }
        (None, None) if !snapshot.slots.impossible && report.lines == 0 => {}
        (None, None) if !snapshot.slots.impossible => report.add(Finding::HeadMissing),
        (None, _) => report.add(Finding::HeadForged),
    }
    let last = report.head.unwrap_or(0);
    for Vouched { seq, file, .. } in vouched.into_iter().filter(|vouched| vouched.seq > last) {
        report.add(Finding::OtherThanCopy { seq, file });
    }
    Ok(report)
}

/// What there was at one moment.
pub(super) struct Snapshot {
    pub(super) slots: Slots,
    pub(super) ended: Vec<Segment>,
    /// The file that is written, and how long it is.
    pub(super) written: Option<(File, u64)>,
}

impl Snapshot {
    /// Waits for an append to end.
    pub(super) fn of(folder: &Path) -> Result<Self, AuditError> {
        let _lock = lock_shared(folder)?;
        let path = log_path(folder);
        let written = match read::open(&path)? {
            Some(file) => {
                let metadata = file.metadata().map_err(|error| FileError::io(&path, error))?;
                Some((file, metadata.len()))
            }
            None => None,
        };
        Ok(Snapshot {
            slots: read_slots(folder)?,
            ended: segments::list(folder)?,
            written,
        })
    }
}

fn read_slots(folder: &Path) -> Result<Slots, AuditError> {
    let path = head_path(folder);
    match file::open_owned(&path, Others::MayRead) {
        Ok(file) => Ok(slots::read(&file).map_err(|error| FileError::io(&path, error))?),
        Err(FileError::Missing { .. }) => Ok(Slots::none()),
        Err(error) => Err(error.into()),
    }
}

/// The records that other files vouch for.
fn vouched(
    folder: &Path,
    key: &PublicKey,
    named: Option<&Path>,
    known: Option<&Known>,
    report: &mut Report,
) -> Result<Vec<Vouched>, AuditError> {
    let vouches = |copy: HeadCopy, file: String| Vouched {
        seq: copy.seq,
        hash: copy.hash,
        file,
    };
    let mut vouched = Vec::new();
    if let Some(copy) = HeadCopy::read(folder, key)? {
        vouched.push(vouches(copy, segments::shown(&super::copy_path(folder))));
    }
    let elsewhere = copy::elsewhere(folder)?;
    for path in elsewhere.iter().map(AsRef::as_ref).chain(named) {
        let file = path.display().to_string();
        match copy::read_elsewhere(path) {
            Ok(Some(copy)) if copy.is_signed_by(key) => vouched.push(vouches(copy, file)),
            Ok(Some(_)) | Err(AuditError::ForeignCopy { .. }) => report.add(Finding::CopyForged { file }),
            Ok(None) | Err(_) => report.add(Finding::CopyMissing { file }),
        }
    }
    if let Some(known) = known {
        vouched.push(Vouched {
            seq: known.through,
            hash: known.hash,
            file: Known::FILE.to_owned(),
        });
    }
    Ok(vouched)
}

/// The number that the first line must have, and the hash that it continues,
/// when the first file that is there is named after `named`.
fn beginning(named: u64, known: Option<&Known>, report: &mut Report) -> (u64, Option<Digest>) {
    if named <= FIRST {
        return (FIRST, Some(ROOT));
    }
    let before = named.saturating_sub(1);
    let through = known.map_or(0, |known| known.through).min(before);
    if through > 0 {
        report.pruned = Some(through);
    }
    if through < before {
        report.add(Finding::SegmentMissing {
            from_seq: through.saturating_add(1),
            to_seq: before,
        });
    }
    let prev = known.filter(|known| known.through == before);
    (named, prev.map(|known| known.hash))
}

/// The segments in the order of what they hold. One whose first line belongs
/// into another's place is found, and looked at there.
fn in_order(
    named: Vec<Segment>,
    written: Option<u64>,
    report: &mut Report,
) -> Result<Vec<Segment>, AuditError> {
    let after: Vec<u64> = named
        .iter()
        .skip(1)
        .map(|segment| segment.first)
        .chain([written.unwrap_or(u64::MAX)])
        .collect();
    let mut segments = Vec::with_capacity(named.len());
    for (segment, next) in named.into_iter().zip(after) {
        let found = first_number(&segment.path)?;
        match found.filter(|found| !segment.may_begin_with(*found, next)) {
            Some(found) => {
                report.add(Finding::SegmentMisplaced {
                    file: segments::shown(&segment.path),
                    seq: found,
                });
                segments.push(Segment {
                    first: found,
                    ..segment
                });
            }
            None => segments.push(segment),
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The number that the first line gives itself.
fn first_number(path: &Path) -> Result<Option<u64>, AuditError> {
    let file = file::open_owned(path, Others::MayRead)?;
    let line = Lines::up_to(file, super::chain::MAX_LINE as u64 + 1)
        .next()
        .map_err(|error| FileError::io(path, error))?;
    Ok(line
        .and_then(|line| serde_json::from_slice::<Link>(&line.bytes).ok())
        .map(|link| link.seq))
}

fn look(path: &Path, mut lines: Lines, walk: &mut Walk<'_>, report: &mut Report) -> Result<(), AuditError> {
    while let Some(line) = lines.next().map_err(|error| FileError::io(path, error))? {
        walk.line(&line.bytes, line.whole, report);
    }
    Ok(())
}
