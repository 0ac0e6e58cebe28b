//! TCP of WASI 0.2.

use std::net::SocketAddr;

use odeon_authority::Protocol;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::{tcp, tcp_create_socket};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketError, SocketResult, TcpSocket};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::{Sockets, pass_on};
use crate::interfaces::egress::{GuardedInput, MeteredOutput, Route};

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl tcp_create_socket::Host for Sockets<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let slot = self.slot(Protocol::Tcp).ok_or(ErrorCode::NewSocketLimit)?;
        let socket = tcp_create_socket::Host::create_tcp_socket(&mut self.wasi, family)?;
        self.egress.slots.keep(socket.rep(), slot);
        Ok(socket)
    }
}

impl tcp::Host for Sockets<'_> {}

impl Sockets<'_> {
    /// Has the streams of a connection ask before they are used, and count.
    fn guard(
        &mut self,
        (input, output): (&Resource<DynInputStream>, &Resource<DynOutputStream>),
        route: &Route,
    ) -> SocketResult<()> {
        GuardedInput::wrap(self.wasi.table.get_mut(input)?, route.clone());
        MeteredOutput::wrap(
            self.wasi.table.get_mut(output)?,
            self.egress.clone(),
            route.clone(),
        );
        Ok(())
    }

    /// Where a socket listens.
    fn listening_at(&mut self, socket: u32) -> SocketResult<SocketAddr> {
        let local = tcp::HostTcpSocket::local_address(&mut self.wasi, Resource::new_borrow(socket))?;
        Ok(SocketAddr::from(local))
    }
}

impl tcp::HostTcpSocket for Sockets<'_> {
    async fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> SocketResult<()> {
        self.permit_bind(SocketAddr::from(local), SocketAddrUse::TcpBind)?;
        tcp::HostTcpSocket::start_bind(&mut self.wasi, socket, network, local).await
    }

    fn start_connect(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> SocketResult<()> {
        // Asked here already, so that addresses that WASI's sockets refuse for
        // their form are in the audit too.
        let address = SocketAddr::from(remote);
        self.permit(address, SocketAddrUse::TcpConnect)?;
        let handle = socket.rep();
        tcp::HostTcpSocket::start_connect(&mut self.wasi, socket, network, remote)?;
        let route = Route::to(&self.egress, Protocol::Tcp, address);
        self.egress.slots.goes(handle, Some(route));
        Ok(())
    }

    fn finish_connect(&mut self, socket: Resource<TcpSocket>) -> SocketResult<Streams> {
        let route = self.egress.slots.route(socket.rep());
        let (input, output) = tcp::HostTcpSocket::finish_connect(&mut self.wasi, socket)?;
        let route = route.ok_or(ErrorCode::InvalidState)?;
        self.guard((&input, &output), &route)?;
        Ok((input, output))
    }

    async fn start_listen(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        tcp::HostTcpSocket::start_listen(&mut self.wasi, socket).await
    }

    fn accept(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(
        Resource<TcpSocket>,
        Resource<DynInputStream>,
        Resource<DynOutputStream>,
    )> {
        let handle = socket.rep();
        if !tcp::HostTcpSocket::is_listening(&mut self.wasi, Resource::new_borrow(handle))
            .map_err(SocketError::trap)?
        {
            return Err(ErrorCode::InvalidState.into());
        }
        let local = self.listening_at(handle)?;
        let route = Route::new(&self.egress, Protocol::Listen, local, None);
        route.check()?;
        // First the place: what is accepted is open.
        let slot = self.slot(Protocol::Tcp).ok_or(ErrorCode::NewSocketLimit)?;
        let (accepted, input, output) = tcp::HostTcpSocket::accept(&mut self.wasi, socket)?;
        self.egress.slots.keep(accepted.rep(), slot);
        self.egress.slots.goes(accepted.rep(), Some(route.clone()));
        self.guard((&input, &output), &route)?;
        Ok((accepted, input, output))
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        let handle = socket.rep();
        tcp::HostTcpSocket::drop(&mut self.wasi, socket)?;
        self.egress.slots.release(handle);
        Ok(())
    }

    pass_on!(tcp::HostTcpSocket {
        fn finish_bind(socket: Resource<TcpSocket>) -> SocketResult<()>;
        fn finish_listen(socket: Resource<TcpSocket>) -> SocketResult<()>;
        fn local_address(socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress>;
        fn remote_address(socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress>;
        fn is_listening(socket: Resource<TcpSocket>) -> wasmtime::Result<bool>;
        fn address_family(socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily>;
        fn set_listen_backlog_size(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
        fn keep_alive_enabled(socket: Resource<TcpSocket>) -> SocketResult<bool>;
        fn set_keep_alive_enabled(socket: Resource<TcpSocket>, value: bool) -> SocketResult<()>;
        fn keep_alive_idle_time(socket: Resource<TcpSocket>) -> SocketResult<u64>;
        fn set_keep_alive_idle_time(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
        fn keep_alive_interval(socket: Resource<TcpSocket>) -> SocketResult<u64>;
        fn set_keep_alive_interval(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
        fn keep_alive_count(socket: Resource<TcpSocket>) -> SocketResult<u32>;
        fn set_keep_alive_count(socket: Resource<TcpSocket>, value: u32) -> SocketResult<()>;
        fn hop_limit(socket: Resource<TcpSocket>) -> SocketResult<u8>;
        fn set_hop_limit(socket: Resource<TcpSocket>, value: u8) -> SocketResult<()>;
        fn receive_buffer_size(socket: Resource<TcpSocket>) -> SocketResult<u64>;
        fn set_receive_buffer_size(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
        fn send_buffer_size(socket: Resource<TcpSocket>) -> SocketResult<u64>;
        fn set_send_buffer_size(socket: Resource<TcpSocket>, value: u64) -> SocketResult<()>;
        fn subscribe(socket: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>>;
        fn shutdown(socket: Resource<TcpSocket>, how: tcp::ShutdownType) -> SocketResult<()>;
    });
}
