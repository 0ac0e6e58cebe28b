//! The files of an audit, opened once and held.
//!
//! Owns the lock and how long anybody waits for it, and noticing that another
//! file was put in the place of one that is held: it is opened anew and judged
//! like any other.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{AuditError, head_path, lock_path, log_path, no_follow, read, slots};
use crate::file::{self, FileError, Others};

/// How long an append waits for the others that write to the same audit.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at a lock that somebody has.
const PAUSE: Duration = Duration::from_millis(2);

/// What is held open. Everything but the paths comes and goes.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    lock: Option<Held>,
    log: Option<Held>,
    head: Option<Held>,
}

/// An open file and which one it is.
#[derive(Debug)]
struct Held {
    file: Arc<File>,
    id: (u64, u64),
}

/// The right to read and write the audit, until dropped.
pub(super) struct Locked(Arc<File>);

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Files {
            folder: folder.to_owned(),
            lock: None,
            log: None,
            head: None,
        }
    }

    /// Waits until nobody else writes, but not beyond the given time.
    pub(super) fn lock(&mut self, until: Instant) -> Result<Locked, AuditError> {
        let path = lock_path(&self.folder);
        loop {
            let held = match self.lock.take().filter(|held| held.is_still(&path)) {
                Some(held) => held,
                None => Held::of(&path, open(&path, true)?)?,
            };
            if wait_for(&path, || held.file.try_lock(), until)? {
                let locked = Locked(held.file.clone());
                // Removed while it was waited for: others lock another file.
                if held.is_still(&path) {
                    self.lock = Some(held);
                    return Ok(locked);
                }
            }
        }
    }

    /// The log, made if it is not there.
    pub(super) fn log(&mut self) -> Result<Arc<File>, AuditError> {
        let path = log_path(&self.folder);
        let held = match self.log.take().filter(|held| held.is_still(&path)) {
            Some(held) => held,
            None => Held::of(&path, open(&path, true)?)?,
        };
        Ok(self.log.insert(held).file.clone())
    }

    /// The head's file, if there is one.
    pub(super) fn head(&mut self) -> Result<Option<Arc<File>>, AuditError> {
        let path = head_path(&self.folder);
        self.head = match self.head.take().filter(|held| held.is_still(&path)) {
            Some(held) => Some(held),
            None => match open(&path, false) {
                Ok(file) => Some(Held::of(&path, file)?),
                Err(FileError::Missing { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(self.head.as_ref().map(|held| held.file.clone()))
    }

    /// The head's file, made if it is not there; the names of all files last
    /// from then on.
    pub(super) fn made_head(&mut self) -> Result<Arc<File>, AuditError> {
        if let Some(file) = self.head()? {
            return Ok(file);
        }
        let path = head_path(&self.folder);
        let held = Held::of(&path, open(&path, true)?)?;
        slots::prepare(&held.file).map_err(|error| FileError::io(&path, error))?;
        file::sync_parent(&path)?;
        Ok(self.head.insert(held).file.clone())
    }
}

impl Held {
    fn of(path: &Path, file: File) -> Result<Self, FileError> {
        let metadata = file.metadata().map_err(|error| FileError::io(path, error))?;
        Ok(Held {
            file: Arc::new(file),
            id: (metadata.dev(), metadata.ino()),
        })
    }

    fn is_still(&self, path: &Path) -> bool {
        path.symlink_metadata()
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.id)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked when its file is closed.
        drop(self.0.unlock());
    }
}

/// The lock for somebody who only reads. A folder that never had an audit has
/// none; looking makes none.
pub(super) fn lock_shared(folder: &Path) -> Result<Option<File>, AuditError> {
    let path = lock_path(folder);
    let Some(file) = read::open(&path)? else {
        return Ok(None);
    };
    let until = deadline();
    while !wait_for(&path, || file.try_lock_shared(), until)? {}
    Ok(Some(file))
}

pub(super) fn deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(PATIENCE).unwrap_or(now)
}

/// Tries until it works; false when a signal came in between.
fn wait_for(
    path: &Path,
    attempt: impl Fn() -> Result<(), TryLockError>,
    until: Instant,
) -> Result<bool, AuditError> {
    loop {
        match attempt() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Err(AuditError::Busy),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Interrupted => {
                return Ok(false);
            }
            Err(TryLockError::Error(error)) => return Err(FileError::io(path, error).into()),
        }
    }
}

fn open(path: &Path, make: bool) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(make)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow());
    let file = options.open(path).map_err(|error| FileError::io(path, error))?;
    file::check_owned(path, &file, Others::MayRead)?;
    Ok(file)
}
