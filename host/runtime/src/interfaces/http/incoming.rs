//! `wasi:http/incoming-handler` and `wasi:http/handler`: a request that comes
//! in, and what the guest answers.
//!
//! Owns what is handed to the guest and what is taken back from it: a response
//! is looked at before it leaves, and what cannot be sent is the guest's fault.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;
use wasmtime::component::Resource;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView as _, p3};

use super::exchange::header_bytes;
use crate::state::HostState;

/// The body of a request, as the host passes it on.
pub type RequestBody = UnsyncBoxBody<Bytes, RequestBodyError>;

/// The body of a response, as the guest makes it. Its error says that the guest
/// broke it off.
pub type ResponseBody = UnsyncBoxBody<Bytes, BrokenOff>;

/// Why there is no more of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// It is longer than it may be.
    #[error("the body is longer than {0} bytes")]
    TooLong(u64),
    /// Its trailers are longer than they may be.
    #[error("the trailers are longer than {0} bytes")]
    TrailersTooLong(u64),
    /// It came too slowly.
    #[error("the body came too slowly")]
    TooSlow,
    /// The client went away, or what it sent is no HTTP.
    #[error("the body was not sent whole")]
    Incomplete,
}

/// A guest broke its response off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest broke its response off")]
pub struct BrokenOff;

/// One request for a guest, and where its response goes.
pub struct Exchange {
    /// The request. It names its host.
    pub request: Request<RequestBody>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Is given the response when its body begins. Dropped unused where there
    /// is none.
    pub response: oneshot::Sender<Response<ResponseBody>>,
}

/// Why a guest that ended well has given no response that can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoResponse {
    #[error("the guest returned without a response")]
    Nothing,
    #[error("the guest answered with the error {0} instead of a response")]
    Error(String),
    #[error("the guest answered with the status {0}, expected 200 to 599")]
    Status(u16),
    #[error("the response's headers take {0} bytes")]
    Headers(u64),
}

impl From<RequestBodyError> for Error {
    fn from(error: RequestBodyError) -> Error {
        match error {
            RequestBodyError::TooLong(most) => Error::HttpRequestBodySize(Some(most)),
            RequestBodyError::TrailersTooLong(most) => {
                Error::HttpRequestTrailerSectionSize(Some(super::exchange::narrow(most)))
            }
            RequestBodyError::TooSlow => Error::ConnectionReadTimeout,
            RequestBodyError::Incomplete => Error::ConnectionTerminated,
        }
    }
}

/// What the guest made of an exchange so far.
#[derive(Clone)]
pub(crate) struct Answered(Arc<Answer>);

struct Answer {
    unsendable: parking_lot::Mutex<Option<NoResponse>>,
    given: AtomicBool,
    /// The most bytes of its headers.
    most: u64,
}

impl Answered {
    fn new(state: &HostState) -> Self {
        Answered(Arc::new(Answer {
            unsendable: parking_lot::Mutex::new(None),
            given: AtomicBool::new(false),
            most: state.unit.spec.limits.header_bytes.bytes(),
        }))
    }

    /// What there is to say when the guest has ended.
    pub(crate) fn check(&self) -> Result<(), NoResponse> {
        if let Some(unsendable) = self.0.unsendable.lock().take() {
            return Err(unsendable);
        }
        match self.0.given.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(NoResponse::Nothing),
        }
    }

    /// Passes a response on, if it can be sent.
    pub(crate) fn give(&self, response: Response<WasiBody>, to: oneshot::Sender<Response<ResponseBody>>) {
        let status = response.status().as_u16();
        let headers = header_bytes(response.headers());
        if !(200..600).contains(&status) {
            return self.refuse(NoResponse::Status(status));
        }
        if headers > self.0.most {
            return self.refuse(NoResponse::Headers(headers));
        }
        self.0.given.store(true, Ordering::Relaxed);
        let response = response.map(|body| body.map_err(|_| BrokenOff).boxed_unsync());
        // A client that went away is no concern of the guest's.
        drop(to.send(response));
    }

    pub(crate) fn refuse(&self, unsendable: NoResponse) {
        *self.0.unsendable.lock() = Some(unsendable);
    }
}

/// The end of a request's body.
pub(crate) type End = Pin<Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>>;

/// What a handler of WASI 0.2 is called with.
pub(crate) type Handles = (Resource<HostIncomingRequest>, Resource<HostResponseOutparam>);

impl HostState {
    /// Puts a request, and where its response goes, into the guest's hands.
    pub(crate) fn take_in(&mut self, exchange: Exchange) -> wasmtime::Result<(Handles, Answered)> {
        let Exchange {
            request,
            tls,
            response,
        } = exchange;
        let answered = Answered::new(self);
        let scheme = match tls {
            true => Scheme::Https,
            false => Scheme::Http,
        };
        let mut http = self.http();
        let request = http.new_incoming_request(scheme, request)?;
        let answer = answered.clone();
        let out = http.new_response_outparam_from_callback(move |given| match given {
            Ok(given) => answer.give(given, response),
            Err(code) => answer.refuse(NoResponse::Error(name(&code))),
        })?;
        Ok(((request, out), answered))
    }

    /// The same for a handler of WASI 0.3, which returns its response. Besides, the
    /// end of the request's body.
    pub(crate) fn take_in_0_3(
        &mut self,
        request: Request<RequestBody>,
    ) -> wasmtime::Result<(Resource<p3::Request>, End)> {
        let http = self.http();
        let (request, end) = p3::Request::from_http(http.hooks, request);
        Ok((http.table.push(request)?, Box::pin(end)))
    }

    pub(crate) fn answered(&self) -> Answered {
        Answered::new(self)
    }
}

/// What an error of the guest's is called, without its own words.
pub(crate) fn name(code: &impl std::fmt::Debug) -> String {
    let words = format!("{code:?}");
    let words = words.strip_prefix("ErrorCode::").unwrap_or(&words);
    words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}
