//! Raw sockets.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::address::{anywhere, family, parse, port as port_of, text};
use crate::exports::odeon_tests::egress::sockets::{Guest, Stopped};
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::io::poll::Pollable;
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use crate::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use crate::wasi::sockets::tcp::TcpSocket;
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::wasi::sockets::udp::{OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
use crate::wasi::sockets::udp_create_socket::create_udp_socket;

/// The most that `blocking-write-and-flush` takes at once.
const CHUNK: usize = 4096;

/// A millisecond, in nanoseconds.
const MOMENT: u64 = 1_000_000;

/// An open connection. The socket comes last: its streams must be dropped before it.
struct Connection {
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
}

thread_local! {
    static LOOKUP: RefCell<Option<ResolveAddressStream>> = const { RefCell::new(None) };
}

impl Guest for crate::Egress {
    fn tcp_connect(address: String, port: u16) -> Result<(), String> {
        connect(&address, port).map(drop)
    }

    fn tcp_exchange(address: String, port: u16, data: Vec<u8>) -> Result<Vec<u8>, String> {
        let connection = connect(&address, port)?;
        send(&connection.output, &data)?;
        connection
            .input
            .blocking_read(CHUNK as u64)
            .map_err(|error| stream_name(&error))
    }

    fn tcp_bind(address: String, port: u16) -> Result<(), String> {
        bind(&parse(&address, port)?).map(drop)
    }

    fn tcp_listen(address: String, port: u16) -> Result<u16, String> {
        let socket = bind(&parse(&address, port)?)?;
        socket.start_listen().map_err(name)?;
        finish(&socket.subscribe(), || socket.finish_listen())?;
        socket
            .local_address()
            .map(|address| port_of(&address))
            .map_err(name)
    }

    fn tcp_bind_and_connect(local: String, address: String, port: u16) -> Result<(), String> {
        let socket = bind(&parse(&local, 0)?)?;
        connect_socket(socket, &parse(&address, port)?).map(drop)
    }

    fn udp_bind(address: String, port: u16) -> Result<(), String> {
        bind_udp(&parse(&address, port)?).map(drop)
    }

    fn udp_send(address: String, port: u16, data: Vec<u8>) -> Result<(), String> {
        let remote = parse(&address, port)?;
        let socket = bind_udp(&anywhere(family(&remote)))?;
        let (_incoming, outgoing) = socket.stream(Some(remote)).map_err(name)?;
        send_datagram(
            &outgoing,
            OutgoingDatagram {
                data,
                remote_address: None,
            },
        )
    }

    fn udp_send_to(address: String, port: u16, data: Vec<u8>) -> Result<(), String> {
        let remote = parse(&address, port)?;
        let socket = bind_udp(&anywhere(family(&remote)))?;
        let (_incoming, outgoing) = socket.stream(None).map_err(name)?;
        send_datagram(
            &outgoing,
            OutgoingDatagram {
                data,
                remote_address: Some(remote),
            },
        )
    }

    fn resolve(host: String) -> Result<Vec<String>, String> {
        let stream = resolve_addresses(&instance_network(), &host).map_err(name)?;
        let mut addresses = Vec::new();
        while let Some(address) = finish(&stream.subscribe(), || stream.resolve_next_address())? {
            addresses.push(text(address));
        }
        Ok(addresses)
    }

    fn begin_lookup(host: String) -> Result<(), String> {
        LOOKUP.replace(Some(resolve_addresses(&instance_network(), &host).map_err(name)?));
        Ok(())
    }

    fn looked_up() -> Result<Option<String>, String> {
        LOOKUP.with_borrow(|begun| {
            let stream = begun.as_ref().ok_or_else(|| "nothing-begun".to_owned())?;
            let address = finish(&stream.subscribe(), || stream.resolve_next_address())?;
            Ok(address.map(text))
        })
    }

    fn resolve_and_connect(host: String, port: u16) -> Result<String, String> {
        let mut last = "no addresses".to_owned();
        for address in Self::resolve(host)? {
            match connect(&address, port) {
                Ok(_) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn resolve_again(host: String, times: u32) -> Vec<(String, u32)> {
        let mut outcomes = BTreeMap::new();
        for index in 0..times {
            let outcome =
                Self::resolve(format!("n{index}.{host}")).map_or_else(|error| error, |_| "ok".to_owned());
            *outcomes.entry(outcome).or_insert(0) += 1;
        }
        outcomes.into_iter().collect()
    }

    fn resolve_forever(host: String) {
        loop {
            Self::resolve_again(host.clone(), u32::MAX);
        }
    }

    fn connect_forever(address: String, port: u16) -> Stopped {
        let mut kept = Vec::new();
        until_refused(|| {
            kept.push(connect(&address, port)?);
            Ok(1)
        })
    }

    fn sockets_forever() -> Stopped {
        let mut kept = Vec::new();
        until_refused(|| {
            kept.push(create_tcp_socket(IpAddressFamily::Ipv4).map_err(name)?);
            Ok(1)
        })
    }

    fn send_forever(address: String, port: u16, chunk: u32) -> Stopped {
        let data = vec![b'e'; chunk as usize];
        let connection = match connect(&address, port) {
            Ok(connection) => connection,
            Err(error) => return Stopped { done: 0, error },
        };
        until_refused(|| send(&connection.output, &data).map(|()| data.len() as u64))
    }

    fn datagrams_forever(address: String, port: u16, bytes: u32) -> Stopped {
        let data = vec![b'u'; bytes as usize];
        until_refused(|| Self::udp_send_to(address.clone(), port, data.clone()).map(|()| u64::from(bytes)))
    }

    fn udp_send_until_refused(address: String, port: u16) -> Stopped {
        let opened = parse(&address, port).and_then(|remote| {
            let socket = bind_udp(&anywhere(family(&remote)))?;
            let (incoming, outgoing) = socket.stream(Some(remote)).map_err(name)?;
            Ok((socket, incoming, outgoing))
        });
        // Dropped from last to first: the streams before their socket.
        let (_socket, _incoming, outgoing) = match opened {
            Ok(opened) => opened,
            Err(error) => return Stopped { done: 0, error },
        };
        until_refused(|| {
            subscribe_duration(MOMENT).block();
            let datagram = OutgoingDatagram {
                data: vec![b'u'],
                remote_address: None,
            };
            send_datagram(&outgoing, datagram).map(|()| 1)
        })
    }

    fn accept_forever(address: String, port: u16) -> Stopped {
        let listening = parse(&address, port).and_then(|local| {
            let socket = bind(&local)?;
            socket.start_listen().map_err(name)?;
            finish(&socket.subscribe(), || socket.finish_listen())?;
            Ok(socket)
        });
        let socket = match listening {
            Ok(socket) => socket,
            Err(error) => return Stopped { done: 0, error },
        };
        let mut kept = Vec::new();
        let stopped = until_refused(|| {
            let (socket, input, output) = finish(&socket.subscribe(), || socket.accept())?;
            kept.push(Connection {
                input,
                output,
                _socket: socket,
            });
            Ok(1)
        });
        drop(kept);
        stopped
    }

    fn resolve_and_leave(host: String, times: u32) -> Vec<(String, u32)> {
        let network = instance_network();
        let mut outcomes = BTreeMap::new();
        for index in 0..times {
            let begun = resolve_addresses(&network, &format!("n{index}.{host}"));
            // So that the host has begun it too.
            subscribe_duration(MOMENT).block();
            let outcome = match begun.and_then(|stream| stream.resolve_next_address()) {
                Ok(_) => "ok".to_owned(),
                Err(code) => name(code),
            };
            *outcomes.entry(outcome).or_insert(0) += 1;
        }
        outcomes.into_iter().collect()
    }

    fn udp_hear(address: String, port: u16) -> Result<Vec<u8>, String> {
        let remote = parse(&address, port)?;
        let socket = bind_udp(&anywhere(family(&remote)))?;
        let (incoming, outgoing) = socket.stream(None).map_err(name)?;
        send_datagram(
            &outgoing,
            OutgoingDatagram {
                data: vec![0],
                remote_address: Some(remote),
            },
        )?;
        loop {
            incoming.subscribe().block();
            if let Some(datagram) = incoming.receive(1).map_err(name)?.pop() {
                return Ok(datagram.data);
            }
        }
    }

    fn scan(address: String, first: u16, last: u16) -> Vec<u16> {
        (first..=last)
            .filter(|port| connect(&address, *port).is_ok())
            .collect()
    }
}

fn connect(address: &str, port: u16) -> Result<Connection, String> {
    let remote = parse(address, port)?;
    connect_socket(create_tcp_socket(family(&remote)).map_err(name)?, &remote)
}

fn connect_socket(socket: TcpSocket, remote: &IpSocketAddress) -> Result<Connection, String> {
    socket.start_connect(&instance_network(), *remote).map_err(name)?;
    let (input, output) = finish(&socket.subscribe(), || socket.finish_connect())?;
    Ok(Connection {
        input,
        output,
        _socket: socket,
    })
}

fn bind(local: &IpSocketAddress) -> Result<TcpSocket, String> {
    let socket = create_tcp_socket(family(local)).map_err(name)?;
    socket.start_bind(&instance_network(), *local).map_err(name)?;
    finish(&socket.subscribe(), || socket.finish_bind())?;
    Ok(socket)
}

fn bind_udp(local: &IpSocketAddress) -> Result<UdpSocket, String> {
    let socket = create_udp_socket(family(local)).map_err(name)?;
    socket.start_bind(&instance_network(), *local).map_err(name)?;
    finish(&socket.subscribe(), || socket.finish_bind())?;
    Ok(socket)
}

fn send(output: &OutputStream, data: &[u8]) -> Result<(), String> {
    for chunk in data.chunks(CHUNK) {
        output
            .blocking_write_and_flush(chunk)
            .map_err(|error| stream_name(&error))?;
    }
    Ok(())
}

fn send_datagram(outgoing: &OutgoingDatagramStream, datagram: OutgoingDatagram) -> Result<(), String> {
    while outgoing.check_send().map_err(name)? == 0 {
        outgoing.subscribe().block();
    }
    match outgoing.send(&[datagram]).map_err(name)? {
        0 => Err("not-sent".to_owned()),
        _ => Ok(()),
    }
}

/// Waits until an operation that was started has an end.
fn finish<T>(ready: &Pollable, mut step: impl FnMut() -> Result<T, ErrorCode>) -> Result<T, String> {
    loop {
        match step() {
            Err(ErrorCode::WouldBlock) => ready.block(),
            end => return end.map_err(name),
        }
    }
}

/// Repeats a step until it is refused. A step returns how much it did.
fn until_refused(mut step: impl FnMut() -> Result<u64, String>) -> Stopped {
    let mut done = 0;
    loop {
        match step() {
            Ok(more) => done += more,
            Err(error) => return Stopped { done, error },
        }
    }
}

fn name(code: ErrorCode) -> String {
    code.name().to_owned()
}

fn stream_name(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}
