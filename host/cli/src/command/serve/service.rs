//! What a service manager is told, where one listens.
//!
//! Owns the messages of `sd_notify`: ready, stopping, and the sign of life that
//! a watchdog waits for. Nobody listening is the usual case, and no error; who
//! listens and cannot be told is worth a line in the log and no more.

use std::convert::Infallible;
use std::time::Duration;

use sd_notify::NotifyState;

/// Calls are accepted.
pub(super) fn ready(socket: &str) {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("accepting calls at {socket}")),
    ]);
}

/// The stop has begun; calls that run may go on for a while.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Gives a sign of life twice within the time after which the manager gives the
/// host up, from a task like those that serve: where none of them is polled any
/// more, there is no sign. Never ends by itself, and does nothing where nobody
/// waits for a sign.
pub(super) async fn alive() -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return std::future::pending().await;
    };
    let every = (patience / 2).max(Duration::from_millis(1));
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(every).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told how the host is");
    }
}
