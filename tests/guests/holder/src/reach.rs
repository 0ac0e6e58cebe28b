//! The ways to files, peers and secrets.

use odeon_sdk::secrets::SecretError;

use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::network::{
    ErrorCode as NetworkError, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
};
use crate::wasi::sockets::tcp::TcpSocket;
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;

/// An open connection. The socket comes last: its streams must be dropped before it.
pub(crate) struct Connection {
    pub(crate) input: InputStream,
    pub(crate) output: OutputStream,
    _socket: TcpSocket,
}

/// The preopen with that guest path.
pub(crate) fn root(path: &str) -> Result<Descriptor, String> {
    let mut found = get_directories().into_iter().filter(|(_, name)| name == path);
    found
        .next()
        .map(|(descriptor, _)| descriptor)
        .ok_or_else(|| "no-preopen".to_owned())
}

/// Opens a file for reading, and for writing if it may be.
pub(crate) fn open(root: &Descriptor, path: &str) -> Result<Descriptor, String> {
    let with = |flags| root.open_at(PathFlags::empty(), path, OpenFlags::empty(), flags);
    with(DescriptorFlags::READ | DescriptorFlags::WRITE)
        .or_else(|_| with(DescriptorFlags::READ))
        .map_err(name)
}

/// Connects to an IPv4 address.
pub(crate) fn connect(address: &str, port: u16) -> Result<Connection, String> {
    let mut parts = address.split('.').map(str::parse::<u8>);
    let mut part = || parts.next().and_then(Result::ok).unwrap_or_default();
    let address = (part(), part(), part(), part());
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(network_name)?;
    let remote = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address });
    socket
        .start_connect(&instance_network(), remote)
        .map_err(network_name)?;
    let ready = socket.subscribe();
    loop {
        match socket.finish_connect() {
            Ok((input, output)) => {
                drop(ready);
                return Ok(Connection {
                    input,
                    output,
                    _socket: socket,
                });
            }
            Err(NetworkError::WouldBlock) => ready.block(),
            Err(error) => return Err(network_name(error)),
        }
    }
}

pub(crate) fn name(code: ErrorCode) -> String {
    code.name().to_owned()
}

fn network_name(code: NetworkError) -> String {
    code.name().to_owned()
}

pub(crate) fn stream_name(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(_) => "failed".to_owned(),
    }
}

pub(crate) fn secret_name(error: &SecretError) -> String {
    format!("{error:?}")
}
