//! The daemon: a host with a control socket in front of it.
//!
//! Owns the state directory's lock, the socket, the connections and the end of
//! them all. It decides nothing that a host does not: it turns envelopes into
//! calls of [`Host`], and names their principal after the peer's
//! credentials, never after what an envelope says.

mod admin;
mod connection;
mod lock;
mod outbox;
mod signals;
mod socket;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use odeon_authority::Event;
use odeon_protocol::{Code, Fault};
use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Connection;
pub use self::connection::MAX_IN_FLIGHT;
use self::lock::StateLock;
use crate::host::Host;
use crate::load::blocking;

/// The name of the control socket inside the state directory.
pub const SOCKET_NAME: &str = "control.sock";
/// The most connections at a time; further ones wait until one ends.
pub const MAX_CONNECTIONS: usize = 256;
/// How long connections may take to read their last replies.
const FAREWELL: Duration = Duration::from_secs(2);

/// Reads the host's log directive, or sets it and reads it back. The error
/// says what is wrong with the one that was given.
pub type LogControl = Arc<dyn Fn(Option<&str>) -> Result<String, String> + Send + Sync>;

/// How a daemon is set up.
#[derive(Clone)]
pub struct DaemonConfig {
    /// The control socket; absent: [`SOCKET_NAME`] inside the state directory.
    pub socket: Option<PathBuf>,
    /// A folder of descriptors that are loaded at start.
    pub plugins: Option<PathBuf>,
    /// How long calls in flight may go on at a stop or unload that says
    /// nothing else.
    pub drain: Duration,
    /// Within which time a peer must have introduced itself.
    pub handshake: Duration,
    /// How long a peer may take to read something before it is disconnected.
    pub write_timeout: Duration,
    /// What sets the log's level, where something can.
    pub log_level: Option<LogControl>,
    /// SIGTERM and SIGINT stop the daemon, SIGUSR1 writes a status dump.
    pub signals: bool,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        DaemonConfig {
            socket: None,
            plugins: None,
            drain: Duration::from_secs(30),
            handshake: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            log_level: None,
            signals: true,
        }
    }
}

/// A daemon that accepts calls. Dropping it does not stop it.
pub struct Daemon {
    shared: Arc<Shared>,
    ended: tokio::task::JoinHandle<()>,
}

/// What every connection has a handle on.
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) config: DaemonConfig,
    pub(crate) socket: PathBuf,
    stop: CancellationToken,
    drain: Mutex<Duration>,
}

impl Shared {
    /// Has the daemon stop. The first who says how long calls may go on is
    /// heard.
    pub(crate) fn stop(&self, drain: Option<Duration>) {
        if !self.stop.is_cancelled() {
            *self.drain.lock() = drain.unwrap_or(self.config.drain);
            self.stop.cancel();
        }
    }
}

impl Daemon {
    /// Where it can be reached.
    pub fn socket(&self) -> &Path {
        &self.shared.socket
    }

    /// Has it stop: no new calls, those in flight may go on for `drain`
    /// (absent: as configured), then they are interrupted.
    pub fn stop(&self, drain: Option<Duration>) {
        self.shared.stop(drain);
    }

    /// Waits until it has stopped, by whatever made it.
    ///
    /// # Errors
    ///
    /// When it broke off.
    pub async fn stopped(self) -> Result<(), Fault> {
        self.ended
            .await
            .map_err(|_| Fault::new(Code::Internal, "the daemon broke off; see its log"))
    }
}

/// Makes a daemon of a host. When this returns, calls are accepted.
///
/// Remembered loads and the descriptors of `config.plugins` are loaded before;
/// those that are refused are logged and do not keep it from starting.
///
/// # Errors
///
/// `ODN-5005` when another host holds the state directory or answers at the
/// socket, or this host has no state directory; else a fault about what cannot
/// be read or written.
pub async fn serve(host: Host, config: DaemonConfig) -> Result<Daemon, Fault> {
    let folder = host.state_dir().map(Path::to_owned).ok_or_else(|| {
        Fault::new(
            Code::WrongState,
            "expected a host with a state directory, found an ephemeral one",
        )
    })?;
    let socket = config.socket.clone().unwrap_or_else(|| folder.join(SOCKET_NAME));
    let lock = StateLock::take(&folder)?;
    socket::refuse_if_answered(&socket).await?;
    let noted = host.clone();
    blocking(move || {
        let version = env!("CARGO_PKG_VERSION").into();
        noted.inner.recorder.append(Event::Start { version })
    })
    .await?
    .map_err(|error| Fault::new(error.code(), error.to_string()))?;
    host.inner.serving.store(true, Ordering::SeqCst);
    host.load_remembered().await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "nothing was loaded again");
        Vec::new()
    });
    if let Some(plugins) = &config.plugins {
        host.load_descriptors(plugins).await?;
    }
    let listener = socket::bind(&socket)?;
    let drain = Mutex::new(config.drain);
    let shared = Arc::new(Shared {
        host,
        config,
        socket,
        stop: CancellationToken::new(),
        drain,
    });
    if shared.config.signals {
        signals::listen(&shared, folder)?;
    }
    let handle = shared.host.inner.tasks.handle.clone();
    let (host, until) = (shared.host.clone(), shared.stop.clone());
    shared.host.inner.tasks.spawn(async move {
        until.run_until_cancelled(host.review_changes()).await;
    });
    let tracker = TaskTracker::new();
    let ended = tracker.spawn_on(run(shared.clone(), listener, lock, tracker.clone()), &handle);
    Ok(Daemon { shared, ended })
}

/// Accepts until it is to stop, then ends everything in order.
async fn run(shared: Arc<Shared>, listener: UnixListener, lock: StateLock, _own: TaskTracker) {
    let connections = TaskTracker::new();
    let farewell = CancellationToken::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                if let Some(connection) = Connection::admit(stream, &shared) {
                    let farewell = farewell.clone();
                    connections.spawn(async move {
                        connection.run(farewell).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                // Out of file handles, most likely: they come back when
                // connections end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if let Err(error) = std::fs::remove_file(&shared.socket) {
        tracing::warn!(%error, "the control socket could not be removed");
    }
    let drain = *shared.drain.lock();
    tracing::info!(
        drain_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX),
        "stopping"
    );
    shared.host.shutdown(drain).await;
    farewell.cancel();
    connections.close();
    if tokio::time::timeout(FAREWELL, connections.wait()).await.is_err() {
        tracing::warn!("a peer did not read its last replies in time");
    }
    drop(lock);
}

async fn accept(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(tokio::net::UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}
