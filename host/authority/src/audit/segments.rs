//! The names of the files that the log is made of.
//!
//! Owns which files of a folder are segments, and their order. The segment that
//! is written is `audit.jsonl`; one that has ended is `audit.N.jsonl`, where N is
//! the number of its first line. Says nothing about what is in them.

use std::path::{Path, PathBuf};

use super::{AuditError, chain::FIRST};
use crate::file::FileError;

/// A segment that has ended: the number that its name says, and its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    /// Whether a line of this number has its place in it, though maybe not at
    /// its beginning, when the next segment is named after `next`.
    pub(super) fn may_begin_with(&self, seq: u64, next: u64) -> bool {
        seq == self.first || (self.first..next).contains(&seq)
    }
}

/// The file of the segment that begins with this number, once it has ended.
pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("audit.{first}.jsonl"))
}

/// The segments of a folder that have ended, in the order of their names.
pub(super) fn list(folder: &Path) -> Result<Vec<Segment>, AuditError> {
    let wrong = |error| FileError::io(folder, error);
    let mut segments = Vec::new();
    for entry in folder.read_dir().map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        if let Some(first) = entry.file_name().to_str().and_then(number) {
            segments.push(Segment {
                first,
                path: entry.path(),
            });
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The number in a segment's name, which has one form.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit.")?.strip_suffix(".jsonl")?;
    let number: u64 = digits.parse().ok()?;
    (number >= FIRST && number.to_string() == digits).then_some(number)
}

/// What a file is called in a report.
pub(super) fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
