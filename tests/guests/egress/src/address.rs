//! Addresses between text, Rust and WASI.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wasi::sockets::network::{
    IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};

/// The socket address of an IP literal; IPv6 stays IPv6 even where it holds an IPv4 address.
pub(crate) fn parse(text: &str, port: u16) -> Result<IpSocketAddress, String> {
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

/// The family of an address.
pub(crate) fn family(address: &IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

/// Port zero on every interface.
pub(crate) fn anywhere(family: IpAddressFamily) -> IpSocketAddress {
    match family {
        IpAddressFamily::Ipv4 => IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port: 0,
            address: (0, 0, 0, 0),
        }),
        IpAddressFamily::Ipv6 => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: 0,
            flow_info: 0,
            address: (0, 0, 0, 0, 0, 0, 0, 0),
            scope_id: 0,
        }),
    }
}

/// The port of a socket address.
pub(crate) fn port(address: &IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

/// An IP address as text.
pub(crate) fn text(address: IpAddress) -> String {
    match address {
        IpAddress::Ipv4(octets) => Ipv4Addr::from(<[u8; 4]>::from(octets)).to_string(),
        IpAddress::Ipv6(segments) => Ipv6Addr::from(<[u16; 8]>::from(segments)).to_string(),
    }
}
