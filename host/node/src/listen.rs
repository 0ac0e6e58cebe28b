//! Listening on TCP.
//!
//! Owns what is the same for everything that listens: taking the address, so
//! many connections at a time, and their end. Whoever comes when all places
//! are taken waits where it costs the host nothing. What cannot be accepted is
//! counted, and said once in a while.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use odeon_protocol::{Code, Fault};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod failures;
mod stream;

pub(crate) use self::failures::Failures;
pub(crate) use self::stream::Stream;

/// How long nobody is accepted after that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// An address that was taken and where nobody is answered yet.
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// What has begun at an address: the tasks of its connections, and the word
/// that ends them.
#[derive(Clone, Default)]
pub(crate) struct Serving {
    pub(crate) tasks: TaskTracker,
    /// Nobody is accepted any more.
    pub(crate) stop: CancellationToken,
    /// Those who could not be accepted.
    pub(crate) failures: Arc<Failures>,
}

/// Takes the address. `what` is the field of the configuration that names it,
/// and what is served there.
///
/// # Errors
///
/// `ODN-5005` when somebody else listens there, `ODN-3016` when nobody can.
pub(crate) async fn bind(address: SocketAddr, what: &str) -> Result<Bound, Fault> {
    let taken = |error: std::io::Error| {
        let (code, fix) = match error.kind() {
            std::io::ErrorKind::AddrInUse => (
                Code::WrongState,
                "expected nobody, found somebody who listens there already; end that",
            ),
            _ => (Code::ConfigInvalid, "expected an address that can be listened at"),
        };
        Fault::new(
            code,
            format!("{what} cannot be served at {address}: {fix}, or choose another address ({error})"),
        )
    };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok(Bound { listener, address })
}

impl Bound {
    /// The address, with the port that was chosen.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts from now on, `most` at a time. `serve` gives what is to be done
    /// with a connection, or nothing where it is not wanted.
    pub(crate) fn serve<F, S>(self, most: usize, serving: &Serving, handle: &tokio::runtime::Handle, serve: S)
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream, SocketAddr) -> Option<F> + Send + Sync + 'static,
    {
        let (tasks, stop) = (serving.tasks.clone(), serving.stop.clone());
        let failures = serving.failures.clone();
        let accepting = async move {
            let accepting = accept(&self, most, &tasks, &failures, serve);
            stop.run_until_cancelled(accepting).await;
        };
        serving.tasks.spawn_on(accepting, handle);
    }
}

async fn accept<F, S>(
    Bound { listener, address }: &Bound,
    most: usize,
    tasks: &TaskTracker,
    failures: &Failures,
    serve: S,
) -> Option<Infallible>
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, SocketAddr) -> Option<F>,
{
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    loop {
        let place = places.clone().acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(serving) = serve(stream, peer) {
                    tasks.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                if let Some(failures) = failures.another() {
                    tracing::warn!(%address, %error, failures, "connections could not be accepted");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
