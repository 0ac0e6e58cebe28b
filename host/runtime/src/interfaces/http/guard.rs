//! What stands between a guest and the `wasi:http` of the engine.
//!
//! Owns the bounds on what a guest makes the host keep: the parts of a request
//! that have no length limit of their own, and all messages of an instance
//! together. The functions here replace the engine's of the same name in the
//! linker, and pass on to them what they let through.
//!
//! **Invariant:** nothing that comes from a guest is kept in a message before
//! it was measured here.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostOutgoingRequest, HostOutgoingResponse};
use wasmtime_wasi_http::p2::bindings::http::types::{
    FutureIncomingResponse, OutgoingBody, OutgoingRequest, OutgoingResponse, RequestOptions,
};
use wasmtime_wasi_http::{WasiHttpView as _, p2, p3};

use super::kept::{self, BODY};
use crate::link::Flavour;
use crate::state::HostState;

/// The longest name of a method.
const METHOD: usize = 64;

/// The longest name of a host, and the longest port behind it.
const AUTHORITY: usize = 255 + 6;

/// The longest path with its query.
const PATH: usize = 16 << 10;

/// Where the engine puts the interfaces; a component that names an older
/// version of the same series gets these.
const TYPES_0_2: &str = "wasi:http/types@0.2.12";
const HANDLER_0_2: &str = "wasi:http/outgoing-handler@0.2.12";
const TYPES_0_3: &str = "wasi:http/types@0.3.0";

type Store<'a> = StoreContextMut<'a, HostState>;

/// What a function answers that can only say no.
type Set = wasmtime::Result<(Result<(), ()>,)>;

/// Replaces what has to be measured in a linker that has everything.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    fields_0_2(linker)?;
    requests_0_2(linker)?;
    bodies_0_2(linker)?;
    handler_0_2(linker)?;
    if flavour == Flavour::Concurrent {
        fields_0_3(linker)?;
        requests_0_3(linker)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

impl HostState {
    /// Counts what the guest is about to make the host keep.
    fn keep_http(&mut self, bytes: u64) -> wasmtime::Result<()> {
        let egress = self.egress().clone();
        let http = self
            .http
            .get_or_insert_with(|| Box::new(super::Http::new(egress)));
        Ok(http.sender.kept.add(&mut self.table, bytes)?)
    }
}

/// Header fields: the same functions in both versions of WASI.
macro_rules! fields {
    ($function:ident, $instance:ident, $types:path) => {
        fn $function(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
            use $types::{Fields, HeaderError, Host, HostFields};

            type Told<T> = wasmtime::Result<(Result<T, HeaderError>,)>;

            let mut types = linker.instance($instance)?;
            types.func_wrap(
                "[static]fields.from-list",
                |mut store: Store<'_>, (entries,): (Vec<(String, Vec<u8>)>,)| -> Told<Resource<Fields>> {
                    let state = store.data_mut();
                    let sizes = entries.iter();
                    let bytes = sizes.map(|(name, value)| kept::header(name.len(), value.len()));
                    state.keep_http(bytes.sum())?;
                    let mut http = state.http();
                    Ok((match HostFields::from_list(&mut http, entries) {
                        Ok(fields) => Ok(fields),
                        Err(error) => Err(Host::convert_header_error(&mut http, error)?),
                    },))
                },
            )?;
            types.func_wrap(
                "[method]fields.set",
                |mut store: Store<'_>,
                 (fields, name, values): (Resource<Fields>, String, Vec<Vec<u8>>)|
                 -> Told<()> {
                    let state = store.data_mut();
                    let sizes = values.iter();
                    state.keep_http(
                        sizes
                            .map(|value| kept::header(name.len(), value.len()))
                            .sum(),
                    )?;
                    let mut http = state.http();
                    Ok((match HostFields::set(&mut http, fields, name, values) {
                        Ok(()) => Ok(()),
                        Err(error) => Err(Host::convert_header_error(&mut http, error)?),
                    },))
                },
            )?;
            types.func_wrap(
                "[method]fields.append",
                |mut store: Store<'_>,
                 (fields, name, value): (Resource<Fields>, String, Vec<u8>)|
                 -> Told<()> {
                    let state = store.data_mut();
                    state.keep_http(kept::header(name.len(), value.len()))?;
                    let mut http = state.http();
                    Ok((match HostFields::append(&mut http, fields, name, value) {
                        Ok(()) => Ok(()),
                        Err(error) => Err(Host::convert_header_error(&mut http, error)?),
                    },))
                },
            )?;
            types.func_wrap(
                "[method]fields.clone",
                |mut store: Store<'_>,
                 (fields,): (Resource<Fields>,)|
                 -> wasmtime::Result<(Resource<Fields>,)> {
                    let state = store.data_mut();
                    // The memory is shared only until one of the two changes.
                    let bytes = kept::header_map(state.table.get(&fields)?);
                    state.keep_http(bytes)?;
                    Ok((HostFields::clone(&mut state.http(), fields)?,))
                },
            )
        }
    };
}

fields!(
    fields_0_2,
    TYPES_0_2,
    wasmtime_wasi_http::p2::bindings::http::types
);
fields!(
    fields_0_3,
    TYPES_0_3,
    wasmtime_wasi_http::p3::bindings::http::types
);

/// The parts of a request: the same functions in both versions of WASI.
macro_rules! requests {
    ($function:ident, $instance:ident, $types:path, $host:ident, $request:ident, $resource:literal) => {
        fn $function(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
            use $types::{Method, $host as Host, $request as Request};

            let mut types = linker.instance($instance)?;
            types.func_wrap(
                concat!("[method]", $resource, ".set-method"),
                |mut store: Store<'_>, (request, method): (Resource<Request>, Method)| -> Set {
                    let length = match &method {
                        Method::Other(name) => name.len(),
                        _ => 0,
                    };
                    let state = store.data_mut();
                    if !state.keep_part(length, METHOD)? {
                        return Ok((Err(()),));
                    }
                    Ok((Host::set_method(&mut state.http(), request, method)?,))
                },
            )?;
            types.func_wrap(
                concat!("[method]", $resource, ".set-authority"),
                |mut store: Store<'_>, (request, authority): (Resource<Request>, Option<String>)| -> Set {
                    let state = store.data_mut();
                    if !state.keep_part(authority.as_ref().map_or(0, String::len), AUTHORITY)? {
                        return Ok((Err(()),));
                    }
                    Ok((Host::set_authority(&mut state.http(), request, authority)?,))
                },
            )?;
            types.func_wrap(
                concat!("[method]", $resource, ".set-path-with-query"),
                |mut store: Store<'_>, (request, path): (Resource<Request>, Option<String>)| -> Set {
                    let state = store.data_mut();
                    if !state.keep_part(path.as_ref().map_or(0, String::len), PATH)? {
                        return Ok((Err(()),));
                    }
                    Ok((Host::set_path_with_query(&mut state.http(), request, path)?,))
                },
            )
        }
    };
}

requests!(
    requests_0_2,
    TYPES_0_2,
    p2::bindings::http::types,
    HostOutgoingRequest,
    OutgoingRequest,
    "outgoing-request"
);
requests!(
    requests_0_3,
    TYPES_0_3,
    p3::bindings::http::types,
    HostRequest,
    Request,
    "request"
);

impl HostState {
    /// Whether a part of a request is short enough to be kept. It is counted.
    /// The scheme has a length limit in the engine already.
    fn keep_part(&mut self, length: usize, most: usize) -> wasmtime::Result<bool> {
        if length > most {
            return Ok(false);
        }
        self.keep_http(length as u64)?;
        Ok(true)
    }
}

/// Bodies: what a guest writes waits in the request until it is sent, even if
/// it never is.
fn bodies_0_2(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    type Body = wasmtime::Result<(Result<Resource<OutgoingBody>, ()>,)>;

    let mut types = linker.instance(TYPES_0_2)?;
    types.func_wrap(
        "[method]outgoing-request.body",
        |mut store: Store<'_>, (request,): (Resource<OutgoingRequest>,)| -> Body {
            let state = store.data_mut();
            state.keep_http(BODY)?;
            Ok((HostOutgoingRequest::body(&mut state.http(), request)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-response.body",
        |mut store: Store<'_>, (response,): (Resource<OutgoingResponse>,)| -> Body {
            let state = store.data_mut();
            state.keep_http(BODY)?;
            Ok((HostOutgoingResponse::body(&mut state.http(), response)?,))
        },
    )
}

/// Sending: a request that is no request is refused here, where the engine
/// would write a line into the host's log for each.
fn handler_0_2(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    type Sent = wasmtime::Result<(Result<Resource<FutureIncomingResponse>, ErrorCode>,)>;

    linker.instance(HANDLER_0_2)?.func_wrap(
        "handle",
        |mut store: Store<'_>,
         (request, options): (Resource<OutgoingRequest>, Option<Resource<RequestOptions>>)|
         -> Sent {
            let state = store.data_mut();
            state.keep_http(0)?;
            let mut http = state.http();
            let parts = http.table.get_mut(&request)?;
            if parts.path_with_query.as_deref().is_none_or(str::is_empty) {
                parts.path_with_query = Some("/".to_owned());
            }
            let nowhere = parts.authority.as_deref().is_none_or(str::is_empty);
            // The engine reads the options and leaves them behind.
            let read = options.as_ref().map(|options| Resource::new_own(options.rep()));
            let sent = if nowhere {
                http.table.delete(request)?;
                Err(ErrorCode::HttpRequestUriInvalid)
            } else {
                match outgoing_handler::Host::handle(&mut http, request, options) {
                    Ok(response) => Ok(response),
                    Err(error) => Err(error.downcast()?),
                }
            };
            if let Some(read) = read {
                http.table.delete::<RequestOptions>(read)?;
            }
            Ok((sent,))
        },
    )
}
