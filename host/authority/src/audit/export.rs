//! The audit taken elsewhere: one file that can be checked without its host.
//!
//! Owns the form of an export: the lines of the log as they are, then one line,
//! the manifest, that says which records they are and is signed by the host. The
//! first line continues the manifest's `prev`, the last has its `hash`, and each
//! names the hash of the one before it: so the one signature is for all of them.
//!
//! What was exported from the first record on may be taken away: that is written
//! down in `audit.exported`. An export changes nothing else, holds up no append,
//! and takes memory for one line.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Read as _, Seek as _, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use odeon_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::{
    AuditError,
    chain::{FIRST, Link, hex, unhex},
    finding::{Finding, Report},
    known::Known,
    log_path,
    read::Lines,
    segments::{self, Segment},
    verify::Snapshot,
    walk::Walk,
};
use crate::{
    file::{self, FileError, NewFile, Others},
    key::{PublicKey, SigningKey},
};

/// The longest last line of an export.
const MAX_MANIFEST: u64 = 4096;

/// What an export says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The first record in it.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// The hash that the first continues.
    pub prev: Digest,
    /// The hash of the last.
    pub hash: Digest,
    /// When it was made: UTC, RFC 3339.
    pub time: String,
    /// The host's public key.
    pub key: PublicKey,
}

/// The last line of an export.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedManifest {
    manifest: Manifest,
    signature: String,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// What the last line says.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// The records up to this one may be taken away, segment by segment.
    pub through: Option<u64>,
}

impl Manifest {
    fn message(&self) -> Vec<u8> {
        let Manifest {
            first,
            last,
            prev,
            hash,
            time,
            key,
        } = self;
        format!("odeon audit export v1\n{first}\n{last}\n{prev}\n{hash}\n{time}\n{key}\n").into_bytes()
    }
}

/// Writes the records from this one on, or from the first there is, to a new
/// file. What is there already under that name is left alone and an error.
///
/// # Errors
///
/// Also when the chain is broken or not this host's: an export vouches for what
/// is in it.
pub fn export(folder: &Path, key: &SigningKey, from: Option<u64>, to: &Path) -> Result<Exported, AuditError> {
    let public = key.public();
    let known = Known::read(folder, &public)?;
    let snapshot = Snapshot::of(folder)?;
    let head = match snapshot.slots.newest {
        _ if snapshot.slots.impossible => return Err(AuditError::HeadForged),
        Some((head, _)) if head.is_signed_by(&public) => head,
        Some(_) => return Err(AuditError::HeadForged),
        None => return Err(AuditError::HeadMissing),
    };
    let oldest = snapshot
        .ended
        .first()
        .map_or(head.segment, |segment| segment.first);
    let first = from.unwrap_or(oldest);
    if !(oldest..=head.seq).contains(&first) {
        return Err(AuditError::NothingFrom {
            from: first,
            first: oldest,
            last: head.seq,
        });
    }
    let mut copy = Copying {
        out: Out::new(to)?,
        first,
        expected: None,
        prev: None,
        hash: None,
        known: known.as_ref(),
        goes_on: false,
    };
    let after = snapshot.ended.iter().skip(1).map(|segment| segment.first);
    let after = after.chain([u64::MAX]).collect::<Vec<_>>();
    for (Segment { path, .. }, next) in snapshot.ended.iter().zip(after) {
        if next > first {
            let file = file::open_owned(path, Others::MayRead)?;
            copy.lines(path, Lines::of(file))?;
        }
    }
    if let Some((file, length)) = snapshot.written {
        copy.lines(&log_path(folder), Lines::up_to(file, length))?;
    }
    let goes_on = copy.goes_on;
    let (Some(prev), Some(hash), Some(last)) = (copy.prev, copy.hash, copy.last()) else {
        return Err(AuditError::CutOff {
            found: 0,
            expected: head.start,
        });
    };
    if last != head.seq || hash != head.hash() {
        return Err(AuditError::CutOff {
            found: last,
            expected: head.seq,
        });
    }
    // Records that were exported before are not in this audit any more, or are
    // others now: what is known of them is not given up for that.
    if let Some(known) = &known
        && (known.through > last || (known.through == last && known.hash != hash))
    {
        return Err(AuditError::OlderThanCopy {
            found: last,
            expected: known.through,
        });
    }
    let manifest = Manifest {
        first,
        last,
        prev,
        hash,
        time: format!("{:.0}", jiff::Timestamp::now()),
        key: public,
    };
    let signature = hex(&key.sign(&manifest.message()));
    let line = serde_json::to_vec(&SignedManifest {
        manifest: manifest.clone(),
        signature,
    });
    copy.out.line(&line.map_err(AuditError::Form)?)?;
    copy.out.finish()?;
    if first == FIRST || goes_on {
        Known::signed(last, hash, key).write(folder)?;
    }
    let through = Known::read(folder, &public)?.map(|known| known.through);
    Ok(Exported { manifest, through })
}

/// Where an export stands between two lines.
struct Copying<'a> {
    out: Out<'a>,
    first: u64,
    /// The number that the next line must have; none before the first of a file
    /// that was opened in its middle.
    expected: Option<u64>,
    prev: Option<Digest>,
    hash: Option<Digest>,
    known: Option<&'a Known>,
    /// Whether it continues what was exported before.
    goes_on: bool,
}

impl Copying<'_> {
    fn lines(&mut self, path: &Path, mut lines: Lines) -> Result<(), AuditError> {
        let mut number = 0;
        while let Some(line) = lines.next().map_err(|error| FileError::io(path, error))? {
            number += 1;
            let link = serde_json::from_slice::<Link>(&line.bytes).ok();
            if link
                .filter(|_| line.whole)
                .is_none_or(|link| !self.continues(&link))
            {
                return Err(AuditError::Broken {
                    file: segments::shown(path),
                    line: number,
                });
            }
            self.take(&line.bytes)?;
        }
        Ok(())
    }

    /// Whether the line stands where it was written.
    fn continues(&mut self, link: &Link) -> bool {
        let expected = self.expected.unwrap_or(link.seq);
        let linked = self.hash.is_none_or(|hash| hash == link.prev);
        // What was exported before is what this one continues.
        let after_known = self
            .known
            .filter(|known| link.seq >= self.first && link.seq == known.through.saturating_add(1));
        if link.seq != expected || !linked || after_known.is_some_and(|known| known.hash != link.prev) {
            return false;
        }
        self.goes_on |= after_known.is_some();
        if link.seq == self.first {
            self.prev = Some(link.prev);
        }
        self.expected = Some(link.seq.saturating_add(1));
        true
    }

    fn take(&mut self, line: &[u8]) -> Result<(), AuditError> {
        self.hash = Some(Digest::of(line));
        if self.last().is_some_and(|last| last >= self.first) {
            self.out.line(line)?;
        }
        Ok(())
    }

    fn last(&self) -> Option<u64> {
        self.expected.map(|next| next.saturating_sub(1))
    }
}

/// A new file that has its name when it is whole.
struct Out<'a> {
    path: &'a Path,
    file: BufWriter<NewFile>,
}

impl<'a> Out<'a> {
    fn new(path: &'a Path) -> Result<Self, AuditError> {
        if path.symlink_metadata().is_ok() {
            return Err(FileError::Taken {
                path: path.to_owned(),
            }
            .into());
        }
        let file = NewFile::beside(path, 0o600).map_err(|error| FileError::io(path, error))?;
        Ok(Out {
            path,
            file: BufWriter::with_capacity(64 * 1024, file),
        })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), AuditError> {
        self.file
            .write_all(line)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| FileError::io(self.path, error).into())
    }

    fn finish(self) -> Result<(), AuditError> {
        let wrong = |error| FileError::io(self.path, error);
        let file = self
            .file
            .into_inner()
            .map_err(|error| wrong(error.into_error()))?;
        file.sync().map_err(wrong)?;
        file.create(self.path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => FileError::Taken {
                path: self.path.to_owned(),
            },
            _ => wrong(error),
        })?;
        Ok(file::sync_parent(self.path)?)
    }
}

/// Checks an export. With a key, it has to be signed by that; without one, by
/// the key that it names itself, which is the report's.
pub fn verify_export(path: &Path, key: Option<&PublicKey>) -> Result<Report, AuditError> {
    let wrong = |error| FileError::io(path, error);
    // Not waiting for a pipe that somebody put there: it has no lines.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(wrong)?;
    let metadata = file.metadata().map_err(wrong)?;
    if !metadata.is_file() {
        return Err(FileError::Unsafe {
            path: path.to_owned(),
            expected: "a regular file",
            found: "something else".to_owned(),
            fix: "name the file that `odeon audit --export` wrote",
        }
        .into());
    }
    let length = metadata.len();
    let (end, signed) = manifest(&mut file, length).map_err(wrong)?;
    let mut report = Report::default();
    let mut lines = Lines::up_to(file, end);
    let shown = segments::shown(path);
    let mut walk = match &signed {
        Some(SignedManifest { manifest, .. }) => Walk::new(manifest.first, Some(manifest.prev), &[]),
        None => Walk::new(FIRST, None, &[]),
    };
    walk.begin(shown, None, &mut report);
    while let Some(line) = lines.next().map_err(wrong)? {
        if report.lines == 0 && signed.is_none() {
            walk.begin_with(&line.bytes);
        }
        walk.line(&line.bytes, line.whole, &mut report);
    }
    walk.missed(&mut report);
    match signed {
        None => report.add(Finding::ManifestMissing),
        Some(SignedManifest { manifest, signature }) => {
            report.first = Some(manifest.first);
            report.head = Some(manifest.last);
            report.head_hash = Some(manifest.hash);
            walk.end(manifest.last, &manifest.hash, &mut report);
            let message = manifest.message();
            let by = key.unwrap_or(&manifest.key);
            report.key = Some(*by);
            if !unhex(&signature).is_some_and(|signature| by.verifies(&message, &signature)) {
                report.add(Finding::ManifestForged);
            }
        }
    }
    Ok(report)
}

/// The last line, if it is a manifest, and where it begins.
fn manifest(file: &mut File, length: u64) -> std::io::Result<(u64, Option<SignedManifest>)> {
    let from = length.saturating_sub(MAX_MANIFEST);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    (&mut *file).take(MAX_MANIFEST).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    let Some(body) = tail.strip_suffix(b"\n") else {
        return Ok((length, None));
    };
    let line = body.rsplit(|byte| *byte == b'\n').next().unwrap_or(body);
    let begins = length.saturating_sub(line.len() as u64 + 1);
    match serde_json::from_slice(line) {
        Ok(signed) => Ok((begins, Some(signed))),
        Err(_) => Ok((length, None)),
    }
}
