//! Sockets of WASI 0.3: the same questions and counts as for 0.2.

mod accepted;
mod counted;

use std::net::SocketAddr;
use std::sync::Arc;

use odeon_authority::Protocol;
use wasmtime::AsContextMut as _;
use wasmtime::component::{Access, Accessor, FutureReader, Linker, Resource, StreamReader};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p3::bindings::sockets::types::{
    self, Duration, ErrorCode, HostTcpSocket, HostTcpSocketWithStore, HostUdpSocket, HostUdpSocketWithStore,
    IpAddress, IpAddressFamily, IpSocketAddress,
};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};
use wasmtime_wasi::sockets::{
    SocketAddrUse, TcpSocket, UdpSocket, WasiSockets, WasiSocketsCtxView, WasiSocketsView,
};

use super::lookup::{Named, ask, named};
use super::{HasSockets, Sockets, pass_on};
use crate::interfaces::egress::{Denied, LookupError, NoAddress, Route};
use crate::state::HostState;

/// Adds the interfaces of WASI 0.3.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<_, HasSockets>(linker, HostState::guarded_sockets)?;
    types::add_to_linker::<_, HasSockets>(linker, HostState::guarded_sockets)
}

fn wasi(state: &mut HostState) -> WasiSocketsCtxView<'_> {
    WasiSocketsView::sockets(state)
}

impl From<Denied> for SocketError {
    fn from(_: Denied) -> Self {
        ErrorCode::AccessDenied.into()
    }
}

/// WASI 0.3 has no code for a socket too many.
fn too_many() -> SocketError {
    ErrorCode::Other(Some("new-socket-limit".to_owned())).into()
}

impl types::Host for Sockets<'_> {
    pass_on!(types::Host {
        fn convert_error_code(error: SocketError) -> wasmtime::Result<ErrorCode>;
    });
}

impl ip_name_lookup::Host for Sockets<'_> {}

impl ip_name_lookup::HostWithStore<HostState> for HasSockets {
    async fn resolve_addresses(
        store: &Accessor<HostState, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, ip_name_lookup::ErrorCode>> {
        use ip_name_lookup::ErrorCode;
        let name = match named(&name) {
            None => return Ok(Err(ErrorCode::InvalidArgument)),
            Some(Named::Address(address)) => return Ok(Ok(vec![address.into()])),
            Some(Named::Name(name)) => name,
        };
        let egress = store.with(|mut store| store.get().egress);
        Ok(match ask(egress, name).await {
            Ok(addresses) => Ok(addresses.into_iter().map(Into::into).collect()),
            Err(NoAddress::Denied) => Err(ErrorCode::AccessDenied),
            Err(NoAddress::TooMany) => Err(ErrorCode::PermanentResolverFailure),
            Err(NoAddress::NoSlot | NoAddress::Failed(LookupError::Unavailable)) => {
                Err(ErrorCode::TemporaryResolverFailure)
            }
            Err(NoAddress::Failed(LookupError::NotFound)) => Err(ErrorCode::NameUnresolvable),
        })
    }
}

impl HostTcpSocketWithStore<HostState> for HasSockets {
    async fn connect(
        store: &Accessor<HostState, Self>,
        socket: Resource<TcpSocket>,
        remote: IpSocketAddress,
    ) -> SocketResult<()> {
        let handle = socket.rep();
        let (egress, route) = store.with(|mut store| -> Result<_, Denied> {
            let sockets = store.get();
            let address = SocketAddr::from(remote);
            sockets.permit(address, SocketAddrUse::TcpConnect)?;
            let route = Route::to(&sockets.egress, Protocol::Tcp, address);
            Ok((sockets.egress, route))
        })?;
        let store = store.with_getter::<WasiSockets>(wasi);
        <WasiSockets as HostTcpSocketWithStore<HostState>>::connect(&store, socket, remote).await?;
        // Only now: one that is connected already stays what it is.
        egress.slots.goes(handle, Some(route));
        Ok(())
    }

    async fn listen(
        mut store: Access<'_, HostState, Self>,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<StreamReader<Resource<TcpSocket>>> {
        let egress = store.get().egress;
        let handle = socket.rep();
        let slot = egress.slots.of(handle);
        let wasis = Access::<HostState, WasiSockets>::new(store.as_context_mut(), wasi);
        let sockets = <WasiSockets as HostTcpSocketWithStore<HostState>>::listen(wasis, socket).await?;
        let local = HostTcpSocket::get_local_address(&mut store.get(), Resource::new_borrow(handle))?;
        let route = Route::new(&egress, Protocol::Listen, SocketAddr::from(local), None);
        accepted::stream(&mut store, sockets, egress, route, slot).map_err(SocketError::trap)
    }

    fn send(
        mut store: Access<'_, HostState, Self>,
        socket: Resource<TcpSocket>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        let egress = store.get().egress;
        let slot = egress.slots.of(socket.rep());
        let route = egress.slots.route(socket.rep());
        let (data, cut_off) = counted::sent(&mut store, data, egress, route)?;
        let wasis = Access::<HostState, WasiSockets>::new(store.as_context_mut(), wasi);
        let sent = <WasiSockets as HostTcpSocketWithStore<HostState>>::send(wasis, socket, data)?;
        counted::outcome(&mut store, sent, cut_off, slot, None)
    }

    fn receive(
        mut store: Access<'_, HostState, Self>,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        let egress = store.get().egress;
        let slot = egress.slots.of(socket.rep());
        let route = egress.slots.route(socket.rep());
        let wasis = Access::<HostState, WasiSockets>::new(store.as_context_mut(), wasi);
        let (data, received) = <WasiSockets as HostTcpSocketWithStore<HostState>>::receive(wasis, socket)?;
        let watched = counted::watch(&mut store, route)?;
        let received = counted::outcome(&mut store, received, Arc::default(), slot, watched)?;
        Ok((data, received))
    }
}

impl HostTcpSocket for Sockets<'_> {
    async fn bind(&mut self, socket: Resource<TcpSocket>, local: IpSocketAddress) -> SocketResult<()> {
        self.permit_bind(SocketAddr::from(local), SocketAddrUse::TcpBind)?;
        HostTcpSocket::bind(&mut self.wasi, socket, local).await
    }

    fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let slot = self.slot(Protocol::Tcp).ok_or_else(too_many)?;
        let socket = HostTcpSocket::create(&mut self.wasi, family)?;
        self.egress.slots.keep(socket.rep(), slot);
        Ok(socket)
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        let handle = socket.rep();
        HostTcpSocket::drop(&mut self.wasi, socket)?;
        self.egress.slots.release(handle);
        Ok(())
    }

    pass_on!(HostTcpSocket {
        fn get_local_address(socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress>;
        fn get_remote_address(socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress>;
        fn get_is_listening(socket: Resource<TcpSocket>) -> wasmtime::Result<bool>;
        fn get_address_family(socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily>;
        fn set_listen_backlog_size(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
        fn get_keep_alive_enabled(socket: Resource<TcpSocket>) -> SocketResult<bool>;
        fn set_keep_alive_enabled(socket: Resource<TcpSocket>, value: bool) -> SocketResult<()>;
        fn get_keep_alive_idle_time(socket: Resource<TcpSocket>) -> SocketResult<Duration>;
        fn set_keep_alive_idle_time(socket: Resource<TcpSocket>, value: Duration) -> SocketResult<()>;
        fn get_keep_alive_interval(socket: Resource<TcpSocket>) -> SocketResult<Duration>;
        fn set_keep_alive_interval(socket: Resource<TcpSocket>, value: Duration) -> SocketResult<()>;
        fn get_keep_alive_count(socket: Resource<TcpSocket>) -> SocketResult<u32>;
        fn set_keep_alive_count(socket: Resource<TcpSocket>, value: u32) -> SocketResult<()>;
        fn get_hop_limit(socket: Resource<TcpSocket>) -> SocketResult<u8>;
        fn set_hop_limit(socket: Resource<TcpSocket>, value: u8) -> SocketResult<()>;
        fn get_receive_buffer_size(socket: Resource<TcpSocket>) -> SocketResult<u64>;
        fn set_receive_buffer_size(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
        fn get_send_buffer_size(socket: Resource<TcpSocket>) -> SocketResult<u64>;
        fn set_send_buffer_size(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
    });
}

impl HostUdpSocketWithStore<HostState> for HasSockets {
    async fn send(
        store: &Accessor<HostState, Self>,
        socket: Resource<UdpSocket>,
        data: Vec<u8>,
        remote: Option<IpSocketAddress>,
    ) -> SocketResult<()> {
        let length = data.len();
        let handle = socket.rep();
        let egress = store.with(|mut store| -> Result<_, Denied> {
            let sockets = store.get();
            match (remote, sockets.egress.slots.route(handle)) {
                (Some(remote), _) => sockets.permit(SocketAddr::from(remote), SocketAddrUse::UdpSend)?,
                (None, Some(peer)) => peer.check()?,
                (None, None) => {}
            }
            sockets.egress.charge(length, Protocol::Udp).map_err(|_| Denied)?;
            Ok(sockets.egress)
        })?;
        let store = store.with_getter::<WasiSockets>(wasi);
        let sent =
            <WasiSockets as HostUdpSocketWithStore<HostState>>::send(&store, socket, data, remote).await;
        if sent.is_err() {
            egress.refund(length);
        }
        sent
    }

    async fn receive(
        store: &Accessor<HostState, Self>,
        socket: Resource<UdpSocket>,
    ) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        let handle = socket.rep();
        let egress = store.with(|mut store| store.get().egress);
        let store = store.with_getter::<WasiSockets>(wasi);
        loop {
            let socket = Resource::new_borrow(handle);
            let (data, from) =
                <WasiSockets as HostUdpSocketWithStore<HostState>>::receive(&store, socket).await?;
            // From others there is nothing to hear, as if nothing had come.
            if egress.hears(handle, SocketAddr::from(from)) {
                return Ok((data, from));
            }
        }
    }
}

impl HostUdpSocket for Sockets<'_> {
    async fn bind(&mut self, socket: Resource<UdpSocket>, local: IpSocketAddress) -> SocketResult<()> {
        let handle = socket.rep();
        self.permit_bind(SocketAddr::from(local), SocketAddrUse::UdpBind)?;
        HostUdpSocket::bind(&mut self.wasi, socket, local).await?;
        self.egress.slots.bound(handle, SocketAddr::from(local));
        Ok(())
    }

    async fn connect(&mut self, socket: Resource<UdpSocket>, remote: IpSocketAddress) -> SocketResult<()> {
        let (handle, address) = (socket.rep(), SocketAddr::from(remote));
        self.permit(address, SocketAddrUse::UdpSend)?;
        HostUdpSocket::connect(&mut self.wasi, socket, remote).await?;
        let route = Route::to(&self.egress, Protocol::Udp, address);
        self.egress.slots.goes(handle, Some(route));
        Ok(())
    }

    async fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        let slot = self.slot(Protocol::Udp).ok_or_else(too_many)?;
        let socket = HostUdpSocket::create(&mut self.wasi, family).await?;
        self.egress.slots.keep(socket.rep(), slot);
        Ok(socket)
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        let handle = socket.rep();
        HostUdpSocket::drop(&mut self.wasi, socket)?;
        self.egress.slots.release(handle);
        Ok(())
    }

    pass_on!(HostUdpSocket {
        fn disconnect(socket: Resource<UdpSocket>) -> SocketResult<()>;
        fn get_local_address(socket: Resource<UdpSocket>) -> SocketResult<IpSocketAddress>;
        fn get_remote_address(socket: Resource<UdpSocket>) -> SocketResult<IpSocketAddress>;
        fn get_address_family(socket: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily>;
        fn get_unicast_hop_limit(socket: Resource<UdpSocket>) -> SocketResult<u8>;
        fn set_unicast_hop_limit(socket: Resource<UdpSocket>, value: u8) -> SocketResult<()>;
        fn get_receive_buffer_size(socket: Resource<UdpSocket>) -> SocketResult<u64>;
        fn set_receive_buffer_size(socket: Resource<UdpSocket>, value: u64) -> SocketResult<()>;
        fn get_send_buffer_size(socket: Resource<UdpSocket>) -> SocketResult<u64>;
        fn set_send_buffer_size(socket: Resource<UdpSocket>, value: u64) -> SocketResult<()>;
    });
}
