//! What HTTP messages take in the host's memory, counted per store.
//!
//! Owns the count. What a guest adds is added to it at once; what went away in
//! the meantime is found by looking through the store's table, which is done
//! only when the count says that there may be too much.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::body::HostFutureTrailers;
use wasmtime_wasi_http::p2::types::{HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse};
use wasmtime_wasi_http::{FieldMap, FieldMapError, p3};

use super::{CHUNK, CHUNKS};

/// As many messages full of headers as one instance may keep.
const MESSAGES: u64 = 64;

/// What a header takes beside its text.
const HEADER: u64 = 80;

/// The most that the pieces of a body take that nobody has asked for yet: those
/// in the channel, and the one slot more that it always has.
pub(super) const BODY: u64 = (CHUNK * (CHUNKS + 1)) as u64;

/// The count of one store.
pub(super) struct Kept {
    most: u64,
    /// Beyond this the table is looked through.
    due: u64,
    counted: u64,
    responses: Arc<AtomicU64>,
}

impl Kept {
    pub(super) fn new(header_limit: u64) -> Self {
        let most = header_limit.saturating_mul(MESSAGES);
        Kept {
            most,
            due: most,
            counted: 0,
            responses: Arc::default(),
        }
    }

    /// What has arrived and was not asked for yet.
    pub(super) fn responses(&self) -> &Arc<AtomicU64> {
        &self.responses
    }

    /// Counts `more` bytes. With too many, the guest is ended: WASI has no
    /// error that all of these functions could give it.
    pub(super) fn add(&mut self, table: &mut ResourceTable, more: u64) -> Result<(), FieldMapError> {
        let arrived = self.responses.load(Ordering::Relaxed);
        self.counted = self.counted.saturating_add(more);
        if self.counted.saturating_add(arrived) <= self.due {
            return Ok(());
        }
        let held: u64 = table.iter_mut().map(|entry| weigh(entry)).sum();
        self.counted = held.saturating_add(more);
        if self.counted.saturating_add(arrived) > self.most {
            return Err(FieldMapError::TotalSizeTooBig);
        }
        // Looking again takes as long as what is held is large, so that much
        // has to come first.
        self.due = self.counted.saturating_add(self.most / 4).max(self.most);
        Ok(())
    }
}

/// A response that is on its way from its connection to the guest. As an
/// extension it goes with the response, and is gone when the guest has it.
#[derive(Clone)]
pub(super) struct Arrived(#[expect(dead_code, reason = "is there to be dropped")] Arc<Counted>);

struct Counted {
    responses: Arc<AtomicU64>,
    bytes: u64,
}

impl Arrived {
    pub(super) fn new(responses: Arc<AtomicU64>, headers: &HeaderMap) -> Self {
        let bytes = header_map(headers);
        responses.fetch_add(bytes, Ordering::Relaxed);
        Arrived(Arc::new(Counted { responses, bytes }))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.responses.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a header takes.
pub(super) fn header(name: usize, value: usize) -> u64 {
    (name as u64).saturating_add(value as u64).saturating_add(HEADER)
}

/// What a map of headers takes. Maps that share their memory count each: the
/// next change makes a copy.
pub(super) fn header_map(headers: &HeaderMap) -> u64 {
    let headers = headers.iter();
    headers
        .map(|(name, value)| header(name.as_str().len(), value.len()))
        .sum()
}

fn weigh(entry: &(dyn Any + Send)) -> u64 {
    if let Some(fields) = entry.downcast_ref::<FieldMap>() {
        return header_map(fields);
    }
    if let Some(request) = entry.downcast_ref::<HostOutgoingRequest>() {
        return header_map(&request.headers)
            + method(&request.method)
            + scheme(request.scheme.as_ref())
            + text(request.authority.as_deref())
            + text(request.path_with_query.as_deref())
            + body(request.body.is_some());
    }
    if let Some(response) = entry.downcast_ref::<HostOutgoingResponse>() {
        return header_map(&response.headers) + body(response.body.is_some());
    }
    if let Some(response) = entry.downcast_ref::<HostIncomingResponse>() {
        return header_map(&response.headers);
    }
    if let Some(HostFutureTrailers::Done(Ok(Some(trailers)))) = entry.downcast_ref() {
        return header_map(trailers);
    }
    if let Some(request) = entry.downcast_ref::<p3::Request>() {
        return header_map(&request.headers)
            + request.method.as_str().len() as u64
            + text(request.authority.as_ref().map(http::uri::Authority::as_str))
            + text(
                request
                    .path_with_query
                    .as_ref()
                    .map(http::uri::PathAndQuery::as_str),
            );
    }
    if let Some(response) = entry.downcast_ref::<p3::Response>() {
        return header_map(&response.headers);
    }
    0
}

fn method(method: &Method) -> u64 {
    match method {
        Method::Other(name) => name.len() as u64,
        _ => 0,
    }
}

fn scheme(scheme: Option<&Scheme>) -> u64 {
    match scheme {
        Some(Scheme::Other(name)) => name.len() as u64,
        _ => 0,
    }
}

fn text(text: Option<&str>) -> u64 {
    text.map_or(0, |text| text.len() as u64)
}

fn body(present: bool) -> u64 {
    if present { BODY } else { 0 }
}
