//! The span of a request, from when it comes in to its end.
//!
//! Owns what is said of it. What is called in it has spans below it, which the
//! runtime makes.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, StatusCode};
use odeon_authority::Principal;
use odeon_protocol::{Code, Generation, Serial, TraceParent};
use odeon_runtime::Trace;
use parking_lot::Mutex;

use super::Telemetry;
use super::record::{Hop, Span};
use crate::registry::{Loaded, MethodEntry};

/// A request that is traced. Dropping it ends its span; whoever has not said how
/// it ended has given it up.
pub(crate) struct Entry {
    telemetry: Telemetry,
    /// What is called in it is traced by this.
    trace: Trace,
    /// It is said already when it was over.
    ended: Option<Instant>,
    /// Taken away when it ends.
    span: Option<Span>,
}

impl Telemetry {
    /// Begins the span of a request, if it is traced: `said` is what its caller
    /// says of that.
    pub(crate) fn request(
        &self,
        said: Option<TraceParent>,
        serial: Option<Serial>,
        caller: &Principal,
        loaded: &Loaded,
        method: Option<&MethodEntry>,
    ) -> Option<Box<Entry>> {
        let (at, parent) = self.place(said)?;
        let name = method.map_or(loaded.name.as_str(), |method| &*method.path);
        let mut span = Span::new(Hop::Request, at, parent, name, Instant::now());
        span.is_for(loaded, method);
        span.put("odeon.principal.kind", caller.kind());
        if let Some(serial) = serial {
            span.put("odeon.serial", &serial.to_string());
        }
        Some(self.entry(span))
    }

    /// The same for a request over HTTP to this listener.
    pub(crate) fn http(
        &self,
        listener: &str,
        method: &Method,
        said: Option<TraceParent>,
    ) -> Option<WebEntry> {
        let (at, parent) = self.place(said)?;
        let method = known(method);
        let mut span = Span::new(Hop::Http, at, parent, method, Instant::now());
        span.put("odeon.principal.kind", "web");
        span.put("odeon.listener", listener);
        span.put("http.request.method", method);
        Some(WebEntry(Arc::new(Mutex::new(self.entry(span)))))
    }

    fn entry(&self, mut span: Span) -> Box<Entry> {
        span.code = Some(Code::Cancelled);
        Box::new(Entry {
            telemetry: self.clone(),
            trace: Trace::new(span.at, self.sink()),
            ended: None,
            span: Some(span),
        })
    }
}

/// The field of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// What these header fields say of a trace. More than one say nothing.
pub(crate) fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut said = headers.get_all(TRACEPARENT).iter();
    match (said.next(), said.next()) {
        (Some(said), None) => said.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// A method that has a name; others are whatever a client likes.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| method.as_str() == *known);
    known.unwrap_or("_OTHER")
}

impl Entry {
    /// What is called in it is traced by this.
    pub(crate) fn trace(&self) -> Option<Trace> {
        self.span.as_ref().map(|_| self.trace.clone())
    }

    /// It has ended so, in this generation.
    pub(crate) fn end(mut self, loaded: &Loaded, generation: Generation, code: Option<Code>) {
        if let Some(span) = &mut self.span {
            span.was_of(loaded, generation);
        }
        self.set_code(code);
    }

    /// It has come to no generation, and ends with this.
    pub(crate) fn refused(mut self, code: Code) {
        self.set_code(Some(code));
    }

    fn set_code(&mut self, code: Option<Code>) {
        if let Some(span) = &mut self.span {
            span.code = code;
        }
    }
}

impl Span {
    fn is_for(&mut self, loaded: &Loaded, method: Option<&MethodEntry>) {
        self.put("odeon.plugin", loaded.name.as_str());
        if let Some(method) = method {
            self.put_method(&method.path);
        }
    }

    fn was_of(&mut self, loaded: &Loaded, generation: Generation) {
        self.put_number("odeon.generation", generation.0);
        self.put("odeon.digest", &loaded.origin.digest.to_string());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            let ended = self.ended.unwrap_or_else(Instant::now);
            span.took = ended.saturating_duration_since(span.began);
            let left_out = self.trace.left_out();
            if left_out > 0 {
                span.put_number("odeon.spans.omitted", left_out);
            }
            self.telemetry.0.take(span);
        }
    }
}

/// The same for a request over HTTP: held by what answers the client, which
/// knows the status, and by what waits for the guest, which knows how that ended.
#[derive(Clone)]
pub(crate) struct WebEntry(Arc<Mutex<Box<Entry>>>);

impl WebEntry {
    pub(crate) fn trace(&self) -> Option<Trace> {
        self.0.lock().trace()
    }

    /// The request's number on the host's books.
    pub(crate) fn accepted(&self, serial: Serial) {
        if let Some(span) = &mut self.0.lock().span {
            span.put("odeon.serial", &serial.to_string());
        }
    }

    /// The guest has ended so.
    pub(crate) fn ended(
        &self,
        loaded: &Loaded,
        method: Option<&MethodEntry>,
        generation: Generation,
        code: Option<Code>,
    ) {
        let mut entry = self.0.lock();
        if let Some(span) = &mut entry.span {
            span.is_for(loaded, method);
            span.was_of(loaded, generation);
            if let Some(at) = &loaded.route {
                span.put("http.route", &at.path);
            }
        }
        entry.set_code(code);
        entry.ended = Some(Instant::now());
    }

    /// The client is told this: the guest's own answer, or that of the fault.
    pub(crate) fn answered(&self, status: StatusCode, refused: Option<Code>) {
        let mut entry = self.0.lock();
        if refused.is_some() {
            entry.set_code(refused);
        }
        if let Some(span) = &mut entry.span {
            span.put_number("http.response.status_code", status.as_u16().into());
        }
    }
}
