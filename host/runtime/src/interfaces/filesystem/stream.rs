//! Reading and writing a file through a stream, within limits.
//!
//! Owns the place of the file for as long as a stream keeps it open, asking at
//! every chunk whether it may be used, and the charge, made before the chunk is
//! passed on. An append is charged by the size the file has at that moment.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::Intent;
use super::disk::{Disk, Position};
use super::guard::Guard;
use super::opened::Opened;
use crate::unit::Unit;

/// A stream out of a file.
pub(super) struct Kept {
    pub(super) inner: DynInputStream,
    pub(super) guard: Guard,
    pub(super) _opened: Option<Arc<Opened>>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Kept {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Kept {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.guard.check_stream(Intent::Look)?;
        self.inner.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.guard.check_stream(Intent::Look)?;
        self.inner.blocking_read(size).await
    }

    fn skip(&mut self, count: usize) -> StreamResult<usize> {
        self.guard.check_stream(Intent::Look)?;
        self.inner.skip(count)
    }

    async fn blocking_skip(&mut self, count: usize) -> StreamResult<usize> {
        self.guard.check_stream(Intent::Look)?;
        self.inner.blocking_skip(count).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// A stream into a file.
pub(super) struct Metered {
    pub(super) inner: DynOutputStream,
    pub(super) file: Arc<File>,
    pub(super) position: Position,
    pub(super) disk: Arc<Disk>,
    pub(super) unit: Arc<Unit>,
    pub(super) guard: Guard,
    pub(super) _opened: Option<Arc<Opened>>,
    /// The file as the guest sees it.
    pub(super) path: Arc<str>,
    /// A stream that failed once takes nothing more.
    pub(super) failed: bool,
}

impl Metered {
    fn charge(&mut self, length: usize) -> StreamResult<()> {
        if self.failed {
            return Err(StreamError::Closed);
        }
        self.guard.check_stream(Intent::Change)?;
        let length = length as u64;
        if let Err(over) = self.disk.write(&self.file, self.position, length) {
            self.failed = true;
            self.unit.counters.hit(over.limit());
            self.unit.deny("fs", &self.path, &over.to_string());
            return Err(StreamError::LastOperationFailed(over.into()));
        }
        if let Position::At(offset) = &mut self.position {
            *offset = offset.saturating_add(length);
        }
        Ok(())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.inner.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.failed {
            Err(StreamError::Closed)
        } else {
            self.inner.check_write()
        }
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
