//! Raw sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::exports::odeon_tests::concurrent::sockets::{Guest, Stopped};
use crate::join::join;
use crate::wasi::clocks::monotonic_clock::wait_for;
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::wasi::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket,
    UdpSocket,
};

/// Bytes sent at a time.
const CHUNK: usize = 16 * 1024;

/// A millisecond, in nanoseconds.
const MOMENT: u64 = 1_000_000;

impl Guest for crate::Concurrent {
    async fn tcp_connect(address: String, port: u16) -> Result<(), String> {
        connected(&address, port).await.map(drop)
    }

    async fn tcp_bind(address: String, port: u16) -> Result<(), String> {
        bound(&address, port).map(drop)
    }

    async fn tcp_listen(address: Option<String>, port: u16) -> Result<u16, String> {
        let socket = match address {
            Some(address) => bound(&address, port)?,
            None => TcpSocket::create(IpAddressFamily::Ipv4).map_err(name)?,
        };
        let _incoming = socket.listen().map_err(name)?;
        socket.get_local_address().map(port_of).map_err(name)
    }

    async fn tcp_exchange(address: String, port: u16, data: Vec<u8>) -> Result<Vec<u8>, String> {
        let socket = connected(&address, port).await?;
        let (mut into, from) = crate::wit_stream::new();
        let sent = socket.send(from);
        let (mut back, _outcome) = socket.receive();
        let (left, (_, answer)) = join(into.write_all(data), back.read(Vec::with_capacity(CHUNK))).await;
        if !left.is_empty() {
            drop(into);
            sent.await.map_err(name)?;
        }
        Ok(answer)
    }

    async fn tcp_send(address: String, port: u16, bytes: u32) -> Result<(), String> {
        let socket = connected(&address, port).await?;
        let (mut into, from) = crate::wit_stream::new();
        let sent = socket.send(from);
        let write = async move {
            let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
            while left > 0 {
                let piece = left.min(CHUNK);
                if !into.write_all(vec![b'x'; piece]).await.is_empty() {
                    return;
                }
                left -= piece;
            }
        };
        join(write, async { sent.await }).await.1.map_err(name)
    }

    async fn udp_bind(address: String, port: u16) -> Result<(), String> {
        let address = parse(&address, port)?;
        let socket = UdpSocket::create(family(&address)).map_err(name)?;
        socket.bind(address).map_err(name)
    }

    async fn udp_send(address: String, port: u16, data: Vec<u8>) -> Result<(), String> {
        let address = parse(&address, port)?;
        let socket = UdpSocket::create(family(&address)).map_err(name)?;
        socket.connect(address).map_err(name)?;
        socket.send(data, None).await.map_err(name)
    }

    async fn udp_send_to(address: String, port: u16, data: Vec<u8>) -> Result<(), String> {
        let address = parse(&address, port)?;
        let socket = UdpSocket::create(family(&address)).map_err(name)?;
        socket.send(data, Some(address)).await.map_err(name)
    }

    async fn udp_send_until_refused(address: String, port: u16) -> Stopped {
        let opened = parse(&address, port).and_then(|remote| {
            let socket = UdpSocket::create(family(&remote)).map_err(name)?;
            socket.connect(remote).map_err(name)?;
            Ok(socket)
        });
        let socket = match opened {
            Ok(socket) => socket,
            Err(error) => return Stopped { done: 0, error },
        };
        let mut done = 0;
        loop {
            match socket.send(vec![b'u'], None).await {
                Ok(()) => done += 1,
                Err(error) => {
                    let error = name(error);
                    return Stopped { done, error };
                }
            }
            wait_for(MOMENT).await;
        }
    }

    async fn tcp_accept_forever(address: String, port: u16) -> Result<(), String> {
        let socket = bound(&address, port)?;
        let mut incoming = socket.listen().map_err(name)?;
        let mut kept = Vec::new();
        loop {
            let (_, mut came) = incoming.read(Vec::with_capacity(1)).await;
            match came.pop() {
                Some(connection) => kept.push(connection),
                None => return Ok(()),
            }
        }
    }

    async fn tcp_connect_twice(address: String, first: u16, second: u16) -> Stopped {
        let socket = match connected(&address, first).await {
            Ok(socket) => socket,
            Err(error) => return Stopped { done: 0, error },
        };
        let other = match parse(&address, second) {
            Ok(other) => other,
            Err(error) => return Stopped { done: 0, error },
        };
        if socket.connect(other).await.is_ok() {
            let error = "connected-twice".to_owned();
            return Stopped { done: 0, error };
        }
        let (mut into, from) = crate::wit_stream::new();
        let sent = socket.send(from);
        let write = async move {
            let mut done = 0;
            while into.write_all(vec![b'x'; 10]).await.is_empty() {
                done += 10;
                wait_for(MOMENT).await;
            }
            done
        };
        let (done, sent) = join(write, async { sent.await }).await;
        let error = sent.err().map(name).unwrap_or_default();
        Stopped { done, error }
    }

    async fn resolve(name: String) -> Result<Vec<String>, String> {
        match resolve_addresses(name).await {
            Ok(addresses) => Ok(addresses.into_iter().map(text).collect()),
            Err(error) => Err(short(&format!("{error:?}"))),
        }
    }

    async fn many_sockets(most: u32) -> (u32, String) {
        let mut kept = Vec::new();
        for made in 0..most {
            match TcpSocket::create(IpAddressFamily::Ipv4) {
                Ok(socket) => kept.push(socket),
                Err(error) => return (made, name(error)),
            }
        }
        (most, String::new())
    }
}

async fn connected(address: &str, port: u16) -> Result<TcpSocket, String> {
    let address = parse(address, port)?;
    let socket = TcpSocket::create(family(&address)).map_err(name)?;
    socket.connect(address).await.map_err(name)?;
    Ok(socket)
}

fn bound(address: &str, port: u16) -> Result<TcpSocket, String> {
    let address = parse(address, port)?;
    let socket = TcpSocket::create(family(&address)).map_err(name)?;
    socket.bind(address).map_err(name)?;
    Ok(socket)
}

fn name(error: ErrorCode) -> String {
    match error {
        ErrorCode::Other(Some(text)) => text,
        error => short(&format!("{error:?}")),
    }
}

/// `ErrorCode::AccessDenied` as `access-denied`.
fn short(debug: &str) -> String {
    let variant = debug.rsplit("::").next().unwrap_or(debug);
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn parse(text: &str, port: u16) -> Result<IpSocketAddress, String> {
    let address = text
        .parse::<IpAddr>()
        .map_err(|error| format!("{text}: {error}"))?;
    Ok(match address {
        IpAddr::V4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port,
            address: address.octets().into(),
        }),
        IpAddr::V6(address) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port,
            flow_info: 0,
            address: address.segments().into(),
            scope_id: 0,
        }),
    })
}

fn family(address: &IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

fn port_of(address: IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

fn text(address: IpAddress) -> String {
    match address {
        IpAddress::Ipv4(octets) => Ipv4Addr::from(<[u8; 4]>::from(octets)).to_string(),
        IpAddress::Ipv6(segments) => Ipv6Addr::from(<[u16; 8]>::from(segments)).to_string(),
    }
}
