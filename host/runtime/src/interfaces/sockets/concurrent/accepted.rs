//! Connections that others open to a guest, on their way to it.
//!
//! Owns their places among the plugin's connections: each takes one before the
//! guest has it, and one for which there is none is closed. The socket that
//! listens keeps its own for as long as it may accept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use odeon_authority::Protocol;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime::component::{
    Access, Destination, Resource, Source, StreamConsumer, StreamProducer, StreamReader, StreamResult,
};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::sockets::TcpSocket;

use super::super::HasSockets;
use crate::interfaces::egress::{Egress, Route, Slot};
use crate::state::HostState;

/// The same stream, of connections that have a place.
pub(super) fn stream(
    store: &mut Access<'_, HostState, HasSockets>,
    sockets: StreamReader<Resource<TcpSocket>>,
    egress: Arc<Egress>,
    route: Route,
    slot: Option<Arc<Slot>>,
) -> wasmtime::Result<StreamReader<Resource<TcpSocket>>> {
    let (into, from) = mpsc::channel(1);
    let doorkeeper = Doorkeeper {
        egress,
        route,
        into: PollSender::new(into),
        _slot: slot,
    };
    sockets.pipe(store.as_context_mut(), doorkeeper)?;
    StreamReader::new(store.as_context_mut(), Accepted(from))
}

struct Doorkeeper {
    egress: Arc<Egress>,
    /// Where the guest listens.
    route: Route,
    into: PollSender<Resource<TcpSocket>>,
    _slot: Option<Arc<Slot>>,
}

impl StreamConsumer<HostState> for Doorkeeper {
    type Item = Resource<TcpSocket>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'_, HostState>,
        mut source: Source<'_, Self::Item>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.into.poll_reserve(context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        let mut socket = None;
        source.read(store.as_context_mut(), &mut socket)?;
        let Some(socket) = socket else {
            return Poll::Ready(Ok(StreamResult::Completed));
        };
        // Whoever comes where the guest may not listen any more, or where there
        // is no place for him, hears that the connection is closed.
        if self.route.check().is_err() {
            store.data_mut().table.delete(socket)?;
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let Some(slot) = self.egress.open(Protocol::Tcp) else {
            store.data_mut().table.delete(socket)?;
            return Poll::Ready(Ok(StreamResult::Completed));
        };
        self.egress.slots.keep(socket.rep(), slot);
        self.egress.slots.goes(socket.rep(), Some(self.route.clone()));
        let taken = self.into.send_item(socket);
        Poll::Ready(Ok(if taken.is_ok() {
            StreamResult::Completed
        } else {
            StreamResult::Dropped
        }))
    }
}

struct Accepted(mpsc::Receiver<Resource<TcpSocket>>);

impl StreamProducer<HostState> for Accepted {
    type Item = Resource<TcpSocket>;
    type Buffer = Option<Resource<TcpSocket>>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, HostState>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.0.poll_recv(context) {
            Poll::Ready(Some(socket)) => {
                destination.set_buffer(Some(socket));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
