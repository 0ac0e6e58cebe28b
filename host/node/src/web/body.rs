//! The body of a request, on its way to the guest.
//!
//! Owns its limits: how long it is, and how slowly it may come. Nothing is read
//! of it that the guest does not ask for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use odeon_authority::Limits;
use odeon_protocol::Fault;
use odeon_runtime::{Plugin, RequestBodyError};

use super::pace::Patience;
use super::refusal::Refusal;

/// A body within its limits.
pub(super) struct LimitedBody {
    incoming: Incoming,
    plugin: Plugin,
    left: u64,
    patience: Patience,
    trouble: Trouble,
    ended: bool,
}

/// What went wrong with a body, for whoever answers the client in the end.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<AtomicU8>);

impl Trouble {
    const TOO_LONG: u8 = 1;
    const TOO_SLOW: u8 = 2;
    const TRAILERS: u8 = 3;

    fn set(&self, what: u8) {
        self.0.store(what, Ordering::Relaxed);
    }

    /// What the client is told when the guest has no answer: the fault, unless
    /// the body was the reason.
    pub(super) fn explain(&self, fault: Fault, limits: &Limits) -> Refusal {
        match self.0.load(Ordering::Relaxed) {
            Trouble::TOO_LONG => too_long(limits.http_body.bytes()),
            Trouble::TRAILERS => trailers_too_long(limits.header_bytes.bytes()),
            Trouble::TOO_SLOW => Refusal::bad(
                StatusCode::REQUEST_TIMEOUT,
                "expected a body of at least 1 KiB a second, found one that comes more slowly",
            ),
            _ => fault.into(),
        }
    }
}

/// A body that is longer than it may be.
pub(super) fn too_long(limit: u64) -> Refusal {
    Refusal::too_large(
        StatusCode::PAYLOAD_TOO_LARGE,
        "http-body",
        format!("expected a body of at most {limit} bytes (limits.http-body), found a longer one"),
    )
}

fn trailers_too_long(limit: u64) -> Refusal {
    Refusal::too_large(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "header-bytes",
        format!("expected trailers of at most {limit} bytes (limits.header-bytes), found longer ones"),
    )
}

impl LimitedBody {
    pub(super) fn new(incoming: Incoming, plugin: Plugin, stall: Duration) -> Self {
        let left = plugin.spec().limits.http_body.bytes();
        LimitedBody {
            incoming,
            plugin,
            left,
            patience: Patience::new(stall),
            trouble: Trouble::default(),
            ended: false,
        }
    }

    pub(super) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, RequestBodyError> {
        let limits = &self.plugin.spec().limits;
        if let Some(data) = frame.data_ref() {
            self.patience.moved(data.len());
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                let most = limits.http_body.bytes();
                self.trouble.set(Trouble::TOO_LONG);
                self.plugin.refused(&too_long(most).fault);
                return Err(RequestBodyError::TooLong(most));
            };
            self.left = left;
        }
        if let Some(trailers) = frame.trailers_ref() {
            let most = limits.header_bytes.bytes();
            if field_bytes(trailers) > most {
                self.trouble.set(Trouble::TRAILERS);
                self.plugin.refused(&trailers_too_long(most).fault);
                return Err(RequestBodyError::TrailersTooLong(most));
            }
        }
        Ok(frame)
    }
}

/// The bytes of names and values.
pub(super) fn field_bytes(fields: &HeaderMap) -> u64 {
    fields
        .iter()
        .map(|(name, value)| (name.as_str().len() as u64).saturating_add(value.len() as u64))
        .sum()
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.patience.poll_wait(cx));
                self.ended = true;
                self.trouble.set(Trouble::TOO_SLOW);
                return Poll::Ready(Some(Err(RequestBodyError::TooSlow)));
            }
        };
        let frame = frame.map(|frame| frame.map_err(|_| RequestBodyError::Incomplete));
        let taken = frame.map(|frame| frame.and_then(|frame| self.take(frame)));
        self.ended = !matches!(taken, Some(Ok(_)));
        Poll::Ready(taken)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
