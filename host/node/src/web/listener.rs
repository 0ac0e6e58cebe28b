//! Where clients connect.
//!
//! Owns the listener's address, how many connections there are, and its end: no
//! new ones, the requests that are being answered come to theirs, and after a
//! while whoever is left is disconnected.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use odeon_protocol::Fault;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::config::ListenerConfig;
use super::connection::serve;
use super::exchange::Desk;
use super::pace::Times;
use super::peers::{Counted, Peers};
use super::{Counts, Known};
use crate::host::{Host, Inner};
use crate::listen::{self, Bound, Serving};
use crate::load::blocking;

/// What a client is told whose address has all the connections it may have.
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A listener that has its address, and where nobody is answered yet. Plugins
/// can be loaded to be served there.
pub(crate) struct BoundListener {
    bound: Bound,
    tls: Option<TlsAcceptor>,
    registered: Registered,
}

/// A listener at which plugins are served. Dropping it ends that at once.
pub struct WebListener {
    registered: Registered,
    serving: Serving,
    /// Ends the connections that are left.
    cut: CancellationToken,
}

/// A listener that loads may name.
struct Registered {
    inner: Arc<Inner>,
    known: Arc<Known>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.inner.web.remove(&self.known);
    }
}

impl Host {
    /// Serves plugins over HTTP there from now on, on the host's runtime.
    ///
    /// # Errors
    ///
    /// `ODN-5005` when somebody else listens there, `ODN-3016` when nobody can or
    /// there is a listener of that name.
    pub async fn listen(&self, config: &ListenerConfig) -> Result<WebListener, Fault> {
        Ok(self.bind_listener(config).await?.serve())
    }

    pub(crate) async fn bind_listener(&self, config: &ListenerConfig) -> Result<BoundListener, Fault> {
        let name = config.name();
        let tls = match config.files().cloned() {
            Some(files) => {
                let name = name.clone();
                Some(TlsAcceptor::from(blocking(move || files.read(&name)).await??))
            }
            None => None,
        };
        let bound = listen::bind(config.address(), &format!("listener {name}: plugins")).await?;
        let known = Arc::new(Known {
            name: name.as_str().into(),
            address: bound.address(),
            tls: tls.is_some(),
            trace: config.client_trace(),
            generation: config.says_generation(),
            counts: Counts::default(),
        });
        self.inner.web.add(&known)?;
        Ok(BoundListener {
            bound,
            tls,
            registered: Registered {
                inner: self.inner.clone(),
                known,
            },
        })
    }
}

impl BoundListener {
    /// Accepts from now on.
    pub(crate) fn serve(self) -> WebListener {
        let BoundListener {
            bound,
            tls,
            registered,
        } = self;
        let (inner, known) = (&registered.inner, &registered.known);
        let limits = &inner.host_limits;
        let times = Times {
            head: limits.http_head_time.duration(),
            idle: limits.http_idle_time.duration(),
            stall: limits.http_stall_time.duration(),
        };
        let cut = CancellationToken::new();
        let serving = Serving {
            failures: known.counts.unaccepted.clone(),
            ..Serving::default()
        };
        let accepting = Accepting {
            desk: Arc::new(Desk::new(inner.clone(), known.clone(), times)),
            known: known.clone(),
            peers: Peers::default(),
            most_each: limits.http_connections_each,
            tls,
            handshake: times.head,
            stop: serving.stop.clone(),
            cut: cut.clone(),
        };
        let most = usize::try_from(limits.http_connections).unwrap_or(usize::MAX);
        tracing::info!(listener = &*known.name, address = %known.address, "plugins are served over HTTP");
        bound.serve(most, &serving, &inner.tasks.handle, move |stream, peer| {
            accepting.connection(stream, peer)
        });
        WebListener {
            registered,
            serving,
            cut,
        }
    }
}

impl WebListener {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.registered.known.name
    }

    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.registered.known.address
    }

    /// Takes no new connections and, on those there are, no new requests. Those
    /// that are being answered go on.
    pub fn stop(&self) {
        self.serving.stop.cancel();
    }

    /// The same, and waits for them for as long as this; then they are cut off.
    pub async fn close(self, patience: Duration) {
        self.stop();
        self.serving.tasks.close();
        if tokio::time::timeout(patience, self.serving.tasks.wait())
            .await
            .is_err()
        {
            self.cut.cancel();
            self.serving.tasks.wait().await;
        }
    }
}

impl Drop for WebListener {
    fn drop(&mut self) {
        self.serving.stop.cancel();
        self.cut.cancel();
    }
}

/// What every connection needs.
struct Accepting {
    desk: Arc<Desk>,
    known: Arc<Known>,
    peers: Peers,
    most_each: u64,
    tls: Option<TlsAcceptor>,
    /// How long that may take.
    handshake: Duration,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// A connection that is counted. Dropping it takes it back.
struct Open {
    known: Arc<Known>,
    _counted: Counted,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.known.counts.went();
    }
}

impl Accepting {
    /// What is done for a connection; nothing for one too many of its address.
    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let Some(counted) = self.peers.count(peer.ip(), self.most_each) else {
            self.known.counts.turned_away();
            if self.tls.is_none() {
                // Whoever cannot read it now gets nothing.
                drop(stream.try_write(TURNED_AWAY));
            }
            return None;
        };
        self.known.counts.came();
        let open = Open {
            known: self.known.clone(),
            _counted: counted,
        };
        // Without it, a small response waits for nothing.
        drop(stream.set_nodelay(true));
        let (stop, cut) = (self.stop.clone(), self.cut.clone());
        let (desk, tls, handshake) = (self.desk.clone(), self.tls.clone(), self.handshake);
        let serving = async move {
            let Some(tls) = tls else {
                return serve(stream, desk, stop).await;
            };
            match tokio::time::timeout(handshake, tls.accept(stream)).await {
                Ok(Ok(stream)) => serve(stream, desk, stop).await,
                Ok(Err(error)) => tracing::debug!(%error, "a client does not speak TLS as it should"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        };
        Some(async move {
            cut.run_until_cancelled(serving).await;
            drop(open);
        })
    }
}
