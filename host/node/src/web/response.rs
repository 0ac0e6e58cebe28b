//! The response of a guest, on its way to the client.
//!
//! Owns what becomes of the call when the client goes, and of the response when
//! the call fails: what a guest broke off never looks whole. Nothing is asked of
//! the guest before the client has read what came before it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use odeon_protocol::{Fault, Serial};
use odeon_rmi::CancelReason;
use odeon_runtime::{BrokenOff, ResponseBody};
use tokio::sync::oneshot;

use super::pace::Pace;
use crate::host::Inner;

/// How the call of a request ended, when it has.
pub(super) type Ended = oneshot::Receiver<Result<(), Fault>>;

/// Cancels a request whose client goes before the response is complete.
pub(super) struct Abandoned {
    inner: Arc<Inner>,
    serial: Serial,
    complete: bool,
}

impl Abandoned {
    pub(super) fn new(inner: Arc<Inner>, serial: Serial) -> Self {
        Abandoned {
            inner,
            serial,
            complete: false,
        }
    }

    /// The client has all that it is to have: what the guest does now it may.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if !self.complete {
            // One that has ended meanwhile cannot be cancelled, nor need be.
            drop(
                self.inner
                    .requests
                    .cancel(&self.serial, CancelReason::Disconnected),
            );
        }
    }
}

/// A response's body.
pub(super) struct GuestBody {
    /// Given up when there is no more of it.
    body: Option<ResponseBody>,
    /// What comes after it, and says that it is whole.
    trailers: Option<Frame<Bytes>>,
    /// What is left of the length that it said.
    left: Option<u64>,
    ended: Ended,
    abandoned: Abandoned,
    pace: Pace,
}

impl GuestBody {
    /// The response as it is sent.
    pub(super) fn of(
        response: Response<ResponseBody>,
        method: &Method,
        ended: Ended,
        abandoned: Abandoned,
        pace: &Pace,
    ) -> Response<Self> {
        let said = response.headers().get(CONTENT_LENGTH);
        let left = said.and_then(|length| length.to_str().ok()?.parse().ok());
        let without = *method == Method::HEAD
            || matches!(
                response.status(),
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        response.map(|body| {
            let none = without || left == Some(0) || body.is_end_stream();
            let mut body = GuestBody {
                body: Some(body),
                trailers: None,
                left,
                ended,
                abandoned,
                pace: pace.clone(),
            };
            if none {
                body.complete();
            }
            body
        })
    }

    fn complete(&mut self) {
        self.abandoned.complete();
        self.pace.complete();
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(body) = &mut self.body {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_trailers() => {
                    self.body = None;
                    self.trailers = Some(frame);
                }
                Some(Ok(frame)) => {
                    let sent = frame.data_ref().map_or(0, Bytes::len) as u64;
                    self.left = self.left.map(|left| left.saturating_sub(sent));
                    if self.left == Some(0) {
                        self.complete();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                // A guest of WASI 0.3 ends when its body is gone.
                None => self.body = None,
            }
        }
        // A body ends in the same way when its guest is stopped in the middle of
        // it. How the call ended says which it was.
        if self.abandoned.complete {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut self.ended).poll(cx)) {
            Ok(Ok(())) => {
                self.complete();
                Poll::Ready(self.trailers.take().map(Ok))
            }
            _ => Poll::Ready(Some(Err(BrokenOff))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.abandoned.complete && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
