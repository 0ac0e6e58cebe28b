//! Streams of open connections: whether they may be used is asked each time,
//! and bytes are counted before they are sent.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use odeon_authority::Protocol;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::{Denied, Egress, Exhausted, Route, Slot};

/// A connection of the host's own for a guest. It holds its place for as long
/// as it is open.
pub(crate) struct Metered<S> {
    inner: S,
    egress: Arc<Egress>,
    route: Route,
    /// Wakes whoever waits for the peer when the way is lost.
    lost: Pin<Box<dyn Future<Output = ()> + Send>>,
    _slot: Arc<Slot>,
}

impl<S> Metered<S> {
    pub(crate) fn new(inner: S, egress: Arc<Egress>, route: Route, slot: Arc<Slot>) -> Self {
        let lost = route.clone();
        Metered {
            inner,
            egress,
            route,
            lost: Box::pin(async move { lost.lost().await }),
            _slot: slot,
        }
    }

    fn check(&self) -> io::Result<()> {
        self.route.check().map_err(|Denied| not_granted())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if read.is_pending() && self.lost.as_mut().poll(context).is_ready() {
            let route = self.route.clone();
            self.lost = Box::pin(async move { route.lost().await });
            self.check()?;
            // It came back meanwhile.
            context.waker().wake_by_ref();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        self.egress.charge(bytes.len(), Protocol::Http).map_err(to_io)?;
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        let sent = match &written {
            Poll::Ready(Ok(sent)) => *sent,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.egress.refund(bytes.len().saturating_sub(sent));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The output of a guest's own connection.
pub(crate) struct MeteredOutput {
    inner: DynOutputStream,
    egress: Arc<Egress>,
    route: Route,
    open: bool,
}

impl MeteredOutput {
    /// Counts what goes through `stream` from now on.
    pub(crate) fn wrap(stream: &mut DynOutputStream, egress: Arc<Egress>, route: Route) {
        let inner = mem::replace(stream, Box::new(Closed));
        *stream = Box::new(MeteredOutput {
            inner,
            egress,
            route,
            open: true,
        });
    }
}

/// The input of a guest's own connection.
pub(crate) struct GuardedInput {
    inner: DynInputStream,
    route: Route,
}

impl GuardedInput {
    /// Asks about `stream` from now on.
    pub(crate) fn wrap(stream: &mut DynInputStream, route: Route) {
        let inner = mem::replace(stream, Box::new(Closed));
        *stream = Box::new(GuardedInput { inner, route });
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for GuardedInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        check(&self.route)?;
        self.inner.read(size)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuardedInput {
    async fn ready(&mut self) {
        tokio::select! {
            () = self.inner.ready() => {}
            () = self.route.lost() => {}
        }
    }
}

fn check(route: &Route) -> StreamResult<()> {
    let checked = route.check();
    checked.map_err(|Denied| StreamError::LastOperationFailed(not_granted().into()))
}

/// A guest that asks for the error's code hears that access was denied.
fn not_granted() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, Denied)
}

#[wasmtime_wasi::async_trait]
impl OutputStream for MeteredOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.open {
            return Err(StreamError::Closed);
        }
        check(&self.route)?;
        if let Err(exhausted) = self.egress.charge(bytes.len(), Protocol::Tcp) {
            self.open = false;
            return Err(StreamError::LastOperationFailed(to_io(exhausted).into()));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        if self.open {
            self.inner.flush()
        } else {
            Err(StreamError::Closed)
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.open {
            check(&self.route)?;
            self.inner.check_write()
        } else {
            Err(StreamError::Closed)
        }
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for MeteredOutput {
    async fn ready(&mut self) {
        if self.open {
            tokio::select! {
                () = self.inner.ready() => {}
                () = self.route.lost() => {}
            }
        }
    }
}

/// What stands where a stream is being wrapped.
struct Closed;

#[wasmtime_wasi::async_trait]
impl OutputStream for Closed {
    fn write(&mut self, _: Bytes) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Err(StreamError::Closed)
    }
}

impl InputStream for Closed {
    fn read(&mut self, _: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Closed {
    async fn ready(&mut self) {}
}

/// A guest that asks for the error's code hears that access was denied.
fn to_io(exhausted: Exhausted) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, exhausted)
}
