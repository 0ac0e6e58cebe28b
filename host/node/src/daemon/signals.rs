//! What the operating system asks of a daemon.
//!
//! Owns a thread of its own for that, with a runtime of its own: a status dump
//! is written, and a stop is begun, even while every worker is held by guests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use odeon_authority::replace_private;
use odeon_protocol::{Code, Fault};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Shared;

/// The name of the status dump inside the state directory.
const DUMP: &str = "status-dump.json";

/// Begins to listen. The thread ends when the daemon has.
pub(super) fn listen(shared: &Arc<Shared>, folder: PathBuf) -> Result<(), Fault> {
    let failed =
        |error: std::io::Error| Fault::new(Code::Internal, format!("signals cannot be listened to: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let signals = {
        let _inside = runtime.enter();
        Signals {
            dump: signal(SignalKind::user_defined1()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            hangup: signal(SignalKind::hangup()).map_err(failed)?,
        }
    };
    let stop = shared.stop.clone();
    let shared = Arc::downgrade(shared);
    std::thread::Builder::new()
        .name("odeon-signals".into())
        .spawn(move || {
            runtime.block_on(async {
                // After the stop has begun, dumps still help to see what holds it.
                let ended = async {
                    stop.cancelled().await;
                    while shared.strong_count() > 0 {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                };
                tokio::select! {
                    () = signals.run(&shared, &folder) => {}
                    () = ended => {}
                }
            });
        })
        .map_err(failed)?;
    Ok(())
}

struct Signals {
    dump: Signal,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
enum Asked {
    Dump,
    Stop,
    Look,
}

impl Signals {
    async fn run(mut self, shared: &Weak<Shared>, folder: &Path) {
        loop {
            let asked = tokio::select! {
                Some(()) = self.dump.recv() => Asked::Dump,
                Some(()) = self.terminate.recv() => Asked::Stop,
                Some(()) = self.interrupt.recv() => Asked::Stop,
                Some(()) = self.hangup.recv() => Asked::Look,
                else => return,
            };
            let Some(shared) = shared.upgrade() else { return };
            match asked {
                Asked::Stop => {
                    // Who asks a second time does not want to wait.
                    let patience = shared.is_stopping().then_some(Duration::ZERO);
                    shared.stop(patience);
                }
                Asked::Look => {
                    if !shared.host.inner.descriptors.again() {
                        tracing::info!("asked to look at the descriptors again; there is no folder of them");
                    }
                }
                Asked::Dump => dump(&shared, folder),
            }
        }
    }
}

fn dump(shared: &Shared, folder: &Path) {
    let path = folder.join(DUMP);
    let mut dumped = shared.host.status_dump();
    if let Some(socket) = dumped.pointer_mut("/status/socket") {
        *socket = shared.socket.display().to_string().into();
    }
    let text = dumped.to_string();
    match replace_private(&path, text.as_bytes()) {
        Ok(()) => tracing::info!(path = %path.display(), dump = text, "status dump"),
        Err(error) => tracing::error!(%error, dump = text, "the status dump could not be written"),
    }
}
