//! Secrets that are kept in files.
//!
//! Owns reading them: at the moment of use, from a file that only its owner
//! can read. Nothing is kept in memory, printed, or named in an error.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_runtime::{SecretError, SecretSource};
use parking_lot::Mutex;
use zeroize::Zeroizing;

/// The longest secret, in bytes.
pub const MAX_SECRET: u64 = 64 * 1024;

/// How long the operator hears nothing more of a secret that cannot be read.
const AGAIN: Duration = Duration::from_secs(60);

/// The files of one plugin's secrets: its own first, then the host's.
pub(crate) struct SecretFiles {
    own: BTreeMap<String, PathBuf>,
    host: Arc<BTreeMap<String, PathBuf>>,
    /// When the operator was told last about each that cannot be read. As many
    /// as there are files at most.
    told: Mutex<BTreeMap<String, Instant>>,
}

impl SecretFiles {
    pub(crate) fn new(own: BTreeMap<String, PathBuf>, host: Arc<BTreeMap<String, PathBuf>>) -> Self {
        SecretFiles {
            own,
            host,
            told: Mutex::default(),
        }
    }

    /// Whether it is time to tell the operator: how often a secret is asked for
    /// is the guest's choice, and the log is the host's.
    fn tell(&self, name: &str, now: Instant) -> bool {
        let mut told = self.told.lock();
        match told.get(name) {
            Some(at) if now.saturating_duration_since(*at) < AGAIN => false,
            _ => {
                told.insert(name.to_owned(), now);
                true
            }
        }
    }
}

impl SecretSource for SecretFiles {
    fn place(&self, name: &str) -> Option<PathBuf> {
        self.own.get(name).or_else(|| self.host.get(name)).cloned()
    }

    fn reveal(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let path = self.place(name).ok_or(SecretError::NotFound)?;
        read(&path).map_err(|why| {
            // For the operator alone: the guest learns only that there is none.
            if self.tell(name, Instant::now()) {
                tracing::warn!(secret = name, why, "a secret cannot be read");
            }
            SecretError::Unavailable
        })
    }
}

/// What is in a file that only its owner can read.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|_| "its file cannot be opened")?;
    let metadata = file.metadata().map_err(|_| "its file cannot be looked at")?;
    let me = rustix::process::geteuid().as_raw();
    if !metadata.is_file() || (metadata.uid() != me && metadata.uid() != 0) {
        return Err("expected a regular file of this user or of root");
    }
    if metadata.mode() & 0o077 != 0 {
        return Err("expected a file that only its owner can read; run chmod 600 on it");
    }
    if metadata.len() > MAX_SECRET {
        return Err("expected at most 64 KiB");
    }
    // One allocation, so that no copy of a part is left behind unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET as usize + 1));
    file.take(MAX_SECRET + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| "its file cannot be read")?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err("expected at most 64 KiB");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
