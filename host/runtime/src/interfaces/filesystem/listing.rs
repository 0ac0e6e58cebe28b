//! Reading a directory, a batch of entries at a time.
//!
//! Owns the only listing there is: however many entries a directory has, the
//! host holds one batch of them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use super::Intent;
use super::guard::Guard;
use super::opened::Opened;

/// Entries read at a time.
const BATCH: usize = 64;

/// A directory that is being read.
pub(super) struct Listing {
    guard: Guard,
    _opened: Arc<Opened>,
    /// None once the end was reached.
    rest: Option<Dir>,
    batch: VecDeque<Result<DirectoryEntry, ErrorCode>>,
}

impl Listing {
    /// Begins at the first entry.
    pub(super) async fn open(dir: Arc<File>, guard: Guard, opened: Arc<Opened>) -> FsResult<Self> {
        let rest = blocking(move || read(&dir)).await?;
        Ok(Listing {
            guard,
            _opened: opened,
            rest: Some(rest),
            batch: VecDeque::new(),
        })
    }

    /// The next entry; none at the end.
    pub(super) async fn next(&mut self) -> FsResult<Option<DirectoryEntry>> {
        self.guard.check(Intent::Look)?;
        if self.batch.is_empty()
            && let Some(mut rest) = self.rest.take()
        {
            let (batch, rest) = blocking(move || {
                let batch: VecDeque<_> = entries(&mut rest).take(BATCH).collect();
                Ok((batch, rest))
            })
            .await?;
            self.rest = (batch.len() == BATCH).then_some(rest);
            self.batch = batch;
        }
        Ok(self.batch.pop_front().transpose()?)
    }
}

/// Begins to read a directory, which may have been opened as no more than a
/// place in the file system.
fn read(dir: &File) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
    Ok(Dir::new(readable)?)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> FsResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ErrorCode::Io.into()),
    }
}

fn entries(dir: &mut Dir) -> impl Iterator<Item = Result<DirectoryEntry, ErrorCode>> {
    std::iter::from_fn(move || {
        loop {
            let entry = match dir.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(ErrorCode::from(io::Error::from(error)))),
            };
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(name) = entry.file_name().to_str() else {
                return Some(Err(ErrorCode::IllegalByteSequence));
            };
            let kind = match entry.file_type() {
                FileType::Unknown => kind_of(dir, name),
                known => known,
            };
            return Some(Ok(DirectoryEntry {
                type_: descriptor_type(kind),
                name: name.to_owned(),
            }));
        }
    })
}

/// For file systems that do not say it in the listing.
fn kind_of(dir: &Dir, name: &str) -> FileType {
    dir.fd()
        .and_then(|fd| rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW))
        .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
}

fn descriptor_type(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}
