//! A connection, as the HTTP library reads and writes it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at once, in bytes.
const PIECE: usize = 8 * 1024;

pub(crate) struct Stream<S>(S);

impl<S> Stream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Stream(stream)
    }
}

impl<S: AsyncRead + Unpin> Stream<S> {
    /// Reads, and shows what was read.
    pub(crate) fn poll_read_seen(
        &mut self,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
        seen: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let room = piece.get_mut(..into.remaining().min(PIECE)).unwrap_or_default();
        let mut read = ReadBuf::uninit(room);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        seen(read.filled());
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_seen(cx, into, |_| ())
    }
}

impl<S: AsyncWrite + Unpin> Write for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
