//! Metrics over HTTP, for a collector on this machine.
//!
//! Owns what a peer of it may cost: few at a time, each with one short request,
//! one answer and a few seconds for both. It can ask for metrics and for
//! nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use odeon_protocol::Fault;
use tokio::net::TcpStream;
use tokio_util::sync::DropGuard;

use super::{MetricsAddress, text};
use crate::listen::{self, Bound, Serving, Stream};
use crate::load::blocking;

/// The most peers at a time.
const MOST_PEERS: usize = 16;
/// How long one may take from its connection to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// The most header fields of a request.
const MAX_FIELDS: usize = 64;

/// What writes the metrics down.
pub(crate) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Metrics that are served. Dropping it ends that soon.
pub(crate) struct Endpoint {
    address: SocketAddr,
    serving: Serving,
    _stop: DropGuard,
}

/// Takes the address.
///
/// # Errors
///
/// `ODN-5005` when somebody else listens there, `ODN-3016` when nobody can.
pub(crate) async fn bind(address: MetricsAddress) -> Result<Bound, Fault> {
    listen::bind(address.get(), "telemetry.metrics: metrics").await
}

impl Endpoint {
    /// Serves metrics on this runtime from now on.
    pub(crate) fn begin(bound: Bound, render: Render, handle: &tokio::runtime::Handle) -> Self {
        let serving = Serving::default();
        let (address, stop) = (bound.address(), serving.stop.clone());
        bound.serve(MOST_PEERS, &serving, handle, move |stream, _| {
            let (stop, serving) = (stop.clone(), serve(stream, render.clone()));
            Some(async move {
                stop.run_until_cancelled(serving).await;
            })
        });
        Endpoint {
            address,
            _stop: serving.stop.clone().drop_guard(),
            serving,
        }
    }

    /// Where they are served.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits until the address is free.
    pub(crate) async fn close(self) {
        self.serving.stop.cancel();
        self.serving.tasks.close();
        self.serving.tasks.wait().await;
    }
}

/// One request and its answer.
async fn serve(stream: TcpStream, render: Render) {
    let service = service_fn(move |request| {
        let render = render.clone();
        async move { Ok::<_, Infallible>(answer(&request, render).await) }
    });
    let mut connection = http1::Builder::new();
    connection
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        // The time for all of it is shorter.
        .header_read_timeout(None::<Duration>);
    let connection = connection.serve_connection(Stream::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a collector of metrics was not answered"),
        Err(_) => tracing::debug!("a collector of metrics took too long"),
    }
}

async fn answer(request: &Request<Incoming>, render: Render) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return said(
            StatusCode::NOT_FOUND,
            "expected /metrics; there is nothing else here\n",
        );
    }
    if request.method() != Method::GET {
        let mut refusal = said(StatusCode::METHOD_NOT_ALLOWED, "expected GET\n");
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        return refusal;
    }
    match blocking(move || render()).await {
        Ok(text) => said(StatusCode::OK, text),
        Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "see the host's log\n"),
    }
}

fn said(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(text::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
