//! One request and its response.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use odeon_authority::Protocol;
use tokio::time::timeout;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody};

use super::End;
use super::body::ResponseBody;
use super::connect::{self, Target};
use super::error::{hyper_error, within};
use super::kept::Arrived;
use crate::interfaces::egress::Egress;

/// A response that has begun, and the end of its connection.
pub(super) type Exchange = (Response<WasiBody>, End);

/// The smallest buffer that hyper can read a response into.
const SMALLEST_BUFFER: usize = 8 << 10;

/// Room for the first line of a response beside its headers.
const STATUS_LINE: usize = 1 << 10;

/// Sends a request on a connection of its own. The guest's waiting times are
/// kept; a guest that names none waits for its connection as long as the host
/// does, and for the response until its deadline, at which this future is
/// dropped and the connection with it.
///
/// Whether it may be sent is asked before this returns: when the future runs,
/// the call may be over, and the next one for somebody else.
pub(super) fn exchange(
    egress: Arc<Egress>,
    request: Request<WasiBody>,
    options: RequestOptions,
    responses: Arc<AtomicU64>,
) -> impl Future<Output = Result<Exchange>> + Send {
    let target = target(&request).and_then(|target| {
        let permitted = egress.permit_request(&target.host, target.port);
        permitted.map_err(|_| Error::HttpRequestDenied)?;
        Ok(target)
    });
    async move { permitted(egress, target?, request, options, responses).await }
}

async fn permitted(
    egress: Arc<Egress>,
    target: Target,
    mut request: Request<WasiBody>,
    options: RequestOptions,
    responses: Arc<AtomicU64>,
) -> Result<Exchange> {
    let limit = egress.unit().spec.limits.header_bytes.bytes();
    if header_bytes(request.headers()) > limit {
        egress.unit().counters.hit("header-bytes");
        return Err(Error::HttpRequestHeaderSectionSize(Some(narrow(limit))));
    }
    let slot = egress.open(Protocol::Http).ok_or(Error::ConnectionLimitReached)?;
    let connecting = connect::open(&egress, &target, slot);
    let stream = within(options.connect_timeout, Error::ConnectionTimeout, connecting).await?;

    let buffer = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_add(STATUS_LINE)
        .max(SMALLEST_BUFFER);
    let (mut sender, mut connection) = http1::Builder::new()
        .max_buf_size(buffer)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| hyper_error(&error, egress.unit()))?;
    *request.uri_mut() = origin_form(request.uri())?;
    let sending = async {
        let response = sender.send_request(request);
        tokio::pin!(response);
        tokio::select! {
            biased;
            response = &mut response => response.map(|response| (response, true)),
            ended = &mut connection => match ended {
                Ok(()) => response.await.map(|response| (response, false)),
                Err(error) => Err(error),
            },
        }
        .map_err(|error| hyper_error(&error, egress.unit()))
    };
    let (response, open) = match options.first_byte_timeout {
        Some(time) => timeout(time, sending)
            .await
            .map_err(|_| Error::ConnectionReadTimeout)??,
        None => sending.await?,
    };
    if header_bytes(response.headers()) > limit {
        egress.unit().counters.hit("header-bytes");
        return Err(Error::HttpResponseHeaderSectionSize(Some(narrow(limit))));
    }
    let arrived = Arrived::new(responses, response.headers());
    let mut response = response
        .map(|body| ResponseBody::new(body, options.between_bytes_timeout, egress.clone()).boxed_unsync());
    response.extensions_mut().insert(arrived);
    let end = async move {
        if open {
            // How it ended is told to whoever reads the body. An error of this
            // future would be a line in the host's log, one for each request
            // of a guest and a server that go together.
            drop(connection.await);
        }
        Ok(())
    };
    Ok((response, Box::new(end)))
}

fn target(request: &Request<WasiBody>) -> Result<Target> {
    let uri = request.uri();
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    // A name and password in front of the host are no part of a host.
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(Error::HttpRequestUriInvalid);
    }
    // The answer to it is a tunnel, not a response.
    if request.method() == Method::CONNECT {
        return Err(Error::HttpRequestMethodInvalid);
    }
    let tls = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return Err(Error::HttpProtocolError),
    };
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        None if tls => 443,
        None => 80,
    };
    Ok(Target {
        host: authority.host().to_owned(),
        port,
        tls,
    })
}

/// The form in which a server that is no proxy is asked: path and query only.
fn origin_form(uri: &Uri) -> Result<Uri> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Uri::builder()
        .path_and_query(path)
        .build()
        .map_err(|_| Error::HttpRequestUriInvalid)
}

/// Names and values together.
pub(super) fn header_bytes(headers: &HeaderMap) -> u64 {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().len() as u64).saturating_add(value.len() as u64))
        .sum()
}

pub(super) fn narrow(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
