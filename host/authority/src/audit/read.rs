//! Reading the log, line by line, over all its segments.
//!
//! Owns the form of a line and in which order files are read. Takes no lock:
//! what is read is what was there when it began, and whoever reads holds nobody
//! up. Whether it is genuine is [`super::verify`]'s to say.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read, Take},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{AuditError, chain::MAX_LINE, log_path, segments};
use crate::file::{self, FileError, Others};

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
    /// What is read after that: segments that have ended, then the one that is
    /// written.
    ended: std::vec::IntoIter<PathBuf>,
    written: Option<File>,
}

impl Records {
    /// Reads the log of a folder; no log has no lines.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        let (ended, written) = files(folder)?;
        Ok(Records {
            lines: None,
            ended: ended.into_iter(),
            written,
        })
    }

    /// The last lines of a folder's log, the oldest first. Reads no segment
    /// that it does not need.
    pub fn last(folder: &Path, most: usize) -> Result<Vec<Record>, AuditError> {
        let (mut ended, written) = files(folder)?;
        let mut last = VecDeque::new();
        let mut newest = written.map(Lines::of);
        while last.len() < most {
            let lines = match newest.take() {
                Some(lines) => lines,
                None => match ended.pop().map(File::open) {
                    Some(Ok(file)) => Lines::of(file),
                    Some(Err(_)) => continue,
                    None => break,
                },
            };
            let room = most.saturating_sub(last.len());
            let mut found = VecDeque::new();
            for record in Self::of(lines) {
                if found.len() >= room {
                    found.pop_front();
                }
                found.push_back(record);
            }
            found.append(&mut last);
            last = found;
        }
        Ok(last.into())
    }

    fn of(lines: Lines) -> Self {
        Records {
            lines: Some(lines),
            ended: Vec::new().into_iter(),
            written: None,
        }
    }

    /// Goes on to the next file. One that is gone meanwhile has no lines.
    fn go_on(&mut self) -> Option<&mut Lines> {
        for path in self.ended.by_ref() {
            if let Ok(file) = File::open(path) {
                return Some(self.lines.insert(Lines::of(file)));
            }
        }
        let file = self.written.take()?;
        Some(self.lines.insert(Lines::of(file)))
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => self.go_on()?,
            };
            // A file that stops being readable ends here like a shorter one.
            match lines.next() {
                Ok(Some(line)) if line.whole => {
                    if let Ok(record) = serde_json::from_slice(&line.bytes) {
                        return Some(record);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => self.lines = None,
            }
        }
    }
}

/// The segments that have ended, and the one that is written, opened.
fn files(folder: &Path) -> Result<(Vec<PathBuf>, Option<File>), AuditError> {
    const TRIES: usize = 8;
    let mut ended = segments::list(folder)?;
    for _ in 0..TRIES {
        let written = open(&log_path(folder))?;
        let again = segments::list(folder)?;
        // No segment ended between the two looks: the file is the one after the
        // last of them.
        if ended == again {
            return Ok((paths(ended), written));
        }
        ended = again;
    }
    let written = open(&log_path(folder))?;
    Ok((paths(ended), written))
}

fn paths(ended: Vec<segments::Segment>) -> Vec<PathBuf> {
    ended.into_iter().map(|segment| segment.path).collect()
}

/// The file, if there is one.
pub(super) fn open(path: &Path) -> Result<Option<File>, AuditError> {
    match file::open_owned(path, Others::MayRead) {
        Ok(file) => Ok(Some(file)),
        Err(FileError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
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
pub(super) struct Lines(BufReader<Take<File>>);

impl Lines {
    pub(super) fn of(file: File) -> Self {
        Self::up_to(file, u64::MAX)
    }

    /// Those in the first so many bytes.
    pub(super) fn up_to(file: File, length: u64) -> Self {
        Lines(BufReader::with_capacity(64 * 1024, file.take(length)))
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
