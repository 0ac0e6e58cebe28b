//! The baseline: the server that the documentation of `wasmtime_wasi_http::p2`
//! shows, on the engine settings of the class *fast*.
//!
//! Its own `ProxyHandler` is another way to the same guest, for which the engine
//! has to have component concurrency on; this one does without.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use wasmtime::Store;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::GUEST;
use crate::bench::raw;
use crate::guests;

/// What the host allows a client too (`host/node/src/web/connection.rs`).
const MAX_HEAD: usize = 64 * 1024;
const MAX_FIELDS: usize = 100;

/// The server. It takes no more connections when it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let engine = raw::engine();
        let component = Component::new(&engine, guests::bytes(GUEST)).expect("the sample compiles");
        let mut linker = Linker::<Guest>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI");
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("its HTTP");
        let pre = linker.instantiate_pre(&component).expect("the sample links");
        let pre = Arc::new(ProxyPre::new(pre).expect("a handler"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("its address");
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, pre));
        Server {
            address,
            _accepting: accepting,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, pre: Arc<ProxyPre<Guest>>) {
    let tasks = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket");
        let (pre, calls) = (pre.clone(), tasks.clone());
        let service = service_fn(move |request| answer(pre.clone(), calls.clone(), request));
        tasks.spawn(async move {
            let mut connection = http1::Builder::new();
            connection
                .max_buf_size(MAX_HEAD)
                .max_headers(MAX_FIELDS)
                .header_read_timeout(None::<Duration>);
            // It ends when its client has had enough.
            connection
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

async fn answer(
    pre: Arc<ProxyPre<Guest>>,
    calls: TaskTracker,
    request: hyper::Request<Incoming>,
) -> wasmtime::Result<hyper::Response<HyperOutgoingBody>> {
    let mut store = Store::new(pre.engine(), Guest::default());
    store.set_epoch_deadline(u64::MAX / 2);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let request = store
        .data_mut()
        .http()
        .new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(sender)?;
    calls.spawn(async move {
        let proxy = pre.instantiate_async(&mut store).await.expect("an instance");
        let handler = proxy.wasi_http_incoming_handler();
        handler
            .call_handle(store, request, out)
            .await
            .expect("it answers");
    });
    Ok(receiver.await.expect("a response").expect("no error"))
}

/// What the store of one request holds.
#[derive(Default)]
struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: NoRequests,
}

/// The component sends none.
#[derive(Default)]
struct NoRequests;

type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, End), Error>> + Send>;
type End = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NoRequests {
    fn send_request(&mut self, _: http::Request<WasiBody>, _: Option<RequestOptions>, _: End) -> Sent {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}
