//! The body of a response, as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::Error;

use super::error::hyper_error;
use super::exchange::{header_bytes, narrow};
use crate::interfaces::egress::Egress;

/// A response's body. Nothing is read ahead of the guest.
pub(super) struct ResponseBody {
    incoming: Incoming,
    between: Option<Duration>,
    /// Runs while the guest waits for a piece, not while it does other things.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Whose limits hold for what comes.
    egress: Arc<Egress>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, between: Option<Duration>, egress: Arc<Egress>) -> Self {
        ResponseBody {
            incoming,
            between,
            waiting: None,
            egress,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| {
                let unit = this.egress.unit();
                let frame = frame.map_err(|error| hyper_error(&error, unit))?;
                let limit = unit.spec.limits.header_bytes.bytes();
                if frame
                    .trailers_ref()
                    .is_some_and(|trailers| header_bytes(trailers) > limit)
                {
                    unit.counters.hit("header-bytes");
                    return Err(Error::HttpResponseTrailerSectionSize(Some(narrow(limit))));
                }
                Ok(frame)
            }));
        }
        let Some(between) = this.between else {
            return Poll::Pending;
        };
        ready!(
            this.waiting
                .get_or_insert_with(|| Box::pin(sleep(between)))
                .as_mut()
                .poll(context)
        );
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
