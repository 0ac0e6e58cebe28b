//! A cancelled call is gone within 50 ms, store and all, and its caller has a
//! final status: inside every kind of host call, of a program that has the host
//! in it and of a peer at the control socket.
//!
//! Each is cancelled a few times, and the median counts; what the cores stood still
//! meanwhile is nobody's.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon::daemon::Daemon;
use odeon::{Args, CallRequest, CancelOutcome, Code, Host, LimitsPatch, Outcome};
use odeon_protocol::{AdminRequest, CancelReply, wave, wire};
use odeon_tests::stall::{Stalls, Took};
use tempfile::TempDir;

use crate::harness::{Server, Stuck};
use crate::host::{builder, daemon, load_with, soon, state};
use crate::peer::Peer;
use crate::slow::{Full, deaf, drip};

/// Within which a cancelled call is gone.
const PROMPT: Duration = Duration::from_millis(50);

/// How often each is cancelled.
const TIMES: usize = 5;

/// A call that is to be cancelled.
struct Row {
    method: String,
    args: String,
    /// How often somebody outside has seen a call of this kind arrive, where
    /// anybody can.
    seen: Option<Box<dyn Fn() -> usize>>,
}

fn row(method: &str, args: impl Into<String>) -> Row {
    Row {
        method: method.to_owned(),
        args: args.into(),
        seen: None,
    }
}

fn seen(method: &str, args: impl Into<String>, seen: impl Fn() -> usize + 'static) -> Row {
    Row {
        seen: Some(Box::new(seen)),
        ..row(method, args)
    }
}

/// A host with a daemon in front of it, and everything that its guests wait for.
struct Ground {
    folder: TempDir,
    host: Host,
    daemon: Daemon,
    /// Takes everything and says nothing.
    sink: Arc<Server>,
    /// Does not even read.
    deaf: Arc<Server>,
    /// Says a byte now and then.
    drip: Arc<Server>,
    full: Full,
    names: Arc<Stuck>,
    udp: UdpSocket,
    free: u16,
}

impl Ground {
    async fn new() -> Self {
        let folder = state();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let large = std::fs::File::create(data.join("large")).unwrap();
        large.set_len(1 << 30).unwrap();
        let names = Arc::new(Stuck::default());
        let host = builder()
            .workers(2)
            .state_dir(folder.path())
            .resolver(names.clone())
            .start()
            .unwrap();
        let daemon = daemon(&host).await;
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let ground = Ground {
            folder,
            host,
            daemon,
            sink: Arc::new(Server::sink().0),
            deaf: Arc::new(deaf()),
            drip: Arc::new(drip()),
            full: Full::new(),
            names,
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            free,
        };
        ground.load().await;
        ground
    }

    async fn load(&self) {
        let limits = || LimitsPatch {
            deadline: Some("60s".parse().unwrap()),
            cpu: Some("60s".parse().unwrap()),
            fs_bytes_written: Some("1024GiB".parse().unwrap()),
            fs_file_size: Some("1GiB".parse().unwrap()),
            egress_bytes: Some("1GiB".parse().unwrap()),
            connections: Some(100),
            ..LimitsPatch::default()
        };
        let mut grants = vec![
            format!("udp=127.0.0.1:{}", self.udp.local_addr().unwrap().port()),
            format!("listen=127.0.0.1:{}", self.free),
            "tcp=*.slow.test:80".to_owned(),
            "http=*.slow.test".to_owned(),
        ];
        for port in [
            self.sink.port(),
            self.deaf.port(),
            self.drip.port(),
            self.full.port(),
        ] {
            grants.push(format!("tcp=127.0.0.1:{port}"));
            grants.push(format!("http=127.0.0.1:{port}"));
        }
        let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
        let data = format!("fs={}::/data,rw", self.folder.path().join("data").display());
        load_with(&self.host, "guest-egress", "web", &grants, limits()).await;
        load_with(&self.host, "guest-concurrent", "lifted", &grants, limits()).await;
        load_with(&self.host, "guest-fs-escape", "files", &[&data], limits()).await;
        load_with(&self.host, "guest-spin", "spin", &[], limits()).await;
        load_with(&self.host, "guest-forger", "forger", &[], limits()).await;
    }

    /// Every kind of host call that takes its time.
    fn rows(&self) -> Vec<Row> {
        let address = |port: u16| format!("\"127.0.0.1\", {port}");
        let authority = |port: u16| format!("\"127.0.0.1:{port}\", \"/\"");
        let came = |server: &Arc<Server>| {
            let server = server.clone();
            move || server.connections()
        };
        let asked = || {
            let names = self.names.clone();
            move || names.asked()
        };
        let (sink, deaf, drip, full) = (
            self.sink.port(),
            self.deaf.port(),
            self.drip.port(),
            self.full.port(),
        );
        let udp = self.udp.local_addr().unwrap().port();
        vec![
            // HTTP: nobody answers, or never to the end, or is never reached.
            seen(
                "web/web.request",
                format!("false, {}", authority(sink)),
                came(&self.sink),
            ),
            seen("web/web.download", authority(drip), came(&self.drip)),
            seen(
                "web/web.upload-forever",
                format!("{}, 65536", authority(deaf)),
                came(&self.deaf),
            ),
            row("web/web.request", format!("false, {}", authority(full))),
            seen("web/web.request", "false, \"never.slow.test\", \"/\"", asked()),
            seen("lifted/web.request", authority(sink), came(&self.sink)),
            seen("lifted/web.request", authority(drip), came(&self.drip)),
            seen(
                "lifted/web.upload",
                format!("{}, 1000000000", authority(deaf)),
                came(&self.deaf),
            ),
            // TCP: connecting, reading, writing, accepting.
            row("web/sockets.tcp-connect", address(full)),
            seen(
                "web/sockets.tcp-exchange",
                format!("{}, [1]", address(sink)),
                came(&self.sink),
            ),
            seen(
                "web/sockets.send-forever",
                format!("{}, 65536", address(deaf)),
                came(&self.deaf),
            ),
            row("web/sockets.accept-forever", address(self.free)),
            row("lifted/sockets.tcp-connect", address(full)),
            seen(
                "lifted/sockets.tcp-exchange",
                format!("{}, [1]", address(sink)),
                came(&self.sink),
            ),
            seen(
                "lifted/sockets.tcp-send",
                format!("{}, 1000000000", address(deaf)),
                came(&self.deaf),
            ),
            // UDP, and names.
            row("web/sockets.udp-hear", address(udp)),
            seen("web/sockets.resolve", "\"never.slow.test\"", asked()),
            seen("lifted/sockets.resolve", "\"never.slow.test\"", asked()),
            // Files.
            row("files/fill.read-forever", "\"/data\", \"large\", 65536"),
            row("files/fill.read-stream-forever", "\"/data\", \"large\", 65536"),
            row("files/fill.overwrite-forever", "\"/data\", \"large\", 16777216"),
            row("files/fill.zeroes-forever", "\"/data\", \"zeroes\", 4096"),
            row("files/fill.sync-forever", "\"/data\", \"synced\""),
            // Clocks and pollables.
            row("spin/wait.sleep-forever", ""),
            row("spin/wait.drip", "1"),
            row("spin/wait.poll-forever", "500"),
            row("lifted/work.sleep-forever", ""),
            row("lifted/work.drip", "1"),
            // What is not waiting at all, but in a host call at nearly all times.
            row("spin/flood.random-forever", "1000000"),
            row("spin/flood.log-huge-forever", "1000000"),
            row("forger/conduct.report-forever", "4096"),
        ]
    }

    fn plugin(&self, row: &Row) -> (u64, u64) {
        let (name, _) = row.method.split_once('/').unwrap();
        let rows = self.host.list();
        let found = rows.iter().find(|plugin| plugin.name.as_str() == name);
        found.map(|plugin| (plugin.instances, plugin.in_flight)).unwrap()
    }

    /// Waits until the call is where it is to be cancelled.
    async fn inside(&self, row: &Row, before: usize) {
        soon(&row.method, || {
            self.plugin(row) == (1, 1) && row.seen.as_ref().is_none_or(|seen| seen() > before)
        })
        .await;
    }

    /// Nothing is left, from the moment on that the caller knows.
    #[track_caller]
    fn assert_gone(&self, row: &Row) {
        assert_eq!(self.plugin(row), (0, 0), "{}: its store outlives it", row.method);
        self.names.give_back();
    }
}

/// Says which rows took too long, all of them at once.
fn judge(times: Vec<(String, Vec<Took>)>) {
    let slow: Vec<_> = times
        .into_iter()
        .filter_map(|(what, mut times)| {
            times.sort_by_key(|took| took.own());
            (times[times.len() / 2].own() > PROMPT).then(|| format!("{what}: {times:?}"))
        })
        .collect();
    assert!(slow.is_empty(), "expected within {PROMPT:?}: {slow:#?}");
}

/// Falls with `drive::watch`, and with `HostState::must_stop` where a guest is
/// between two host calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_request_is_cancelled_within_50_ms_inside_every_kind_of_host_call() {
    let ground = Ground::new().await;
    let mut all = Vec::new();
    for row in ground.rows() {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let before = row.seen.as_ref().map_or(0, |seen| seen());
            let call = CallRequest::new(&row.method, Args::Wave(&row.args));
            let (serial, mut watcher) = ground.host.request(call).unwrap();
            ground.inside(&row, before).await;
            let stalls = Stalls::watch();
            let began = Instant::now();
            let signalled = ground.host.cancel(&serial).unwrap();
            assert_eq!(signalled, CancelOutcome::Signalled, "{}", row.method);
            let end = tokio::time::timeout(Duration::from_secs(10), watcher.outcome()).await;
            let ended = Instant::now();
            ground.assert_gone(&row);
            times.push(stalls.between(began, ended));
            let end = end.expect("a final status").expect("a final status");
            assert!(
                matches!(&end, Outcome::Cancelled(fault) if fault.code == Code::Cancelled),
                "{}: {end:?}",
                row.method
            );
        }
        all.push((format!("{}({})", row.method, row.args), times));
    }
    judge(all);
}

/// The same from the outside: who asks for the end is another peer than the one
/// that waits for it. Falls with `Desk`'s answer to a cancel besides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_call_over_the_socket_is_cancelled_within_50_ms_inside_every_kind_of_host_call() {
    let ground = Ground::new().await;
    let mut caller = Peer::greeted(ground.daemon.socket()).await;
    let mut operator = Peer::greeted(ground.daemon.socket()).await;
    let mut all = Vec::new();
    for row in ground.rows() {
        let method = ground.host.method(&row.method).unwrap();
        let limits = odeon_tests::runtime::wide();
        let text = format!("f({})", row.args);
        let values = wave::parse_invocation(&text)
            .unwrap()
            .parse_args(method.ty(), &limits)
            .unwrap();
        let args = wire::encode_args(method.ty(), &values, &limits).unwrap();
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let before = row.seen.as_ref().map_or(0, |seen| seen());
            let serial = caller.begin(&row.method, &args).await;
            ground.inside(&row, before).await;
            let stalls = Stalls::watch();
            let began = Instant::now();
            let cancelled: CancelReply = operator.admin(&AdminRequest::Cancel { serial }).await.unwrap();
            assert_eq!(cancelled, CancelReply::Signalled, "{}", row.method);
            let reply = caller.next().await.expect("a final status");
            let ended = Instant::now();
            ground.assert_gone(&row);
            times.push(stalls.between(began, ended));
            assert_eq!(
                (reply.id, reply.fault.map(|fault| fault.code)),
                (serial, Some(Code::Cancelled)),
                "{}",
                row.method
            );
        }
        all.push((format!("{}({})", row.method, row.args), times));
    }
    judge(all);
}
