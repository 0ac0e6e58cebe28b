//! A hint that something has changed.
//!
//! Owns the kernel's notices about folders. They say when to look and never
//! what to do: who misses one looks a little later. A host without them, because
//! the system has no more to give, looks by its timer.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// The most folders that are watched. Changes in further ones are found by the
/// timer.
const MOST: usize = 128;

/// How much of what the kernel says is taken in at a time.
const READ: usize = 4096;

/// The kernel's notices about some folders.
pub(crate) struct Hint {
    notices: Option<AsyncFd<OwnedFd>>,
    /// The folders, and what they were: one in the place of another is another.
    places: BTreeSet<(PathBuf, u64, u64)>,
    complained: bool,
}

impl Hint {
    pub(crate) fn new() -> Self {
        Hint {
            notices: None,
            places: BTreeSet::new(),
            complained: false,
        }
    }

    /// Has it notice changes in the folder and in these others, as many as may
    /// be. Must be called inside a tokio runtime.
    pub(crate) fn watch(&mut self, folder: &Path, others: &BTreeSet<PathBuf>) {
        let paths = std::iter::once(folder).chain(others.iter().map(PathBuf::as_path));
        let places = paths.take(MOST).filter_map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((path.to_owned(), metadata.dev(), metadata.ino()))
        });
        let places: BTreeSet<_> = places.collect();
        if places == self.places && self.notices.is_some() {
            return;
        }
        match begin(&places) {
            Ok(notices) => self.notices = Some(notices),
            Err(error) => {
                self.notices = None;
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::warn!(%error, "the system does not say when files change; they are looked at by time");
                }
            }
        }
        self.places = places;
    }

    /// Waits until something may have changed. Cancellation safe.
    pub(crate) async fn come(&self) {
        let Some(notices) = &self.notices else {
            return std::future::pending().await;
        };
        let mut bytes = [0_u8; READ];
        loop {
            let Ok(mut ready) = notices.readable().await else {
                return std::future::pending().await;
            };
            match rustix::io::read(notices.get_ref(), &mut bytes) {
                // What is left is a hint of its own.
                Ok(_) => return,
                Err(_) => ready.clear_ready(),
            }
        }
    }
}

/// Has the runtime wait for it.
#[expect(
    deprecated,
    reason = "sound for an `OwnedFd`, which keeps the one descriptor it has; what replaces it is unsafe to call"
)]
fn register(notices: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(notices)
}

fn begin(places: &BTreeSet<(PathBuf, u64, u64)>) -> std::io::Result<AsyncFd<OwnedFd>> {
    let notices = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let changes = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVE
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    for (path, _, _) in places {
        // One that is gone by now is found so by the timer.
        if let Err(error @ (rustix::io::Errno::NOSPC | rustix::io::Errno::NOMEM)) =
            inotify::add_watch(&notices, path.as_path(), changes)
        {
            return Err(error.into());
        }
    }
    register(notices)
}
