//! `wasi:sockets`: connections, datagrams, listening and lookups of guests.
//!
//! Owns what stands between a guest and WASI's own sockets: every use of an
//! address is asked of [`Egress`], what is sent is counted, and every socket
//! takes a place among the plugin's connections. What moves no byte and names
//! no address is passed on as it is.

mod concurrent;
mod lookup;
mod tcp;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;

use odeon_authority::Protocol;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::SocketError;
use wasmtime_wasi::p2::bindings::sockets;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Network};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView as _};

use crate::interfaces::egress::{Denied, Egress, Slot, is_any};
use crate::state::HostState;

/// The sockets of one store, as a guest may use them.
pub(crate) struct Sockets<'a> {
    wasi: WasiSocketsCtxView<'a>,
    egress: Arc<Egress>,
}

/// Marks [`Sockets`] as what the interfaces are implemented for.
pub(crate) struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = Sockets<'a>;
}

impl HostState {
    /// The table, for what uses streams. Connections whose rule is gone are shut
    /// down first, so that those at their other end learn of it too.
    pub(crate) fn used_table(&mut self) -> &mut ResourceTable {
        self.shut_down_what_is_gone();
        &mut self.table
    }

    fn shut_down_what_is_gone(&mut self) {
        let Some(egress) = self.known_egress().filter(|egress| egress.has_changed()).cloned() else {
            return;
        };
        for (socket, route) in egress.slots.gone() {
            // What is used of it afterwards is just closed.
            route.tell();
            let socket = Resource::new_borrow(socket);
            let both = sockets::tcp::ShutdownType::Both;
            // One that is not connected, or of WASI 0.3 and shut down with its
            // streams, is no matter.
            drop(sockets::tcp::HostTcpSocket::shutdown(
                &mut self.sockets(),
                socket,
                both,
            ));
        }
    }

    fn guarded_sockets(&mut self) -> Sockets<'_> {
        self.shut_down_what_is_gone();
        let egress = self.egress().clone();
        Sockets {
            wasi: self.sockets(),
            egress,
        }
    }
}

/// Adds the interfaces of WASI 0.2.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let l = linker;
    sockets::tcp::add_to_linker::<_, HasSockets>(l, HostState::guarded_sockets)?;
    sockets::tcp_create_socket::add_to_linker::<_, HasSockets>(l, HostState::guarded_sockets)?;
    sockets::udp::add_to_linker::<_, HasSockets>(l, HostState::guarded_sockets)?;
    sockets::udp_create_socket::add_to_linker::<_, HasSockets>(l, HostState::guarded_sockets)?;
    sockets::ip_name_lookup::add_to_linker::<_, HasSockets>(l, HostState::guarded_sockets)?;
    sockets::instance_network::add_to_linker::<_, HasSockets>(l, HostState::guarded_sockets)?;
    sockets::network::add_to_linker::<_, HasSockets>(l, &Default::default(), HostState::guarded_sockets)
}

pub(crate) use self::concurrent::add_to_linker as add_concurrent_to_linker;

/// Tells WASI's sockets to ask about every address themselves, right before
/// they use it. Whatever path leads there, this is the last question.
pub(crate) fn guard(builder: &mut WasiCtxBuilder, egress: &Arc<Egress>) {
    let egress = egress.clone();
    builder
        .allow_tcp(true)
        .allow_udp(true)
        .allow_ip_name_lookup(false)
        .socket_addr_check(move |address, usage| {
            let permitted = egress.permit_socket(address, usage);
            Box::pin(std::future::ready(permitted))
        });
}

impl Sockets<'_> {
    fn permit(&self, address: SocketAddr, usage: SocketAddrUse) -> Result<(), Denied> {
        if self.egress.permit_socket(address, usage) {
            Ok(())
        } else {
            Err(Denied)
        }
    }

    /// Whether a guest may bind a socket by hand. Unlike the system's own
    /// choice of a local end, that is the first half of listening.
    fn permit_bind(&self, address: SocketAddr, usage: SocketAddrUse) -> Result<(), Denied> {
        if is_any(address) && matches!(usage, SocketAddrUse::TcpBind) && !self.egress.any(Protocol::Listen) {
            return self.egress.permit(Protocol::Listen, address);
        }
        self.permit(address, usage)
    }

    fn slot(&self, protocol: Protocol) -> Option<Arc<Slot>> {
        self.egress.open(protocol)
    }
}

impl From<Denied> for SocketError {
    fn from(_: Denied) -> Self {
        ErrorCode::AccessDenied.into()
    }
}

/// Passes functions of WASI's sockets on to WASI's own implementation.
macro_rules! pass_on {
    ($interface:path { $(fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)* }) => {
        $(fn $name(&mut self, $($arg: $ty),*) -> $out {
            <wasmtime_wasi::sockets::WasiSocketsCtxView<'_> as $interface>::$name(&mut self.wasi, $($arg),*)
        })*
    };
}
use pass_on;

impl sockets::network::Host for Sockets<'_> {
    pass_on!(sockets::network::Host {
        fn convert_error_code(error: SocketError) -> wasmtime::Result<ErrorCode>;
        fn network_error_code(error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>>;
    });
}

impl sockets::network::HostNetwork for Sockets<'_> {
    pass_on!(sockets::network::HostNetwork {
        fn drop(network: Resource<Network>) -> wasmtime::Result<()>;
    });
}

impl sockets::instance_network::Host for Sockets<'_> {
    pass_on!(sockets::instance_network::Host {
        fn instance_network() -> wasmtime::Result<Resource<Network>>;
    });
}
