//! Whoever floods the network, or waits for it.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use odeon::{LimitsPatch, Lookup, LookupPlace, Resolver};

use super::{BYTES, Clock, LIFTED, TIME, WEB, all_end, load_all, small, stopped, told};
use crate::harness::{OK, Server, answer};
use crate::host::builder;
use crate::slow;

/// Answers for one domain with an address that nobody has, and never for any
/// other; counts how often it is asked.
#[derive(Debug, Default)]
struct Names {
    asked: AtomicUsize,
}

impl Resolver for Names {
    fn lookup<'a>(&'a self, name: &'a str, place: LookupPlace) -> Lookup<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let known = name.ends_with(".flood.test");
        Box::pin(async move {
            if !known {
                std::future::pending::<()>().await;
            }
            drop(place);
            Ok(vec!["192.88.98.1".parse().unwrap()])
        })
    }
}

/// Falls with `Slot::take`, `Egress::charge`, `Egress::charge_query`,
/// `header_bytes` in `exchange` and, for those who wait, with `drive::watch`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_floods_the_network_ends() {
    const QUERIES: u64 = 5;
    let (sink, taken) = Server::sink();
    let drip = slow::drip();
    let headers = "x".repeat(1 << 20);
    let headers = Server::http(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-big: {headers}\r\n\r\n"
    ));
    let open = Server::start(|stream| {
        answer(
            stream.try_clone().unwrap(),
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        );
        std::thread::park();
        drop(stream);
    });
    let fine = Server::http(OK);
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = datagrams.local_addr().unwrap().port();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listening.local_addr().unwrap().port();
    drop(listening);
    let tcp = format!("\"127.0.0.1\", {}", sink.port());
    let http = |server: &Server| format!("\"127.0.0.1:{}\", \"/\"", server.port());
    let rows = [
        told(
            WEB,
            "sockets.sockets-forever",
            "",
            "done: 4, error: \"new-socket-limit\"",
        ),
        told(
            WEB,
            "sockets.connect-forever",
            tcp.clone(),
            "done: 4, error: \"new-socket-limit\"",
        ),
        told(
            WEB,
            "sockets.connect-forever",
            "\"127.0.0.1\", 1",
            "access-denied",
        ),
        told(
            WEB,
            "sockets.send-forever",
            format!("{tcp}, 4096"),
            "limits.egress-bytes",
        ),
        told(
            WEB,
            "sockets.datagrams-forever",
            format!("\"127.0.0.1\", {udp}, 1000"),
            "done: 65000, error: \"access-denied\"",
        ),
        told(
            WEB,
            "web.requests-forever",
            http(&open),
            "done: 4, error: \"ConnectionLimitReached\"",
        ),
        told(
            WEB,
            "web.upload-forever",
            format!("{}, 4096", http(&sink)),
            "closed",
        ),
        // What the guest keeps fits; what is sent names the host besides.
        told(
            WEB,
            "web.request-headers",
            format!("\"127.0.0.1:{}\", 1, {}", fine.port(), (16 << 10) - 10),
            "HttpRequestHeaderSectionSize",
        ),
        stopped(
            WEB,
            "web.request-headers",
            format!("\"127.0.0.1:{}\", 200, 100", fine.port()),
            BYTES,
        ),
        told(
            WEB,
            "web.request",
            format!("false, {}", http(&headers)),
            "HttpResponseHeaderSectionSize",
        ),
        stopped(WEB, "sockets.resolve-forever", "\"flood.test\"", TIME),
        stopped(WEB, "sockets.resolve-forever", "\"elsewhere.test\"", TIME),
        stopped(WEB, "sockets.resolve", "\"never.slow.test\"", TIME),
        stopped(WEB, "sockets.tcp-exchange", format!("{tcp}, [1]"), TIME),
        stopped(
            WEB,
            "sockets.accept-forever",
            format!("\"127.0.0.1\", {free}"),
            TIME,
        ),
        stopped(WEB, "sockets.udp-hear", format!("\"127.0.0.1\", {udp}"), TIME),
        stopped(WEB, "web.request", format!("false, {}", http(&sink)), TIME),
        stopped(WEB, "web.download", http(&drip), TIME),
        told(
            LIFTED,
            "sockets.many-sockets",
            "1000",
            "(4, \"new-socket-limit\")",
        ),
        told(
            LIFTED,
            "sockets.tcp-send",
            format!("{tcp}, 1000000"),
            "access-denied",
        ),
        told(LIFTED, "web.upload", format!("{}, 1000000", http(&sink)), "err("),
        stopped(LIFTED, "sockets.tcp-exchange", format!("{tcp}, [1]"), TIME),
        stopped(LIFTED, "sockets.resolve", "\"never.slow.test\"", TIME),
        stopped(LIFTED, "web.request", http(&sink), TIME),
        stopped(LIFTED, "web.request", http(&drip), TIME),
    ];
    let limits = LimitsPatch {
        connections: Some(4),
        dns_queries: Some(QUERIES),
        egress_bytes: Some("64KiB".parse().unwrap()),
        header_bytes: Some("16KiB".parse().unwrap()),
        ..small()
    };
    let grants: Vec<String> = [&sink, &drip, &headers, &open, &fine]
        .iter()
        .map(|server| format!("http=127.0.0.1:{}", server.port()))
        .chain([
            format!("tcp=127.0.0.1:{}", sink.port()),
            format!("udp=127.0.0.1:{udp}"),
            format!("listen=127.0.0.1:{free}"),
            "tcp=*.flood.test:80".to_owned(),
            "tcp=*.slow.test:80".to_owned(),
        ])
        .collect();
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    let names = Arc::new(Names::default());
    let host = builder().resolver(names.clone()).start().unwrap();
    load_all(&host, &rows, &grants, &limits, None).await;
    let again = all_end(&host, &rows, Clock::Wall).await;
    // Those that were answered, and two that never were; none without a grant.
    assert!(again > 0 || names.asked.load(Ordering::SeqCst) as u64 == QUERIES + 2);
    // Four rows send, none of them more than it may.
    assert!(taken.load(Ordering::SeqCst) <= (4 + again) * (64 << 10) + 4096);
}
