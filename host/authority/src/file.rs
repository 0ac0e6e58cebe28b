//! Reading and writing the operator's files.
//!
//! Owns the checks that make a file the operator's: opened once without
//! following a link at its end, regular, owned by this user or root, not
//! writable by others. What was checked is what is read: nothing is opened
//! twice. Writing is new-then-renamed, with the folder synced.

mod new;

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub use self::new::{NewFile, sweep};

/// Who else may have access to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Others may read it.
    MayRead,
    /// Nobody else may even read it.
    MayNothing,
}

/// What changes when a file does: one that is replaced whole has another
/// number, one that is written in place another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    len: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Stamp {
            place: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file of the operator's that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there.
    #[error("{path}: there is no such file")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not one the operator alone controls.
    #[error("{path}: expected {expected}, found {found}; {fix}")]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
        /// What to do.
        fix: &'static str,
    },
    /// A new file was to be made, and one of this name is there.
    #[error("{path}: expected no file of this name, found one; choose another name or move it away")]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// It is longer than such a file may be.
    #[error("{path}: expected at most {max} bytes, found more")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most there may be.
        max: u64,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => FileError::Missing {
                path: path.to_owned(),
            },
            _ => FileError::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// The bytes of a file that only the operator can have written.
pub(crate) fn read_owned(path: &Path, others: Others, max: u64) -> Result<Vec<u8>, FileError> {
    let file = open_owned(path, others)?;
    read_bounded(path, &file, max)
}

/// Opens a file for reading that only the operator can have written.
pub(crate) fn open_owned(path: &Path, others: Others) -> Result<File, FileError> {
    use rustix::fs::OFlags;
    // Not waiting for a pipe that somebody put there.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => FileError::Unsafe {
                path: path.to_owned(),
                expected: "a regular file",
                found: "a symbolic link".to_owned(),
                fix: "put the file itself there",
            },
            _ => FileError::io(path, error),
        })?;
    check_owned(path, &file, others)?;
    Ok(file)
}

pub(crate) fn check_owned(path: &Path, file: &File, others: Others) -> Result<(), FileError> {
    let is = |expected, found: String, fix| FileError::Unsafe {
        path: path.to_owned(),
        expected,
        found,
        fix,
    };
    let metadata = file.metadata().map_err(|error| FileError::io(path, error))?;
    if !metadata.is_file() {
        return Err(is(
            "a regular file",
            "something else".to_owned(),
            "put a file there",
        ));
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me && metadata.uid() != 0 {
        let found = format!("owner uid {} while running as uid {me}", metadata.uid());
        return Err(is("a file owned by this user or root", found, "chown it"));
    }
    let mode = metadata.mode() & 0o7777;
    let (forbidden, expected, fix) = match others {
        Others::MayRead => (
            0o022,
            "a file that only its owner can write",
            "run chmod go-w on it",
        ),
        Others::MayNothing => (
            0o077,
            "a file that only its owner can read",
            "run chmod 600 on it",
        ),
    };
    if mode & forbidden != 0 {
        return Err(is(expected, format!("mode {mode:04o}"), fix));
    }
    Ok(())
}

/// The bytes of an opened file, at most `max`.
pub(crate) fn read_bounded(path: &Path, file: &File, max: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| FileError::io(path, error))?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLong {
            path: path.to_owned(),
            max,
        });
    }
    Ok(bytes)
}

/// Reads into the room that `bytes` has, to its end or that of the file, in as
/// few steps as the system lets.
///
/// # Errors
///
/// When the system cannot read it.
pub fn read_into_room(file: &File, bytes: &mut Vec<u8>) -> io::Result<()> {
    while bytes.len() < bytes.capacity() {
        match rustix::io::read(file, rustix::buffer::spare_capacity(bytes)) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Creates a file that must not be there yet, synced. Whoever looks finds it
/// whole or not at all.
pub(crate) fn create_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => FileError::Taken {
            path: path.to_owned(),
        },
        _ => FileError::io(path, error),
    };
    let new = written_beside(path, bytes, mode).map_err(wrong)?;
    new.create(path).map_err(wrong)?;
    sync_parent(path)
}

/// The text of one of the operator's own files, such as a configuration: it is
/// regular, his or root's, and nobody else can write it.
pub fn read_operators_text(path: &Path, max: u64) -> Result<String, FileError> {
    let bytes = read_owned(path, Others::MayRead, max)?;
    String::from_utf8(bytes).map_err(|error| {
        FileError::io(
            path,
            io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()),
        )
    })
}

/// Puts new content in the place of a file: whoever reads sees the old or the
/// new one whole, also after a power cut.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let wrong = |error| FileError::io(path, error);
    let new = written_beside(path, bytes, mode).map_err(wrong)?;
    new.replace(path).map_err(wrong)?;
    sync_parent(path)
}

/// The same for a file that nobody else can read.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes, 0o600)
}

/// A new file in the folder of this one, with its content synced.
fn written_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NewFile> {
    let mut new = NewFile::beside(path, mode)?;
    new.write_all(bytes)?;
    new.sync()?;
    Ok(new)
}

/// Holds the lock of this name until dropped; waits for whoever has it.
pub(crate) fn lock(path: &Path) -> Result<File, FileError> {
    let wrong = |error| FileError::io(path, error);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(wrong)?;
    file.lock().map_err(wrong)?;
    Ok(file)
}

/// Makes the names in the file's folder last.
pub(crate) fn sync_parent(path: &Path) -> Result<(), FileError> {
    let folder = parent(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| FileError::io(folder, error))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
