//! The end of a host.
//!
//! Owns its order: no new requests and loads, wait for calls that run, interrupt
//! what is left, run the plugins' own `unload`, say so in the audit, end the
//! tasks, when the collector was told the last of it. Every caller gets a final
//! status. How long calls may go on can be shortened while they do.
//!
//! **Invariant:** whoever takes a plugin out holds its name, so that no
//! generation's `unload` runs twice.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use odeon_authority::Event;
use odeon_protocol::{Code, Fault};
use odeon_rmi::CancelReason;
use odeon_runtime::Reason;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::Host;
use crate::unload::LET_GO;

/// How long the last lines of the audit may take.
const AUDIT: Duration = Duration::from_secs(5);

/// How long the last core dumps may take.
const DUMPS: Duration = Duration::from_secs(10);

/// How long unloads may take that were under way, after all calls have ended.
const UNLOADS: Duration = Duration::from_secs(30);

/// Until when calls may go on; `None` is for ever.
pub(crate) type Until = Option<Instant>;

impl Host {
    /// Ends the host. Calls in flight may go on for `drain`; after that they
    /// are interrupted. What is loaded stays remembered. Ending it twice does
    /// nothing.
    pub async fn shutdown(&self, drain: Duration) {
        let (_said, until) = watch::channel(Instant::now().checked_add(drain));
        if let Err(fault) = self.shut_down(until).await {
            tracing::error!(%fault, "the host did not end as it should");
        }
    }

    /// The same, and what `until` holds may come to be sooner meanwhile.
    pub(crate) async fn shut_down(&self, mut until: watch::Receiver<Until>) -> Result<(), Fault> {
        let inner = &*self.inner;
        if inner.stopping.swap(true, Ordering::SeqCst) {
            inner.tasks.tracker.wait().await;
            return Ok(());
        }
        inner.requests.close();
        inner.tasks.no_loads.cancel();
        // What is on its last step goes into service, and out again below.
        if timeout(LET_GO, inner.registry.loads_over()).await.is_err() {
            tracing::warn!("a load did not let go in time while the host stopped");
        }
        let mut plugins = inner.registry.all();
        // The others are being unloaded, and come to their end by themselves.
        let taken: Vec<_> = plugins
            .iter()
            .inspect(|loaded| loaded.set_draining())
            .filter_map(|loaded| inner.registry.claim(&loaded.name).ok())
            .collect();
        // What was replaced has calls too, and is seen off by its own task.
        plugins.extend(inner.registry.replaced());
        let drained = || async {
            join_all(plugins.iter().map(|loaded| loaded.plugin.drain())).await;
            inner.requests.idle().await;
        };
        let in_time = tokio::select! {
            biased;
            () = drained() => true,
            () = passed(&mut until) => false,
        };
        if !in_time {
            inner.requests.cancel_matching(CancelReason::Shutdown, |_| true);
            for loaded in &plugins {
                loaded.plugin.interrupt(Reason::Shutdown);
            }
            if timeout(LET_GO, drained()).await.is_err() {
                tracing::warn!("calls did not let go in time while the host stopped");
            }
        }
        join_all(taken.into_iter().map(|(reservation, loaded)| async move {
            // What the policy denied meanwhile runs no more.
            if !loaded.is_condemned()
                && let Err(fault) = loaded.plugin.unload().await
            {
                tracing::warn!(plugin = loaded.name.as_str(), %fault, "the plugin's unload failed");
            }
            reservation.remove();
        }))
        .await;
        let over = async {
            inner.registry.unloads_over().await;
            inner.registry.none_replaced().await;
        };
        if timeout(UNLOADS, over).await.is_err() {
            tracing::warn!("an unload did not end in time while the host stopped");
        }
        // What they say of themselves belongs into the audit.
        if timeout(DUMPS, inner.runtime.dumps_written()).await.is_err() {
            tracing::warn!("core dumps were not written in time while the host stopped");
        }
        let closed = self.close_audit().await;
        if let Some(telemetry) = &inner.telemetry {
            telemetry.end().await;
        }
        inner.tasks.stop.cancel();
        inner.tasks.tracker.close();
        closed
    }

    async fn close_audit(&self) -> Result<(), Fault> {
        let recorder = self.inner.recorder.clone();
        let served = self.inner.serving.swap(false, Ordering::SeqCst);
        let closing = crate::load::blocking(move || {
            recorder.finish();
            let ended = match served {
                false => Ok(()),
                true => {
                    let reason = "asked to stop".into();
                    recorder.append(Event::Stop { reason }).map(|_| ())
                }
            };
            recorder.end_keeping();
            ended
        });
        let unwritten = |why: &str| {
            let text = format!("the end of the host could not be written to the audit: {why}");
            Err(Fault::new(Code::AuditUnwritable, text))
        };
        match timeout(AUDIT, closing).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => unwritten(&error.to_string()),
            Ok(Err(_)) => unwritten("the writer broke off"),
            Err(_) => unwritten(&format!("it took longer than {} s", AUDIT.as_secs())),
        }
    }
}

/// Waits until the time has come, whichever it is by then.
async fn passed(until: &mut watch::Receiver<Until>) {
    loop {
        let at = *until.borrow_and_update();
        let come = async {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = come => return,
            // When nobody can say otherwise any more, what was said last holds.
            Ok(()) = until.changed() => {}
        }
    }
}
