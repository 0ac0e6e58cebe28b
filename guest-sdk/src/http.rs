//! A small HTTP client over `wasi:http`, for plugins that fetch something and go on.
//!
//! One request at a time, the whole body in memory, bounded. Redirects are not followed: where they point has to be
//! granted like any other address, so the plugin decides. The host resolves names, checks the address against the
//! grants and speaks TLS.

use std::fmt;

use crate::bindings::imports::wasi::http::outgoing_handler;
pub use crate::bindings::imports::wasi::http::types::{ErrorCode, Method};
use crate::bindings::imports::wasi::http::types::{
    Fields, IncomingBody, IncomingResponse, OutgoingBody, OutgoingRequest, Scheme,
};
use crate::bindings::imports::wasi::io::streams::StreamError;

/// Bytes of a response's body that are read when [`Request::limit`] says nothing.
pub const DEFAULT_LIMIT: usize = 8 * 1024 * 1024;

/// Bytes asked for at a time.
const READ: u64 = 64 * 1024;

/// The most that `wasi:io` writes in one call.
const WRITE: usize = 4096;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    limit: usize,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code. Any: an error status is a response, not an [`Error`].
    pub status: u16,
    /// The header fields in the order they came. Values are bytes, as HTTP has them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug)]
pub enum Error {
    /// The address is not `http://…` or `https://…` with a host, or no valid request can be made from it.
    Url(String),
    /// A header field that HTTP or the host does not allow; its name.
    Header(String),
    /// No grant of the plugin covers the address.
    Denied,
    /// The body is longer than the limit, which is carried here in bytes.
    TooLarge(usize),
    /// The exchange failed on the way.
    Failed(ErrorCode),
    /// The connection ended inside a body.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                f,
                "`{url}` is not an address that can be requested: expected http(s)://host/path"
            ),
            Self::Header(name) => write!(f, "the header field `{name}` is not allowed"),
            Self::Denied => f.write_str("no grant of the plugin covers the address"),
            Self::TooLarge(limit) => write!(f, "the body is longer than {limit} bytes"),
            Self::Failed(code) => write!(f, "the exchange failed: {}", words(code)),
            Self::Interrupted => f.write_str("the connection ended inside the body"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(code) => Some(code),
            _ => None,
        }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Self::Denied,
            code => Self::Failed(code),
        }
    }
}

impl Request {
    /// A request with that method to that address.
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            limit: DEFAULT_LIMIT,
        }
    }

    /// `GET` that address.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url)
    }

    /// `POST` that body to that address.
    #[must_use]
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Method::Post, url).body(body)
    }

    /// Adds a header field, after those of the same name.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Reads at most that many bytes of the response's body; [`Error::TooLarge`] if there are more.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Sends the request and waits for the whole response, at most until the call's deadline.
    ///
    /// # Errors
    /// See [`Error`]. When it is not [`Error::Denied`], [`Error::Url`] or [`Error::Header`], the other side may have
    /// seen the request.
    pub fn send(self) -> Result<Response, Error> {
        let invalid = |()| Error::Url(self.url.clone());
        let (scheme, authority, path) = split(&self.url).ok_or(()).map_err(invalid)?;
        let fields = Fields::new();
        for (name, value) in &self.headers {
            fields
                .append(name, value)
                .map_err(|_| Error::Header(name.clone()))?;
        }
        let request = OutgoingRequest::new(fields);
        request.set_method(&self.method).map_err(invalid)?;
        request.set_scheme(Some(&scheme)).map_err(invalid)?;
        request.set_authority(Some(authority)).map_err(invalid)?;
        request.set_path_with_query(Some(&path)).map_err(invalid)?;
        let outgoing = request.body().map_err(|()| Error::Interrupted)?;

        let pending = outgoing_handler::handle(request, None)?;
        write_body(outgoing, &self.body)?;
        pending.subscribe().block();
        // The future is ready and is read once, so both outer layers hold a value.
        let response = pending.get().and_then(Result::ok).ok_or(Error::Interrupted)??;
        read_response(&response, self.limit)
    }
}

/// The case of an error code as plain words, or the host's own words where it has any.
fn words(code: &ErrorCode) -> String {
    if let ErrorCode::InternalError(Some(text)) = code {
        return text.clone();
    }
    let name = format!("{code:?}");
    let case = name
        .rsplit_once("ErrorCode::")
        .map_or(name.as_str(), |(_, case)| case);
    let mut words = String::new();
    for letter in case.chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Scheme, authority and path with query; `None` if there is no host.
fn split(url: &str) -> Option<(Scheme, &str, String)> {
    let (scheme, rest) = match url.split_once("://")? {
        ("http", rest) => (Scheme::Http, rest),
        ("https", rest) => (Scheme::Https, rest),
        _ => return None,
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (authority, path) = rest
        .find(['/', '?'])
        .and_then(|end| rest.split_at_checked(end))
        .unwrap_or((rest, ""));
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    (!authority.is_empty()).then_some((scheme, authority, path))
}

fn write_body(outgoing: OutgoingBody, body: &[u8]) -> Result<(), Error> {
    if !body.is_empty() {
        let stream = outgoing.write().map_err(|()| Error::Interrupted)?;
        for chunk in body.chunks(WRITE) {
            // A server may answer without reading to the end: what it says is then in the response.
            if stream.blocking_write_and_flush(chunk).is_err() {
                return Ok(());
            }
        }
    }
    OutgoingBody::finish(outgoing, None).map_err(Error::from)
}

fn read_response(response: &IncomingResponse, limit: usize) -> Result<Response, Error> {
    let status = response.status();
    let headers = response.headers().entries();
    let incoming = response.consume().map_err(|()| Error::Interrupted)?;
    let body = read_body(&incoming, limit)?;
    Ok(Response {
        status,
        headers,
        body,
    })
}

fn read_body(incoming: &IncomingBody, limit: usize) -> Result<Vec<u8>, Error> {
    let stream = incoming.stream().map_err(|()| Error::Interrupted)?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(bytes) if body.len() + bytes.len() > limit => return Err(Error::TooLarge(limit)),
            Ok(bytes) => body.extend_from_slice(&bytes),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(_)) => return Err(Error::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests;
