//! Ctrl-C, as something to wait for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{failure::Failure, output::Done};

/// Hears when the user, or the system, wants this program to end.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on the signals do not end the program by themselves.
    pub(crate) fn listen() -> Done<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::system("signals cannot be heard", &error));
        Ok(Interrupts {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// The next one. Cancellation safe.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
