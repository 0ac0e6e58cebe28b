//! The streams between a guest and its connection, watched.
//!
//! What the guest sends goes through a channel of one piece: whether the
//! connection may be used is asked, and the piece counted, before it enters, and
//! nothing is read ahead of what the connection takes. What it receives comes
//! from the engine itself, so that the connection is let go of in the moment the
//! guest does not want the rest; that it may not be used any more ends the call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use odeon_authority::Protocol;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::component::{
    Access, Accessor, AccessorTask, Destination, FutureConsumer, FutureReader, Source, StreamConsumer,
    StreamProducer, StreamReader, StreamResult,
};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

use super::super::HasSockets;
use crate::interfaces::egress::{Egress, OnWatch, Route, Slot};
use crate::state::HostState;
use crate::stop::Stop;

/// The most bytes that are between the guest and its connection.
const PIECE: usize = 64 << 10;

type Store<'a> = Access<'a, HostState, HasSockets>;
type Outcome = Result<(), ErrorCode>;

/// What a guest sends, counted, and whether it was cut off.
pub(super) fn sent(
    store: &mut Store<'_>,
    data: StreamReader<u8>,
    egress: Arc<Egress>,
    route: Option<Route>,
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
    };
    let watcher = Watcher {
        egress,
        route,
        into: PollSender::new(into),
        cut_off: cut_off.clone(),
    };
    data.pipe(store.as_context_mut(), watcher)?;
    Ok((StreamReader::new(store.as_context_mut(), pieces)?, cut_off))
}

/// Watches over what a guest receives, until what is given here is dropped: a
/// guest that waits is woken, one that runs is asked about at the next tick.
pub(super) fn watch(store: &mut Store<'_>, route: Option<Route>) -> wasmtime::Result<Option<Watched>> {
    let Some(route) = route else { return Ok(None) };
    let (goes_on, over) = oneshot::channel();
    let on_watch = store.get().egress.watch(route.clone());
    store.spawn(Watch { route, over })?;
    Ok(Some(Watched {
        _goes_on: goes_on,
        _on_watch: on_watch,
    }))
}

/// Something that is received.
pub(super) struct Watched {
    _goes_on: oneshot::Sender<()>,
    _on_watch: OnWatch,
}

/// Ends the call in which a connection is lost that the guest may receive from.
struct Watch {
    route: Route,
    over: oneshot::Receiver<()>,
}

impl AccessorTask<HostState, HasSockets> for Watch {
    async fn run(self, _: &Accessor<HostState, HasSockets>) -> wasmtime::Result<()> {
        tokio::select! {
            biased;
            // Nothing is sent: it was dropped.
            _ = self.over => Ok(()),
            () = self.route.lost() => {
                self.route.tell();
                Err(Stop::ConnectionDenied.into())
            }
        }
    }
}

/// How the sending or receiving ended, with a denial if the stream was cut
/// off. The end comes when the engine has let go of the connection, so the
/// place is held until then: the streams may outlive their socket.
pub(super) fn outcome(
    store: &mut Store<'_>,
    sent: FutureReader<Outcome>,
    cut_off: Arc<AtomicBool>,
    slot: Option<Arc<Slot>>,
    watched: Option<Watched>,
) -> wasmtime::Result<FutureReader<Outcome>> {
    let (tell, told) = oneshot::channel();
    sent.pipe(
        store.as_context_mut(),
        Verdict {
            tell: Some(tell),
            cut_off,
            _slot: slot,
            _watched: watched,
        },
    )?;
    FutureReader::new(store.as_context_mut(), told)
}

struct Watcher {
    egress: Arc<Egress>,
    route: Option<Route>,
    into: PollSender<Bytes>,
    cut_off: Arc<AtomicBool>,
}

impl Watcher {
    /// Whether this many bytes may go on.
    fn lets_through(&self, bytes: usize) -> bool {
        let open = self.route.as_ref().is_none_or(|route| route.check().is_ok());
        open && self.egress.charge(bytes, Protocol::Tcp).is_ok()
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
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
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
    tell: Option<oneshot::Sender<Outcome>>,
    cut_off: Arc<AtomicBool>,
    _slot: Option<Arc<Slot>>,
    _watched: Option<Watched>,
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
        let outcome = if self.cut_off.load(Ordering::Acquire) {
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
