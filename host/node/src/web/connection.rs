//! One connection of a client.
//!
//! Owns what its HTTP may be: HTTP/1, a head of bounded size, one request after
//! the other. At a stop the request that is being answered is, and no other.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::exchange::Desk;
use super::pace::{Pace, Paced};

/// The longest head of a request, and what is read ahead of one, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The most header fields of a request.
const MAX_FIELDS: usize = 100;

/// Answers requests until the client has no more, takes too long, or `stop`
/// says that this is the last one.
pub(super) async fn serve<S>(stream: S, desk: Arc<Desk>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pace = Pace::new();
    let stream = Paced::new(stream, pace.clone(), desk.times());
    let service = service_fn(move |request| {
        let (desk, pace) = (desk.clone(), pace.clone());
        async move { Ok::<_, Infallible>(desk.answer(request, &pace).await) }
    });
    let mut connection = http1::Builder::new();
    connection
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        // A clock of our own, which knows what the connection is at.
        .header_read_timeout(None::<Duration>);
    let connection = connection.serve_connection(stream, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
