//! One host per state directory.
//!
//! Owns the lock. It is the kernel's: it ends with the process, however that
//! ends, so a file that was left behind locks nobody out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault};

/// The lock of a state directory. Dropping it lets the next host in.
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    /// How long whoever wants it waits for whoever only looks.
    const LOOK: Duration = Duration::from_millis(100);

    /// Whether a host that serves has it. Says so too when that cannot be seen.
    pub(crate) fn is_held(folder: &Path) -> bool {
        match File::open(folder.join("lock")) {
            // Shared, and given back at once: several may look at a time.
            Ok(file) => file.try_lock_shared().is_err(),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    /// Takes it. Cancellation safe.
    pub(crate) async fn take(folder: &Path) -> Result<Self, Fault> {
        let path = folder.join("lock");
        let failed =
            |error: std::io::Error| Fault::new(Code::StateUnwritable, format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match Self::wait_for(&file).await {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is a courtesy; that somebody does is enough.
                (&mut file).take(32).read_to_string(&mut holder).ok();
                let holder = holder.trim();
                let by = if holder.is_empty() {
                    String::new()
                } else {
                    format!(" (pid {holder})")
                };
                return Err(Fault::new(
                    Code::WrongState,
                    format!(
                        "{}: another host{by} holds this state directory; stop it, or use another directory",
                        folder.display()
                    ),
                )
                .with_details(serde_json::json!({ "pid": holder.parse::<u32>().ok() })));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(StateLock { _file: file })
    }

    /// Locks it, unless another host has it for longer than a look takes. Holds
    /// no thread meanwhile.
    async fn wait_for(file: &File) -> Result<(), TryLockError> {
        let until = Instant::now() + Self::LOOK;
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                ended => return ended,
            }
        }
    }
}
