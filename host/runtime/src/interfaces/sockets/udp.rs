//! UDP of WASI 0.2.

use std::net::SocketAddr;

use odeon_authority::Protocol;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::udp::{
    self, IncomingDatagram, IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream,
};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket;
use wasmtime_wasi::p2::{DynPollable, SocketResult, UdpSocket};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::{Sockets, pass_on};
use crate::interfaces::egress::Route;

impl udp_create_socket::Host for Sockets<'_> {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        let slot = self.slot(Protocol::Udp).ok_or(ErrorCode::NewSocketLimit)?;
        let socket = udp_create_socket::Host::create_udp_socket(&mut self.wasi, family).await?;
        self.egress.slots.keep(socket.rep(), slot);
        Ok(socket)
    }
}

impl udp::Host for Sockets<'_> {}

impl udp::HostUdpSocket for Sockets<'_> {
    async fn start_bind(
        &mut self,
        socket: Resource<UdpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> SocketResult<()> {
        let handle = socket.rep();
        self.permit_bind(SocketAddr::from(local), SocketAddrUse::UdpBind)?;
        udp::HostUdpSocket::start_bind(&mut self.wasi, socket, network, local).await?;
        self.egress.slots.bound(handle, SocketAddr::from(local));
        Ok(())
    }

    async fn stream(
        &mut self,
        socket: Resource<UdpSocket>,
        remote: Option<IpSocketAddress>,
    ) -> SocketResult<(Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>)> {
        if let Some(remote) = remote {
            self.permit(SocketAddr::from(remote), SocketAddrUse::UdpSend)?;
        }
        let handle = socket.rep();
        let (incoming, outgoing) = udp::HostUdpSocket::stream(&mut self.wasi, socket, remote).await?;
        self.egress.slots.belongs(incoming.rep(), handle);
        self.egress.slots.belongs(outgoing.rep(), handle);
        let peer = remote.map(|remote| Route::to(&self.egress, Protocol::Udp, SocketAddr::from(remote)));
        self.egress.slots.goes(outgoing.rep(), peer);
        Ok((incoming, outgoing))
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        let handle = socket.rep();
        udp::HostUdpSocket::drop(&mut self.wasi, socket)?;
        self.egress.slots.release(handle);
        Ok(())
    }

    pass_on!(udp::HostUdpSocket {
        fn finish_bind(socket: Resource<UdpSocket>) -> SocketResult<()>;
        fn local_address(socket: Resource<UdpSocket>) -> SocketResult<IpSocketAddress>;
        fn remote_address(socket: Resource<UdpSocket>) -> SocketResult<IpSocketAddress>;
        fn address_family(socket: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily>;
        fn unicast_hop_limit(socket: Resource<UdpSocket>) -> SocketResult<u8>;
        fn set_unicast_hop_limit(socket: Resource<UdpSocket>, value: u8) -> SocketResult<()>;
        fn receive_buffer_size(socket: Resource<UdpSocket>) -> SocketResult<u64>;
        fn set_receive_buffer_size(socket: Resource<UdpSocket>, value: u64) -> SocketResult<()>;
        fn send_buffer_size(socket: Resource<UdpSocket>) -> SocketResult<u64>;
        fn set_send_buffer_size(socket: Resource<UdpSocket>, value: u64) -> SocketResult<()>;
        fn subscribe(socket: Resource<UdpSocket>) -> wasmtime::Result<Resource<DynPollable>>;
    });
}

impl udp::HostIncomingDatagramStream for Sockets<'_> {
    fn receive(
        &mut self,
        stream: Resource<IncomingDatagramStream>,
        most: u64,
    ) -> SocketResult<Vec<IncomingDatagram>> {
        let handle = stream.rep();
        let mut datagrams = udp::HostIncomingDatagramStream::receive(&mut self.wasi, stream, most)?;
        // From others there is nothing to hear, as if nothing had come.
        datagrams.retain(|datagram| {
            self.egress
                .hears(handle, SocketAddr::from(datagram.remote_address))
        });
        Ok(datagrams)
    }

    fn drop(&mut self, stream: Resource<IncomingDatagramStream>) -> wasmtime::Result<()> {
        let handle = stream.rep();
        udp::HostIncomingDatagramStream::drop(&mut self.wasi, stream)?;
        self.egress.slots.release(handle);
        Ok(())
    }

    pass_on!(udp::HostIncomingDatagramStream {
        fn subscribe(stream: Resource<IncomingDatagramStream>) -> wasmtime::Result<Resource<DynPollable>>;
    });
}

impl udp::HostOutgoingDatagramStream for Sockets<'_> {
    fn send(
        &mut self,
        stream: Resource<OutgoingDatagramStream>,
        mut datagrams: Vec<OutgoingDatagram>,
    ) -> SocketResult<u64> {
        // Those that are named and not granted end the send, as do those that
        // are too much; what comes before them is sent.
        let lengths: Vec<usize> = datagrams.iter().map(|datagram| datagram.data.len()).collect();
        let peer = self.egress.slots.route(stream.rep());
        let mut good = 0;
        let mut refused = None;
        for datagram in &datagrams {
            let permitted = match datagram.remote_address {
                Some(remote) => self
                    .permit(SocketAddr::from(remote), SocketAddrUse::UdpSend)
                    .is_ok(),
                None => peer.as_ref().is_none_or(|peer| peer.check().is_ok()),
            };
            if !permitted || self.egress.charge(datagram.data.len(), Protocol::Udp).is_err() {
                refused = Some(ErrorCode::AccessDenied);
                break;
            }
            good += 1;
        }
        if good == 0
            && let Some(refused) = refused
        {
            return Err(refused.into());
        }
        datagrams.truncate(good);
        let result = udp::HostOutgoingDatagramStream::send(&mut self.wasi, stream, datagrams);
        let sent = match &result {
            Ok(sent) => usize::try_from(*sent).unwrap_or(usize::MAX),
            Err(_) => 0,
        };
        self.egress.refund(lengths.iter().take(good).skip(sent).sum());
        result
    }

    async fn drop(&mut self, stream: Resource<OutgoingDatagramStream>) -> wasmtime::Result<()> {
        let handle = stream.rep();
        udp::HostOutgoingDatagramStream::drop(&mut self.wasi, stream).await?;
        self.egress.slots.release(handle);
        Ok(())
    }

    pass_on!(udp::HostOutgoingDatagramStream {
        fn check_send(stream: Resource<OutgoingDatagramStream>) -> SocketResult<u64>;
        fn subscribe(stream: Resource<OutgoingDatagramStream>) -> wasmtime::Result<Resource<DynPollable>>;
    });
}
