//! Streams whose bytes are counted before they are sent.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use odeon_authority::Protocol;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::{Egress, Exhausted, Slot};

/// A connection of the host's own for a guest. It holds its place for as long
/// as it is open.
pub(crate) struct Metered<S> {
    inner: S,
    egress: Arc<Egress>,
    _slot: Arc<Slot>,
}

impl<S> Metered<S> {
    pub(crate) fn new(inner: S, egress: Arc<Egress>, slot: Arc<Slot>) -> Self {
        Metered {
            inner,
            egress,
            _slot: slot,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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
    open: bool,
}

impl MeteredOutput {
    /// Counts what goes through `stream` from now on.
    pub(crate) fn wrap(stream: &mut DynOutputStream, egress: Arc<Egress>) {
        let inner = mem::replace(stream, Box::new(Closed));
        *stream = Box::new(MeteredOutput {
            inner,
            egress,
            open: true,
        });
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for MeteredOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.open {
            return Err(StreamError::Closed);
        }
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
            self.inner.ready().await;
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

#[wasmtime_wasi::async_trait]
impl Pollable for Closed {
    async fn ready(&mut self) {}
}

/// A guest that asks for the error's code hears that access was denied.
fn to_io(exhausted: Exhausted) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, exhausted)
}
