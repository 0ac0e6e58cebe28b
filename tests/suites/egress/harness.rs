//! Listeners that know whether anybody came, servers, and resolvers whose
//! answers a test decides.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use odeon_runtime::{
    Lookup, LookupError, LookupPlace, Plugin, Resolver, Runtime, RuntimeConfig, StaticResolver,
};
use odeon_tests::records::{Denied, Records};
use odeon_tests::runtime::{Spec, call, config};

/// The guest that tries everything.
pub(crate) const GUEST: &str = "guest-egress";

/// A runtime that knows these names only.
pub(crate) fn runtime(names: &[(&str, &str)]) -> Runtime {
    let table = names
        .iter()
        .map(|(name, address)| ((*name).to_owned(), vec![address.parse().unwrap()]));
    runtime_with(Arc::new(StaticResolver::new(table)))
}

/// A runtime that asks this resolver.
pub(crate) fn runtime_with(resolver: Arc<dyn Resolver>) -> Runtime {
    Runtime::new(RuntimeConfig { resolver, ..config() }).unwrap()
}

/// A runtime that waits no longer than this for a connection.
pub(crate) fn runtime_of(connect_time: Duration) -> Runtime {
    Runtime::new(RuntimeConfig {
        connect_time,
        ..config()
    })
    .unwrap()
}

/// Loads the guest and calls it once.
pub(crate) async fn attempt(runtime: &Runtime, spec: Spec, invocation: &str) -> (String, Arc<Records>) {
    let plugin = load(runtime, &spec).await;
    (told(&plugin, invocation).await, spec.records())
}

pub(crate) async fn load(runtime: &Runtime, spec: &Spec) -> Plugin {
    spec.load(runtime, GUEST).await
}

/// What the call gave back; a refused use is never a fault.
pub(crate) async fn told(plugin: &Plugin, invocation: &str) -> String {
    match call(plugin, invocation).await {
        Ok(result) => result,
        Err(fault) => panic!("{invocation} ended with {fault}"),
    }
}

#[track_caller]
pub(crate) fn assert_denied(records: &Records, kind: &str, target: &str) {
    let denials = records.denials();
    let found = denials.iter().any(
        |Denied {
             kind: k, target: t, ..
         }| *k == kind && t.contains(target),
    );
    assert!(found, "no denial of {kind} {target} in {denials:?}");
}

/// A port on which nothing may arrive.
pub(crate) struct Untouched {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Untouched {
    pub(crate) fn new() -> Self {
        let mut tries = 0;
        loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            // The same number for both, if it is free.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                tcp.set_nonblocking(true).unwrap();
                udp.set_nonblocking(true).unwrap();
                return Untouched { tcp, udp };
            }
            tries += 1;
            assert!(tries < 20, "no port is free");
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.tcp.local_addr().unwrap().port()
    }

    /// Nobody connected and nothing was sent. A loopback connection is in the
    /// queue before the connecting side hears of it, so nothing can be late.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        match self.tcp.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("somebody connected: {other:?}"),
        }
        match self.udp.recv_from(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("somebody sent a datagram: {other:?}"),
        }
    }
}

/// A server on loopback: each connection on a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Server::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, serve)
    }

    pub(crate) fn start_at(
        address: IpAddr,
        port: u16,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, port)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        Server { address, connections }
    }

    /// Sends back what it gets.
    pub(crate) fn echo() -> Self {
        Server::start(|mut stream| {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers every request with this response.
    pub(crate) fn http(response: impl Into<String>) -> Self {
        let response = response.into();
        Server::start(move |stream| answer(stream, &response))
    }

    /// Takes everything and says nothing; what it got.
    pub(crate) fn sink() -> (Self, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let server = Server::start(move |mut stream| {
            let mut buffer = [0; 64 << 10];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                count.fetch_add(read, Ordering::SeqCst);
            }
        });
        (server, taken)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// So many came; the last may still be on their way to the counter.
    #[track_caller]
    pub(crate) fn assert_connections(&self, expected: usize) {
        let began = Instant::now();
        while self.connections() < expected && began.elapsed() < Duration::from_secs(10) {
            thread::yield_now();
        }
        assert_eq!(self.connections(), expected);
    }

    /// How many came so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads the head of a request and sends a response.
pub(crate) fn answer(mut stream: TcpStream, response: &str) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    // The other side may have had enough.
    let _ = stream.write_all(response.as_bytes());
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A resolver that gives one answer after the other, the last one for ever,
/// and counts how often it is asked.
#[derive(Debug)]
pub(crate) struct Turning {
    answers: Mutex<VecDeque<IpAddr>>,
    asked: AtomicUsize,
}

impl Turning {
    pub(crate) fn new(answers: &[&str]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.parse().unwrap()).collect();
        Arc::new(Turning {
            answers: Mutex::new(answers),
            asked: AtomicUsize::new(0),
        })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolver for Turning {
    fn lookup<'a>(&'a self, _: &'a str, _: LookupPlace) -> Lookup<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            0 => Err(LookupError::NotFound),
            1 => Ok(vec![answers[0]]),
            _ => Ok(answers.pop_front().into_iter().collect()),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// A resolver that never answers and, like a thread that blocks, is at work
/// until it is told to stop, whoever has given up.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    held: Mutex<Vec<LookupPlace>>,
    asked: AtomicUsize,
}

impl Stuck {
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Ends what is at work.
    pub(crate) fn give_back(&self) {
        self.held.lock().unwrap().clear();
    }
}

impl Resolver for Stuck {
    fn lookup<'a>(&'a self, _: &'a str, place: LookupPlace) -> Lookup<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.held.lock().unwrap().push(place);
        Box::pin(std::future::pending())
    }
}
