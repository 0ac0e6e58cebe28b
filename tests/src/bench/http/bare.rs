//! The baselines: the same connections, and the guest behind them reached in the
//! two ways that `wasmtime_wasi_http` knows.
//!
//! Its `ProxyHandler` is what `wasmtime serve` is made of; the engine has to have
//! component concurrency on for it. The server that the documentation of its
//! module `p2` shows does without, on the engine settings of the class *fast*.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use wasmtime::component::{Component, GuestTaskId, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
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

/// The way to the guest.
#[derive(Clone)]
enum Way {
    Handler(ProxyHandler<Fresh>),
    Documented(Arc<ProxyPre<Guest>>, TaskTracker),
}

impl Server {
    /// With the engine's own proxy handler, an instance for each request.
    pub(super) async fn handler() -> Self {
        let pre = pre(&raw::engine_with(true));
        Server::start(Way::Handler(ProxyHandler::new(Fresh(pre)))).await
    }

    /// As the documentation shows it.
    pub(super) async fn documented() -> Self {
        let pre = Arc::new(pre(&raw::engine()));
        Server::start(Way::Documented(pre, TaskTracker::new())).await
    }

    async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("its address");
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, way));
        Server {
            address,
            _accepting: accepting,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn pre(engine: &Engine) -> ProxyPre<Guest> {
    let component = Component::new(engine, guests::bytes(GUEST)).expect("the sample compiles");
    let mut linker = Linker::<Guest>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI");
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("its HTTP");
    let pre = linker.instantiate_pre(&component).expect("the sample links");
    ProxyPre::new(pre).expect("a handler")
}

fn store(pre: &ProxyPre<Guest>) -> Store<Guest> {
    let mut store = Store::new(pre.engine(), Guest::default());
    store.set_epoch_deadline(u64::MAX / 2);
    store
}

async fn accept(listener: TcpListener, way: Way) {
    let tasks = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket");
        let way = way.clone();
        let service = service_fn(move |request| answer(way.clone(), request));
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
    way: Way,
    request: hyper::Request<Incoming>,
) -> wasmtime::Result<hyper::Response<HyperOutgoingBody>> {
    let (pre, calls) = match way {
        Way::Documented(pre, calls) => (pre, calls),
        Way::Handler(handler) => {
            let body = |body: Incoming| body.map_err(|_| Error::ConnectionTerminated).boxed_unsync();
            return handler.handle((), request.map(body)).await;
        }
    };
    let mut store = store(&pre);
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

/// Has every request answered by an instance of its own.
struct Fresh(ProxyPre<Guest>);

impl HandlerState for Fresh {
    type StoreData = Guest;
    type WorkerExpiration = WhenIdle;
    type WorkerState = Once;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, WhenIdle, Once>> {
        let mut store = store(&self.0);
        let proxy = self.0.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P2(proxy),
            view: Guest::http,
            expiration: WhenIdle,
            state: Once,
        })
    }
}

/// An instance goes when it has answered.
struct WhenIdle;

impl WorkerExpiration for WhenIdle {
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>, status: WorkerStatus, _: Instant) -> Poll<()> {
        match status {
            WorkerStatus::Idle => Poll::Ready(()),
            WorkerStatus::Requests | WorkerStatus::PostReturn => Poll::Pending,
        }
    }
}

/// One request for each instance.
struct Once;

impl WorkerState for Once {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, _: usize, total: usize) -> ShouldAccept {
        match total {
            0 => ShouldAccept::Yes,
            _ => ShouldAccept::Never,
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<Guest>, result: wasmtime::Result<()>) {
        result.expect("it answers");
        drop(store);
    }
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
