//! A file that has its name when it is whole.
//!
//! Owns new-then-renamed, and what a process that was killed in between leaves
//! behind. A new file is locked for as long as it is written, so that whoever
//! sweeps tells one that nobody finishes any more from one that somebody does.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// What the name of every unfinished file begins with.
const PREFIX: &str = ".odeon-";

/// A new file under a passing name. Dropping it removes it.
#[derive(Debug)]
pub struct NewFile(tempfile::NamedTempFile);

impl NewFile {
    /// An empty one in this folder, with this mode.
    pub fn inside(folder: &Path, mode: u32) -> io::Result<Self> {
        loop {
            let new = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(mode))
                .tempfile_in(folder)?;
            new.as_file().lock()?;
            // Else it was swept away before it was locked.
            if new.as_file().metadata()?.nlink() > 0 {
                return Ok(NewFile(new));
            }
        }
    }

    /// An empty one in the folder of this file.
    pub fn beside(path: &Path, mode: u32) -> io::Result<Self> {
        Self::inside(super::parent(path), mode)
    }

    /// Has its content last.
    pub fn sync(&self) -> io::Result<()> {
        self.0.as_file().sync_all()
    }

    /// Gives it this name, whatever had it before. The name lasts when the
    /// folder is synced.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        self.0.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Gives it this name if nothing has it.
    pub fn create(self, path: &Path) -> io::Result<()> {
        let created = self.0.persist_noclobber(path);
        created.map(drop).map_err(|error| error.error)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Removes the unfinished files of this folder whose writers are gone. Says how
/// many there were.
pub fn sweep(folder: &Path) -> io::Result<u64> {
    let mut swept: u64 = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
            && is_left_behind(&entry.path())?
        {
            swept = swept.saturating_add(1);
        }
    }
    Ok(swept)
}

/// Whether nobody writes to it any more; it is removed then.
fn is_left_behind(path: &Path) -> io::Result<bool> {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    // Finished meanwhile, or nothing that was made here.
    let Ok(file) = opened else { return Ok(false) };
    if !is_own(&file)? {
        return Ok(false);
    }
    match file.try_lock() {
        // While it is locked, so that who made it a moment ago finds it gone.
        Ok(()) => match std::fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        },
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_own(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw())
}
