//! The end of a host.
//!
//! Owns its order: no new requests, wait for those that run, interrupt what is
//! left, run the plugins' own `unload`, say so in the audit, end the tasks.
//! Every caller gets a final status.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use odeon_authority::Event;
use odeon_rmi::CancelReason;
use odeon_runtime::Reason;

use super::Host;

/// How long calls that were interrupted may take to let go.
const LET_GO: Duration = Duration::from_secs(2);

impl Host {
    /// Ends the host. Calls in flight may go on for `drain`; after that they
    /// are interrupted. What is loaded stays remembered. Ending it twice does
    /// nothing.
    pub async fn shutdown(&self, drain: Duration) {
        let inner = &*self.inner;
        if inner.stopping.swap(true, Ordering::SeqCst) {
            inner.tasks.tracker.wait().await;
            return;
        }
        inner.requests.close();
        let plugins = inner.registry.all();
        for loaded in &plugins {
            loaded.set_draining();
        }
        let drained = async {
            join_all(plugins.iter().map(|loaded| loaded.plugin.drain())).await;
            inner.requests.idle().await;
        };
        if tokio::time::timeout(drain, drained).await.is_err() {
            inner.requests.cancel_matching(CancelReason::Shutdown, |_| true);
            for loaded in &plugins {
                loaded.plugin.interrupt(Reason::Shutdown);
            }
            let let_go = async {
                join_all(plugins.iter().map(|loaded| loaded.plugin.drain())).await;
                inner.requests.idle().await;
            };
            if tokio::time::timeout(LET_GO, let_go).await.is_err() {
                tracing::warn!("calls did not let go in time while the host stopped");
            }
        }
        join_all(plugins.iter().map(|loaded| async {
            if let Err(fault) = loaded.plugin.unload().await {
                tracing::warn!(plugin = loaded.name.as_str(), %fault, "the plugin's unload failed");
            }
        }))
        .await;
        for loaded in &plugins {
            if let Ok((reservation, _)) = inner.registry.claim(&loaded.name) {
                reservation.remove();
            }
        }
        self.close_audit().await;
        inner.tasks.stop.cancel();
        inner.tasks.tracker.close();
    }

    async fn close_audit(&self) {
        let recorder = self.inner.recorder.clone();
        let served = self.inner.serving.swap(false, Ordering::SeqCst);
        let closed = self.inner.blocking(move || {
            recorder.finish();
            if served
                && let Err(error) = recorder.append(Event::Stop {
                    reason: "asked to stop".into(),
                })
            {
                tracing::error!(%error, "the end of the host could not be written to the audit");
            }
        });
        if closed.await.is_err() {
            tracing::error!("the audit could not be closed");
        }
    }
}
