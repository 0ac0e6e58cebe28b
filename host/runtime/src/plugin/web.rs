//! A plugin that answers HTTP requests.
//!
//! Owns which export does, and its call. Everything around the call, from its
//! place in the gate to its deadline, is that of any other: see `drive`.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, ComponentExportIndex, Resource, TypedFunc};
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use wasmtime_wasi_http::p3::bindings::http::types::{ErrorCode, Request, Response};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView as _};

use super::{MethodId, Plugin};
use crate::describe::Export;
use crate::instance::Instance;
use crate::interfaces::http::{Answered, Incoming, NoResponse, name};
use crate::state::HostState;

/// The export of one plugin generation that answers HTTP requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebHandler {
    pub(super) method: MethodId,
    version: Version,
}

/// The versions of `wasi:http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// `wasi:http/incoming-handler` of WASI 0.2.
    V0_2,
    /// `wasi:http/handler` of WASI 0.3.
    V0_3,
}

impl WebHandler {
    /// The number of the method that it is among those of the plugin.
    pub fn method(self) -> MethodId {
        self.method
    }
}

impl Plugin {
    /// What answers HTTP requests, if the component exports that: of the two
    /// versions the newer one.
    pub fn web_handler(&self) -> Option<WebHandler> {
        let exports = || self.description().exports.iter().enumerate();
        let find = |interface: &str, version: Version| {
            let (number, _) = exports().find(|(_, export)| is_handler(export, interface))?;
            Some(WebHandler {
                method: MethodId(number),
                version,
            })
        };
        find("wasi:http/handler@0.3.", Version::V0_3)
            .or_else(|| find("wasi:http/incoming-handler@0.2.", Version::V0_2))
    }
}

fn is_handler(export: &Export, interface: &str) -> bool {
    let named = export.interface.as_deref();
    named.is_some_and(|name| name.starts_with(interface)) && &*export.function == "handle"
}

type HandleOf0_2 = TypedFunc<(Resource<HostIncomingRequest>, Resource<HostResponseOutparam>), ()>;
type HandleOf0_3 = TypedFunc<(Resource<Request>,), (Result<Resource<Response>, ErrorCode>,)>;

impl Instance {
    /// Has the guest answer a request, until it has ended.
    pub(super) async fn answer(
        &mut self,
        handler: WebHandler,
        index: &ComponentExportIndex,
        exchange: Incoming,
    ) -> wasmtime::Result<Vec<u8>> {
        self.store.set_epoch_deadline(1);
        let function = self.function(index)?;
        let answered = match handler.version {
            Version::V0_2 => {
                let handle: HandleOf0_2 = function.typed(&self.store)?;
                let (handles, answered) = self.store.data_mut().take_in(exchange)?;
                handle.call_async(&mut self.store, handles).await?;
                answered
            }
            Version::V0_3 => {
                let handle: HandleOf0_3 = function.typed(&self.store)?;
                let answered = self.store.data().answered();
                let answer = answered.clone();
                self.store
                    .run_concurrent(async |accessor| answer_0_3(accessor, handle, exchange, answer).await)
                    .await??;
                answered
            }
        };
        answered.check()?;
        Ok(Vec::new())
    }
}

/// A body of WASI 0.3 is made by the guest while it is sent: the store is kept
/// running until nobody wants more of it.
async fn answer_0_3(
    accessor: &Accessor<HostState>,
    handle: HandleOf0_3,
    exchange: Incoming,
    answered: Answered,
) -> wasmtime::Result<()> {
    let (request, end) = accessor.with(|mut store| store.get().take_in_0_3(exchange.request))?;
    let (given,) = handle.call_concurrent(accessor, (request,)).await?;
    let response = match given {
        Ok(response) => response,
        Err(code) => {
            answered.refuse(NoResponse::Error(name(&code)));
            return Ok(());
        }
    };
    let response = accessor.with(|mut store| {
        let response = store.get().http().table.delete(response)?;
        response.into_http_with_getter(&mut store, end, HostState::http)
    })?;
    let (wanted, unwanted) = oneshot::channel::<()>();
    let response = response.map(|body| {
        Watched {
            body,
            _wanted: wanted,
        }
        .boxed_unsync()
    });
    answered.give(response, exchange.response);
    // Ends when the body is dropped, whole or not.
    unwanted.await.ok();
    poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
    Ok(())
}

/// A body that can be seen to be dropped.
struct Watched {
    body: WasiBody,
    _wanted: oneshot::Sender<()>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
