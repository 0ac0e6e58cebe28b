//! Where a request is, for the hooks that the runtime calls on the guest's
//! thread, and for whoever ends it.

use std::sync::Arc;

use odeon_protocol::{Code, Fault};
use odeon_rmi::{Outcome, Running, Ticket};
use odeon_runtime::{ProgressSink, StartedHook};
use parking_lot::Mutex;

/// The life of one request, from its ticket to its one end.
pub(crate) struct Life(Arc<Mutex<Stage>>);

enum Stage {
    Pending(Ticket),
    Running(Running),
    Over,
}

impl Life {
    pub(crate) fn of(ticket: Ticket) -> Self {
        Life(Arc::new(Mutex::new(Stage::Pending(ticket))))
    }

    /// Marks the request started when its call leaves the plugin's queue.
    pub(crate) fn started(&self) -> StartedHook {
        let life = self.0.clone();
        Arc::new(move || {
            let mut life = life.lock();
            match std::mem::replace(&mut *life, Stage::Over) {
                Stage::Pending(ticket) => {
                    *life = Stage::Running(ticket.start()?);
                    Ok(())
                }
                other => {
                    *life = other;
                    Ok(())
                }
            }
        })
    }

    pub(crate) fn progress(&self) -> ProgressSink {
        let life = Arc::downgrade(&self.0);
        Arc::new(move |progress| {
            if let Some(life) = life.upgrade()
                && let Stage::Running(running) = &*life.lock()
                && let Err(error) = running.progress(progress.completed, progress.total, &progress.details)
            {
                tracing::debug!(serial = %running.serial(), %error, "a progress report was dropped");
            }
        })
    }

    /// Ends the request.
    pub(crate) fn end(self, outcome: Outcome) {
        let stage = std::mem::replace(&mut *self.0.lock(), Stage::Over);
        match (stage, outcome) {
            (Stage::Running(running), outcome) => running.finish(outcome),
            // Never started: whatever the outcome says, nothing was executed.
            (Stage::Pending(ticket), Outcome::Cancelled(fault)) => ticket.withdraw(fault),
            (Stage::Pending(ticket), Outcome::Rejected(fault) | Outcome::Failed { fault, .. }) => {
                ticket.reject(fault);
            }
            (Stage::Pending(ticket), Outcome::Succeeded(_)) => {
                ticket.reject(Fault::new(
                    Code::Internal,
                    "a request ended that was never started",
                ));
            }
            // It was withdrawn before it could start, and has had its end.
            (Stage::Over, _) => {}
        }
    }
}
