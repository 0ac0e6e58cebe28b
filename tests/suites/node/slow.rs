//! Servers that keep a guest waiting, each in another way.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use crate::harness::{Server, answer};

/// Answers every request with the head of a response, and with one byte of its
/// body now and then, for as long as anybody listens.
pub(crate) fn drip() -> Server {
    Server::start(|stream| {
        let mut body = stream.try_clone().unwrap();
        answer(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        while body.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(2));
        }
    })
}

/// Takes nothing and says nothing, and keeps whoever came.
pub(crate) fn deaf() -> Server {
    Server::start(|stream| {
        thread::park();
        drop(stream);
    })
}

/// A port that is listened on and that nobody gets through to: its queue is
/// full, so that whoever connects waits.
pub(crate) struct Full {
    address: SocketAddr,
    _listener: OwnedFd,
    _queued: Vec<TcpStream>,
}

impl Full {
    pub(crate) fn new() -> Self {
        use rustix::net;
        let listener = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
        net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        net::listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(net::getsockname(&listener).unwrap()).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue has no end");
        }
        Full {
            address,
            _listener: listener,
            _queued: queued,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}
