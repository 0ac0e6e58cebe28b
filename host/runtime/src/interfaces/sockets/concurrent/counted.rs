//! A guest's stream on its way to a connection, counted in between.
//!
//! What the guest writes goes through a channel of one piece: it is counted
//! before it enters, and nothing is read ahead of what the connection takes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use odeon_authority::Protocol;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::component::{
    Access, Destination, FutureConsumer, FutureReader, Source, StreamConsumer, StreamProducer, StreamReader,
    StreamResult,
};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

use super::super::HasSockets;
use crate::interfaces::egress::{Egress, Slot};
use crate::state::HostState;

/// The most bytes that are between the guest and its connection.
const PIECE: usize = 64 << 10;

type Store<'a> = Access<'a, HostState, HasSockets>;
type Outcome = Result<(), ErrorCode>;

/// The same stream, counted, and whether it ended because nothing is left.
pub(super) fn stream(
    store: &mut Store<'_>,
    data: StreamReader<u8>,
    egress: Arc<Egress>,
) -> wasmtime::Result<(StreamReader<u8>, Arc<AtomicBool>)> {
    let exhausted = Arc::new(AtomicBool::new(false));
    let (into, from) = mpsc::channel(1);
    let counter = Counter {
        egress,
        into: PollSender::new(into),
        exhausted: exhausted.clone(),
    };
    data.pipe(store.as_context_mut(), counter)?;
    Ok((
        StreamReader::new(store.as_context_mut(), Pieces(from))?,
        exhausted,
    ))
}

/// How the sending or receiving ended, with a denial if the stream was cut
/// off. The end comes when the engine has let go of the connection, so the
/// place is held until then: the streams may outlive their socket.
pub(super) fn outcome(
    store: &mut Store<'_>,
    sent: FutureReader<Outcome>,
    exhausted: Arc<AtomicBool>,
    slot: Option<Arc<Slot>>,
) -> wasmtime::Result<FutureReader<Outcome>> {
    let (tell, told) = oneshot::channel();
    sent.pipe(
        store.as_context_mut(),
        Verdict {
            tell: Some(tell),
            exhausted,
            _slot: slot,
        },
    )?;
    FutureReader::new(store.as_context_mut(), told)
}

struct Counter {
    egress: Arc<Egress>,
    into: PollSender<Bytes>,
    exhausted: Arc<AtomicBool>,
}

impl StreamConsumer<HostState> for Counter {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'_, HostState>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.into.poll_reserve(context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        let piece = Bytes::copy_from_slice(bytes.get(..PIECE).unwrap_or(bytes));
        if piece.is_empty() {
            // Asked only whether there is room.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        if self.egress.charge(piece.len(), Protocol::Tcp).is_err() {
            self.exhausted.store(true, Ordering::Release);
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        source.mark_read(piece.len());
        let taken = self.into.send_item(piece);
        Poll::Ready(Ok(if taken.is_ok() {
            StreamResult::Completed
        } else {
            StreamResult::Dropped
        }))
    }
}

struct Pieces(mpsc::Receiver<Bytes>);

impl StreamProducer<HostState> for Pieces {
    type Item = u8;
    type Buffer = BytesMut;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, HostState>,
        mut destination: Destination<'a, u8, BytesMut>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.0.poll_recv(context) {
            Poll::Ready(Some(piece)) => {
                destination.set_buffer(BytesMut::from(piece));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

struct Verdict {
    tell: Option<oneshot::Sender<Outcome>>,
    exhausted: Arc<AtomicBool>,
    _slot: Option<Arc<Slot>>,
}

impl FutureConsumer<HostState> for Verdict {
    type Item = Outcome;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, HostState>,
        mut source: Source<'_, Outcome>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut outcome = None;
        source.read(store, &mut outcome)?;
        let outcome = if self.exhausted.load(Ordering::Acquire) {
            Err(ErrorCode::AccessDenied)
        } else {
            outcome.unwrap_or(Ok(()))
        };
        if let Some(tell) = self.tell.take() {
            // Nobody waits for it any more if this fails.
            drop(tell.send(outcome));
        }
        Poll::Ready(Ok(()))
    }
}
