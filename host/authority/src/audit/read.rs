//! Reading the log, line by line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{AuditError, chain::MAX_LINE, log_path};
use crate::file::FileError;

/// One line of the log, as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// When it was written: UTC, RFC 3339, microseconds.
    pub time: String,
    /// What happened: an object with a `kind`.
    pub event: serde_json::Value,
}

/// The lines of a log in order. Lines that are no record are skipped: to find
/// them is [`super::verify`]'s.
#[derive(Debug)]
pub struct Records {
    lines: Option<Lines>,
}

impl Records {
    /// Reads the log of a folder; no log has no lines.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        Ok(Records {
            lines: Lines::open(folder)?,
        })
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let lines = self.lines.as_mut()?;
        loop {
            // A file that stops being readable ends here like a shorter one.
            let line = lines.next().ok()??;
            if let Some(record) = line
                .whole
                .then(|| serde_json::from_slice(&line.bytes).ok())
                .flatten()
            {
                return Some(record);
            }
        }
    }
}

/// One line, cut to [`MAX_LINE`].
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// Whether it ends with a line feed and was not cut.
    pub(super) whole: bool,
}

/// Lines of bounded length.
#[derive(Debug)]
pub(super) struct Lines(BufReader<File>);

impl Lines {
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, AuditError> {
        let path = log_path(folder);
        match File::open(&path) {
            Ok(file) => Ok(Some(Lines(BufReader::with_capacity(64 * 1024, file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::io(&path, error).into()),
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let read = (&mut self.0)
            .take(MAX_LINE as u64 + 1)
            .read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        let whole = bytes.pop_if(|byte| *byte == b'\n').is_some();
        if !whole && read > MAX_LINE {
            self.0.skip_until(b'\n')?;
        }
        Ok(Some(Line { bytes, whole }))
    }
}
