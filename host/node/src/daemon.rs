//! The daemon: a host with a control socket in front of it.
//!
//! Owns the state directory's lock, the socket, the connections and the end of
//! them all. It decides nothing that a host does not: it turns envelopes into
//! calls of [`Host`], and names their principal after the peer's
//! credentials, never after what an envelope says.

mod admin;
mod connection;
mod desk;
mod inbox;
pub(crate) mod lock;
mod outbox;
mod places;
mod signals;
mod socket;
mod stream;
mod wall;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use odeon_authority::Event;
use odeon_protocol::{Code, Fault, WallRow};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Connection;
pub use self::desk::MAX_IN_FLIGHT;
use self::lock::StateLock;
use self::places::Places;
pub(crate) use self::wall::around_compiles;
pub use self::wall::{WallConfig, raise_walls};
use crate::host::{Host, Until};
use crate::listen::{Bound, Failures};
use crate::load::blocking;
use crate::metrics::{self, Endpoint, Kind, MetricsAddress};
use crate::watch::{Begun, Watch};
use crate::web::{BoundListener, ListenerConfig, WebListener};

/// The name of the control socket inside the state directory.
pub const SOCKET_NAME: &str = "control.sock";
/// The most connections at a time; further ones are told so and closed.
pub const MAX_CONNECTIONS: usize = 256;
/// Connections beside those for peers whose first request is an operator's, so
/// that callers keep no operator out.
pub const MAX_OPERATORS: usize = 8;
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
    /// Whether changes in that folder are applied when they are made; else when
    /// SIGHUP says so.
    pub watch: bool,
    /// How long calls in flight may go on at a stop or unload that says
    /// nothing else.
    pub drain: Duration,
    /// Within which time a peer must have introduced itself.
    pub handshake: Duration,
    /// Within which time a peer must have read 64 KiB, or all there is.
    pub write_timeout: Duration,
    /// How long a peer may want nothing before it is disconnected.
    pub idle: Duration,
    /// What sets the log's level, where something can.
    pub log_level: Option<LogControl>,
    /// SIGTERM and SIGINT stop the daemon, SIGHUP has it look at the
    /// descriptors again, SIGUSR1 writes a status dump.
    pub signals: bool,
    /// Where metrics are served over HTTP; absent: nowhere.
    pub metrics: Option<MetricsAddress>,
    /// The walls that stand around the process, for whoever asks how it is.
    pub walls: Vec<WallRow>,
    /// Where plugins are served over HTTP.
    pub listeners: Vec<ListenerConfig>,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        DaemonConfig {
            socket: None,
            plugins: None,
            watch: true,
            drain: Duration::from_secs(30),
            handshake: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            log_level: None,
            signals: true,
            metrics: None,
            walls: Vec::new(),
            listeners: Vec::new(),
        }
    }
}

/// A daemon that accepts calls. Dropping it does not stop it.
pub struct Daemon {
    shared: Arc<Shared>,
    metrics: Option<SocketAddr>,
    listeners: Vec<(String, SocketAddr)>,
    ended: tokio::task::JoinHandle<Result<(), Fault>>,
}

/// What every connection has a handle on.
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) config: DaemonConfig,
    pub(crate) socket: PathBuf,
    places: Places,
    /// Connections to the control socket that could not be accepted.
    failures: Failures,
    /// A stop has begun.
    stop: CancellationToken,
    /// Until when calls may go on then.
    until: watch::Sender<Until>,
}

impl Shared {
    /// Has the daemon stop. Of several who say how long calls may go on, the
    /// one with the least patience is heard.
    pub(crate) fn stop(&self, drain: Option<Duration>) {
        let asked = Instant::now().checked_add(drain.unwrap_or(self.config.drain));
        self.until.send_if_modified(|until| {
            let sooner = match (asked, *until) {
                _ if !self.stop.is_cancelled() => true,
                (Some(asked), Some(until)) => asked < until,
                (asked, None) => asked.is_some(),
                (None, Some(_)) => false,
            };
            if sooner {
                *until = asked;
            }
            // Under the lock of `until`, so that only one is the first.
            self.stop.cancel();
            sooner
        });
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// What the host counts, and the daemon.
    fn metrics(&self) -> String {
        let mut text = self.host.write_metrics();
        text.family(
            "odeon_connections",
            Kind::Gauge,
            "Connections to the control socket.",
        )
        .row(&[], self.places.taken());
        text.family(
            "odeon_accept_failures_total",
            Kind::Counter,
            "Connections to the control socket that could not be accepted, as without file descriptors.",
        )
        .row(&[], self.failures.ever());
        text.finish()
    }
}

impl Daemon {
    /// Where it can be reached.
    pub fn socket(&self) -> &Path {
        &self.shared.socket
    }

    /// Where its metrics are served, if they are.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Where plugins are served over HTTP, by the names of the listeners.
    pub fn listeners(&self) -> &[(String, SocketAddr)] {
        &self.listeners
    }

    /// Has it stop: no new calls, those in flight may go on for `drain`
    /// (absent: as configured), then they are interrupted. Can be said again
    /// to shorten that; operators are answered meanwhile.
    pub fn stop(&self, drain: Option<Duration>) {
        self.shared.stop(drain);
    }

    /// Waits until a stop has begun, by whatever made it. Cancellation safe, and
    /// not bound to this handle.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.stop.clone().cancelled_owned()
    }

    /// Waits until it has stopped, by whatever made it.
    ///
    /// # Errors
    ///
    /// When it broke off, or its end could not be written to the audit.
    pub async fn stopped(self) -> Result<(), Fault> {
        self.ended
            .await
            .map_err(|_| Fault::new(Code::Internal, "the daemon broke off; see its log"))?
    }
}

/// Makes a daemon of a host. When this returns, calls are accepted, or it was
/// told to stop before.
///
/// Remembered loads and the descriptors of `config.plugins` are loaded before;
/// those that are refused are logged and do not keep it from starting.
///
/// # Errors
///
/// `ODN-5005` when another host holds the state directory or answers at the
/// socket, or this host has no state directory; else a fault about what cannot
/// be read or written. A host that had begun to serve by then is ended.
pub async fn serve(host: Host, config: DaemonConfig) -> Result<Daemon, Fault> {
    let folder = host.state_dir().map(Path::to_owned).ok_or_else(|| {
        Fault::new(
            Code::WrongState,
            "expected a host with a state directory, found an ephemeral one",
        )
    })?;
    let socket = config.socket.clone().unwrap_or_else(|| folder.join(SOCKET_NAME));
    let lock = StateLock::take(&folder).await?;
    socket::refuse_if_answered(&socket).await?;
    let collectors = match config.metrics {
        Some(address) => Some(metrics::bind(address).await?),
        None => None,
    };
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        listeners.push(host.bind_listener(listener).await?);
    }
    let shared = Arc::new(Shared {
        host,
        config,
        socket,
        places: Places::new(),
        failures: Failures::default(),
        stop: CancellationToken::new(),
        until: watch::Sender::new(None),
    });
    if shared.config.signals {
        // Before anything is loaded: that can take long, and can be ended.
        signals::listen(&shared, folder)?;
    }
    // Whatever goes wrong from here on ends the one who listens, too.
    let begun = shared.stop.clone().drop_guard();
    let noted = shared.host.clone();
    blocking(move || {
        let version = env!("CARGO_PKG_VERSION").into();
        noted.inner.recorder.append(Event::Start { version })
    })
    .await?
    .map_err(|error| Fault::new(error.code(), error.to_string()))?;
    let inner = &shared.host.inner;
    inner.serving.store(true, Ordering::SeqCst);
    // From here on, so that a long start can be watched.
    let endpoint = collectors.map(|listener| serve_metrics(&shared, listener));
    let (listener, watch) = match begin(&shared).await {
        Ok(begun) => begun,
        Err(fault) => {
            // What has begun has an end, in the audit too.
            shared.host.shutdown(Duration::ZERO).await;
            if let Some(endpoint) = endpoint {
                endpoint.close().await;
            }
            return Err(fault);
        }
    };
    begun.disarm();
    let handle = inner.tasks.handle.clone();
    let (host, until) = (shared.host.clone(), shared.stop.clone());
    inner.tasks.spawn(async move {
        until.run_until_cancelled(host.review_changes()).await;
    });
    if let Some(watch) = watch {
        let until = shared.stop.clone();
        inner.tasks.spawn(watch.run(until));
    }
    let metrics = endpoint.as_ref().map(Endpoint::address);
    // When what is to be served there is there.
    let web: Vec<WebListener> = listeners.into_iter().map(BoundListener::serve).collect();
    let listeners = web
        .iter()
        .map(|web| (web.name().to_owned(), web.address()))
        .collect();
    let serving = Listeners {
        control: listener,
        metrics: endpoint,
        web,
    };
    let ended = handle.spawn(run(shared.clone(), serving, lock));
    Ok(Daemon {
        shared,
        metrics,
        listeners,
        ended,
    })
}

fn serve_metrics(shared: &Arc<Shared>, bound: Bound) -> Endpoint {
    let counting = shared.clone();
    let endpoint = Endpoint::begin(
        bound,
        Arc::new(move || counting.metrics()),
        &shared.host.inner.tasks.handle,
    );
    tracing::info!(address = %endpoint.address(), "metrics are served");
    endpoint
}

/// Loads what is to be there from the start, then listens.
async fn begin(shared: &Shared) -> Result<(UnixListener, Option<Watch>), Fault> {
    let (host, config) = (&shared.host, &shared.config);
    let begun = match config.plugins.clone() {
        Some(folder) => {
            let host = host.clone();
            Some(blocking(move || Begun::look(&host, &folder)).await?)
        }
        None => None,
    };
    // What was loaded before is loaded again, whatever the folder is like.
    let (begun, unusable) = match begun.transpose() {
        Ok(begun) => (begun, None),
        Err(fault) => (None, Some(fault)),
    };
    let loads = host.load_at_start(begun.as_ref().map(Begun::path));
    // Whoever stops it does not wait for what it has not loaded yet.
    let loads = shared.stop.run_until_cancelled(loads).await.transpose()?;
    if let Some(fault) = unusable {
        return Err(fault);
    }
    let loads = loads.unwrap_or_default();
    let watch = begun.map(|begun| Watch::begin(host, begun, config.watch, config.drain, &loads));
    Ok((socket::bind(&shared.socket)?, watch))
}

/// What a daemon listens at.
struct Listeners {
    control: UnixListener,
    metrics: Option<Endpoint>,
    web: Vec<WebListener>,
}

/// Accepts until everything has ended that a stop ends, in order.
async fn run(shared: Arc<Shared>, listeners: Listeners, lock: StateLock) -> Result<(), Fault> {
    let Listeners {
        control: listener,
        metrics: endpoint,
        web,
    } = listeners;
    let connections = TaskTracker::new();
    let farewell = CancellationToken::new();
    let ending = async {
        shared.stop.cancelled().await;
        let drain = (*shared.until.borrow()).map(|until| until.saturating_duration_since(Instant::now()));
        tracing::info!(?drain, "stopping");
        web.iter().for_each(WebListener::stop);
        shared.host.shut_down(shared.until.subscribe()).await
    };
    // Operators are served until the last call has ended: they may look at
    // what holds the stop, end that, or have less patience.
    let ended = tokio::select! {
        biased;
        ended = ending => ended,
        never = accept(&shared, &listener, &connections, &farewell) => match never {},
    };
    drop(listener);
    if let Err(error) = std::fs::remove_file(&shared.socket) {
        tracing::warn!(%error, "the control socket could not be removed");
    }
    join_all(web.into_iter().map(|web| web.close(FAREWELL))).await;
    if let Some(endpoint) = endpoint {
        endpoint.close().await;
    }
    // Before anybody hears of the end: who does may start the next host.
    drop(lock);
    farewell.cancel();
    connections.close();
    if tokio::time::timeout(FAREWELL, connections.wait()).await.is_err() {
        tracing::warn!("a peer did not read its last replies in time");
    }
    ended
}

async fn accept(
    shared: &Arc<Shared>,
    listener: &UnixListener,
    connections: &TaskTracker,
    farewell: &CancellationToken,
) -> Infallible {
    let failures = &shared.failures;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(connection) = Connection::admit(stream, shared, &shared.places) {
                    connections.spawn(connection.run(farewell.clone()));
                }
            }
            Err(error) => {
                if let Some(failures) = failures.another() {
                    tracing::warn!(%error, failures, "connections could not be accepted");
                }
                // Out of file handles, most likely: they come back when
                // connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
