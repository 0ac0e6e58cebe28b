//! `wasi:http`, of WASI 0.2 and 0.3: requests of guests, and those that guests
//! answer (`incoming`).
//!
//! Owns how a request leaves the host: asked of [`Egress`] by its host, then
//! by the very address it is sent to, on a connection of its own, counted and
//! bounded. The host follows no redirect; a guest that does asks anew.

mod body;
mod connect;
mod error;
mod exchange;
mod guard;
mod incoming;
mod kept;

use std::sync::Arc;

use http::Request;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    RequestOptions, Result, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use self::exchange::{Exchange, exchange};
pub(crate) use self::incoming::{Answered, NoResponse, name};
pub use self::incoming::{BrokenOff, Exchange as Incoming, RequestBody, RequestBodyError, ResponseBody};
use self::kept::Kept;
use crate::interfaces::egress::Egress;
use crate::link::Flavour;
use crate::state::HostState;

/// The largest piece of a request's body that is kept of WASI 0.2, and how many
/// beside the one that is being sent.
const CHUNK: usize = 16 << 10;
const CHUNKS: usize = 1;

/// The same for WASI 0.3, where nothing is kept before a request is sent.
const CHUNK_0_3: usize = 64 << 10;

/// What a store needs for HTTP.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    sender: Sender,
}

impl Http {
    fn new(egress: Arc<Egress>) -> Self {
        let header_bytes = egress.unit().spec.limits.header_bytes.bytes();
        let limit = usize::try_from(header_bytes).unwrap_or(usize::MAX);
        let mut ctx = WasiHttpCtx::new();
        // Counts what a header takes in memory, where the limit counts its
        // text. Twice the limit has room for the limit in ordinary headers and
        // bounds what many short ones take; the request itself is counted
        // exactly when it is sent.
        ctx.set_field_size_limit(limit.saturating_mul(2));
        Http {
            ctx,
            sender: Sender {
                egress,
                kept: Kept::new(header_bytes),
            },
        }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let egress = self.egress().clone();
        let http = self.http.get_or_insert_with(|| Box::new(Http::new(egress)));
        WasiHttpCtxView {
            hooks: &mut http.sender,
            table: &mut self.table,
            ctx: &mut http.ctx,
        }
    }
}

/// Adds the interfaces of one flavour.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    if flavour == Flavour::Concurrent {
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
    }
    guard::add_to_linker(linker, flavour)
}

/// Sends the requests of one store.
struct Sender {
    egress: Arc<Egress>,
    kept: Kept,
}

/// The end of something that goes on after the response has begun.
type End = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for Sender {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: End,
    ) -> Box<dyn Future<Output = Result<Exchange>> + Send> {
        Box::new(exchange(
            self.egress.clone(),
            request,
            options.unwrap_or_default(),
            self.kept.responses().clone(),
        ))
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_0_3
    }
}
