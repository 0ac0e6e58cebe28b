//! The streams between a guest and its connection, watched in between.
//!
//! What goes either way goes through a channel of one piece: whether the
//! connection may be used is asked before it enters, what the guest sends is
//! counted, and nothing is read ahead of what the other side takes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use odeon_authority::Protocol;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::component::{
    Access, Destination, FutureConsumer, FutureReader, Source, StreamConsumer, StreamProducer, StreamReader,
    StreamResult,
};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

use super::super::HasSockets;
use crate::interfaces::egress::{Egress, Route, Slot};
use crate::state::HostState;

/// The most bytes that are between the guest and its connection.
const PIECE: usize = 64 << 10;

type Store<'a> = Access<'a, HostState, HasSockets>;
type Outcome = Result<(), ErrorCode>;

/// Who is told how the sending or receiving ended, once.
#[derive(Clone)]
pub(super) struct Tell(Arc<Mutex<Option<oneshot::Sender<Outcome>>>>);

impl Tell {
    /// And what he hears it by.
    pub(super) fn new() -> (Self, oneshot::Receiver<Outcome>) {
        let (tell, told) = oneshot::channel();
        (Tell(Arc::new(Mutex::new(Some(tell)))), told)
    }

    fn ended(&self, outcome: Outcome) {
        if let Some(tell) = self.0.lock().take() {
            // Nobody waits for it any more if this fails.
            drop(tell.send(outcome));
        }
    }
}

/// What a guest sends, counted, and whether it was cut off.
pub(super) fn sent(
    store: &mut Store<'_>,
    data: StreamReader<u8>,
    egress: Arc<Egress>,
    route: Option<Route>,
) -> wasmtime::Result<(StreamReader<u8>, Arc<AtomicBool>)> {
    watched(store, data, Some(egress), route, None)
}

/// What a guest is sent, and whether it was cut off. If the guest does not want
/// the rest, or is not to have it, that is the end of receiving: the peer may
/// never say another word.
pub(super) fn received(
    store: &mut Store<'_>,
    data: StreamReader<u8>,
    route: Option<Route>,
    tell: Tell,
) -> wasmtime::Result<(StreamReader<u8>, Arc<AtomicBool>)> {
    watched(store, data, None, route, Some(tell))
}

fn watched(
    store: &mut Store<'_>,
    data: StreamReader<u8>,
    counted: Option<Arc<Egress>>,
    route: Option<Route>,
    tell: Option<Tell>,
) -> wasmtime::Result<(StreamReader<u8>, Arc<AtomicBool>)> {
    let cut_off = Arc::new(AtomicBool::new(false));
    let (into, from) = mpsc::channel(1);
    let lost = route.clone();
    let pieces = Pieces {
        from,
        lost: Box::pin(async move {
            match lost {
                Some(route) => route.lost().await,
                None => std::future::pending().await,
            }
        }),
        cut_off: cut_off.clone(),
        tell,
    };
    let watcher = Watcher {
        counted,
        route,
        into: PollSender::new(into),
        cut_off: cut_off.clone(),
    };
    data.pipe(store.as_context_mut(), watcher)?;
    Ok((StreamReader::new(store.as_context_mut(), pieces)?, cut_off))
}

/// How the sending or receiving ended, with a denial if the stream was cut
/// off. The end comes when the engine has let go of the connection, so the
/// place is held until then: the streams may outlive their socket.
pub(super) fn outcome(
    store: &mut Store<'_>,
    sent: FutureReader<Outcome>,
    cut_off: Arc<AtomicBool>,
    slot: Option<Arc<Slot>>,
    (tell, told): (Tell, oneshot::Receiver<Outcome>),
) -> wasmtime::Result<FutureReader<Outcome>> {
    sent.pipe(
        store.as_context_mut(),
        Verdict {
            tell,
            cut_off,
            _slot: slot,
        },
    )?;
    FutureReader::new(store.as_context_mut(), told)
}

struct Watcher {
    /// Who counts, if anybody does.
    counted: Option<Arc<Egress>>,
    route: Option<Route>,
    into: PollSender<Bytes>,
    cut_off: Arc<AtomicBool>,
}

impl Watcher {
    /// Whether this many bytes may go on.
    fn lets_through(&self, bytes: usize) -> bool {
        let open = self.route.as_ref().is_none_or(|route| route.check().is_ok());
        let counted = |egress: &Arc<Egress>| egress.charge(bytes, Protocol::Tcp).is_ok();
        open && self.counted.as_ref().is_none_or(counted)
    }
}

impl StreamConsumer<HostState> for Watcher {
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
        if !self.lets_through(piece.len()) {
            self.cut_off.store(true, Ordering::Release);
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

struct Pieces {
    from: mpsc::Receiver<Bytes>,
    /// Wakes whoever waits for the next piece when the way is lost.
    lost: Pin<Box<dyn Future<Output = ()> + Send>>,
    cut_off: Arc<AtomicBool>,
    /// Who is told when this is dropped before the other side has ended; nobody
    /// where the other side ends by itself then.
    tell: Option<Tell>,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(tell) = &self.tell {
            tell.ended(match self.cut_off.load(Ordering::Acquire) {
                true => Err(ErrorCode::AccessDenied),
                false => Ok(()),
            });
        }
    }
}

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
        match self.from.poll_recv(context) {
            Poll::Ready(Some(piece)) => {
                destination.set_buffer(BytesMut::from(piece));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => {
                // How the other side ended, it tells itself.
                if !self.cut_off.load(Ordering::Acquire) {
                    self.tell = None;
                }
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Pending if self.lost.as_mut().poll(context).is_ready() => {
                self.cut_off.store(true, Ordering::Release);
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

struct Verdict {
    tell: Tell,
    cut_off: Arc<AtomicBool>,
    _slot: Option<Arc<Slot>>,
}

impl FutureConsumer<HostState> for Verdict {
    type Item = Outcome;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, HostState>,
        mut source: Source<'_, Outcome>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut outcome = None;
        source.read(store, &mut outcome)?;
        let outcome = if self.cut_off.load(Ordering::Acquire) {
            Err(ErrorCode::AccessDenied)
        } else {
            outcome.unwrap_or(Ok(()))
        };
        self.tell.ended(outcome);
        Poll::Ready(Ok(()))
    }
}
