//! The WASI context of one instance, made on first use.
//!
//! Owns what WASI's own crates are told: whom to ask about addresses. Of
//! variables and directories they are told nothing: those come from
//! `environment.rs` and `filesystem/preopens.rs`, and nothing is opened here.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::interfaces::egress::Egress;
use crate::interfaces::filesystem::{Disk, Filesystem, Places};
use crate::interfaces::sockets;
use crate::logs::{During, LineSplitter};
use crate::sinks::Stream;
use crate::state::HostState;
use crate::unit::Unit;
use crate::warrant::Present;

/// How much a guest may write to its output at a time. What one host function
/// does cannot be interrupted, so it is done in pieces.
const WRITE_CHUNK: usize = 64 << 10;

/// How many random bytes are made at a time.
const RANDOM: u64 = 1 << 20;

/// The WASI context and the lines that are being written.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    stdout: Arc<Mutex<LineSplitter>>,
    stderr: Arc<Mutex<LineSplitter>>,
    disk: Arc<Disk>,
    present: Arc<Present>,
    places: Places,
}

impl Wasi {
    pub(super) fn new(unit: &Arc<Unit>, egress: &Arc<Egress>, present: Arc<Present>, during: During) -> Self {
        let spec = &unit.spec;
        let line = usize::try_from(spec.limits.log_line.bytes()).unwrap_or(usize::MAX);
        let output = |stream| Arc::new(Mutex::new(LineSplitter::new(stream, line, during)));
        let (stdout, stderr) = (output(Stream::Stdout), output(Stream::Stderr));
        let mut builder = WasiCtx::builder();
        builder
            .stdout(GuestOutput {
                unit: unit.clone(),
                lines: stdout.clone(),
            })
            .stderr(GuestOutput {
                unit: unit.clone(),
                lines: stderr.clone(),
            })
            .max_random_size(spec.limits.host_call_bytes.bytes().min(RANDOM));
        sockets::guard(&mut builder, egress);
        let disk = Arc::new(Disk::new(&spec.limits));
        Wasi {
            ctx: builder.build(),
            stdout,
            stderr,
            disk,
            present,
            places: Places::default(),
        }
    }

    /// Begins a call: what it may write starts anew.
    pub(crate) fn begin(&self, during: During) {
        self.disk.begin();
        self.write_during(during);
    }

    /// From now on lines are of this.
    pub(crate) fn write_during(&self, during: During) {
        self.stdout.lock().write_during(during);
        self.stderr.lock().write_during(during);
    }

    /// The file system, beside the table of the same store.
    pub(super) fn filesystem<'s>(
        &'s mut self,
        unit: &'s Arc<Unit>,
        table: &'s mut ResourceTable,
    ) -> Filesystem<'s> {
        let wasi = WasiFilesystemCtxView {
            ctx: self.ctx.filesystem(),
            table,
        };
        Filesystem {
            wasi,
            unit,
            present: &self.present,
            disk: &self.disk,
            places: &mut self.places,
        }
    }

    /// Passes unfinished lines on, at the end of a call.
    pub(crate) fn finish_lines(&mut self, unit: &Unit) {
        self.stdout.lock().finish(unit);
        self.stderr.lock().finish(unit);
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let egress = self.egress().clone();
        let present = self.present().clone();
        let (unit, during) = (&self.unit, self.call.during());
        let wasi = self
            .wasi
            .get_or_insert_with(|| Box::new(Wasi::new(unit, &egress, present, during)));
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut self.table,
        }
    }
}

/// A guest's standard output or error: lines into the plugin's log.
#[derive(Clone)]
struct GuestOutput {
    unit: Arc<Unit>,
    lines: Arc<Mutex<LineSplitter>>,
}

impl GuestOutput {
    fn take(&self, bytes: &[u8]) {
        self.lines.lock().write(&self.unit, bytes);
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_CHUNK {
            return Err(StreamError::trap("cannot write more than `check-write` allows"));
        }
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_CHUNK)
    }
}

impl tokio::io::AsyncWrite for GuestOutput {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let piece = bytes.get(..WRITE_CHUNK).unwrap_or(bytes);
        self.take(piece);
        std::task::Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
