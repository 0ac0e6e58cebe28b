//! Every kind of hostile guest on a host: each ends by the limit that is
//! nearest to it, with the right fault and in time, and what was stopped goes
//! on in no way.
//!
//! The tables are by the limit that they are about. A row that the host stops
//! is followed by a second in which the process may use next to nothing; a row
//! that is told no, and returns by itself, leaves nobody to be stopped.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use odeon::{Args, CallOptions, Code, Host, LimitsPatch, Lookup, LookupPlace, Placing, Resolver, UnloadMode};
use odeon_authority::ClassWish;
use odeon_tests::clock::{busy_second, process_cpu};

use crate::harness::{OK, Server, answer};
use crate::host::{at, builder, ephemeral, request, state};
use crate::slow;

/// What the limit on time is set to where that is what stops a guest.
const LIMIT: Duration = Duration::from_millis(300);

/// What a stop may take beyond its limit.
const SLACK: Duration = Duration::from_millis(100);

/// One hostile call and how it has to end.
struct Row {
    guest: &'static str,
    call: &'static str,
    args: String,
    end: End,
}

enum End {
    /// The host ends it with one of these faults.
    Stopped(&'static [Code]),
    /// The guest is told so, and returns what it was told.
    Told(&'static str),
    /// The guest is told so when it has about as many pages as it may have, and
    /// returns how many it got.
    Grown,
}

fn stopped(guest: &'static str, call: &'static str, args: impl Into<String>, codes: &'static [Code]) -> Row {
    Row {
        guest,
        call,
        args: args.into(),
        end: End::Stopped(codes),
    }
}

fn told(guest: &'static str, call: &'static str, args: impl Into<String>, words: &'static str) -> Row {
    Row {
        guest,
        call,
        args: args.into(),
        end: End::Told(words),
    }
}

fn grown(guest: &'static str, call: &'static str, args: impl Into<String>) -> Row {
    Row {
        guest,
        call,
        args: args.into(),
        end: End::Grown,
    }
}

const SPIN: &str = "guest-spin";
const FORGER: &str = "guest-forger";
const WEB: &str = "guest-egress";
const FILES: &str = "guest-fs-escape";
const LIFTED: &str = "guest-concurrent";

const TIME: &[Code] = &[Code::DeadlineLimit];
const CPU: &[Code] = &[Code::CpuLimit];
const MEMORY: &[Code] = &[Code::MemoryLimit];
const STACK: &[Code] = &[Code::StackLimit];
const HANDLES: &[Code] = &[Code::HandleLimit];
const BYTES: &[Code] = &[Code::HostCallBytesLimit];
const TRAP: &[Code] = &[Code::Trapped];

/// What a row is measured by.
#[derive(Clone, Copy)]
enum Clock {
    /// The time its caller waits.
    Wall,
    /// The time it has on a processor.
    Processor,
}

/// Limits that are reached soon.
fn small() -> LimitsPatch {
    LimitsPatch {
        deadline: Some("300ms".parse().unwrap()),
        cpu: Some("10s".parse().unwrap()),
        memory: Some("16MiB".parse().unwrap()),
        ..LimitsPatch::default()
    }
}

/// Loads every guest of the table once, under its own name.
async fn load_all(
    host: &Host,
    rows: &[Row],
    grants: &[&str],
    limits: &LimitsPatch,
    class: Option<ClassWish>,
) {
    let mut loaded: Vec<&str> = Vec::new();
    for row in rows {
        if loaded.contains(&row.guest) {
            continue;
        }
        loaded.push(row.guest);
        let mut request = request(row.guest, row.guest, grants).with_limits(limits.clone());
        request.placing = Placing {
            class,
            ..Placing::default()
        };
        host.load(request).await.expect("the guest loads");
    }
}

/// Runs the table, and says at its end which rows were wrong.
async fn all_end(host: &Host, rows: &[Row], clock: Clock) {
    let mut wrong = Vec::new();
    for row in rows {
        let method = format!("{}/{}", row.guest, row.call);
        let (began, cpu) = (Instant::now(), process_cpu());
        let ended = host
            .call(&method, Args::Wave(&row.args), CallOptions::default())
            .await;
        let took = match clock {
            Clock::Wall => began.elapsed(),
            Clock::Processor => process_cpu() - cpu,
        };
        let found = match &ended {
            Ok(reply) => reply.wave().unwrap(),
            Err(fault) => fault.to_string(),
        };
        let right = match (&ended, &row.end) {
            (Ok(_), End::Told(words)) => found.contains(words),
            // 16 MiB are 256 pages; some of them are there from the start.
            (Ok(_), End::Grown) => found.parse().is_ok_and(|pages: u32| (192..256).contains(&pages)),
            (Err(fault), End::Stopped(codes)) => codes.contains(&fault.code),
            _ => false,
        };
        if !right || took > LIMIT + SLACK {
            wrong.push(format!("{method}({}) after {took:?}: {found:.300}", row.args));
        }
        let listed = host.list();
        let plugin = listed
            .iter()
            .find(|plugin| plugin.name.as_str() == row.guest)
            .unwrap();
        if (plugin.instances, plugin.in_flight) != (0, 0) {
            wrong.push(format!("{method} has left an instance behind"));
        }
        if let End::Stopped(_) = row.end {
            wrong.extend(busy_after(&method).await);
        }
    }
    wrong.extend(busy_after("the table").await);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with the second after a row, if something is.
async fn busy_after(what: &str) -> Option<String> {
    let busy = tokio::task::spawn_blocking(busy_second).await.unwrap();
    busy.map(|busy| format!("{what} leaves {busy}"))
}

/// Falls with `HostState::must_stop` (`deadline_ms`) where a guest computes and
/// with `drive::watch` where it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_goes_on_for_ever_ends_at_the_deadline() {
    let rows = [
        stopped(SPIN, "cpu.spin", "", TIME),
        stopped(SPIN, "cpu.spin-with-host-calls", "", TIME),
        stopped(SPIN, "wait.sleep-forever", "", TIME),
        stopped(SPIN, "wait.drip", "1", TIME),
        stopped(SPIN, "wait.drip", "0", TIME),
        stopped(SPIN, "wait.poll-forever", "500", TIME),
        stopped(SPIN, "flood.log-forever", "", TIME),
        stopped(SPIN, "flood.log-huge-forever", "1000000", TIME),
        stopped(SPIN, "flood.stdout-forever", "", TIME),
        stopped(SPIN, "flood.random-forever", "1000000", TIME),
        stopped(FORGER, "conduct.ignore-cancel", "", TIME),
        stopped(FORGER, "conduct.report-forever", "4096", TIME),
        stopped(LIFTED, "work.spin", "", TIME),
        stopped(LIFTED, "work.sleep-forever", "", TIME),
        stopped(LIFTED, "work.drip", "1", TIME),
        stopped(LIFTED, "work.yield-forever", "", TIME),
        stopped(LIFTED, "output.flood", "", TIME),
        stopped(LIFTED, "output.endless-line", "", TIME),
        stopped("wat-start-spins", "answer", "", TIME),
        stopped("wat-post-return", "spins", "", TIME),
        stopped("wat-bad-realloc", "spins", "\"text\"", TIME),
        stopped("wat-tables", "grow-forever", "", TIME),
    ];
    let host = ephemeral();
    load_all(&host, &rows, &[], &small(), None).await;
    all_end(&host, &rows, Clock::Wall).await;
}

/// Falls with `HostState::must_stop` (`cpu_micros`). The limit is time on a
/// processor, and so is what is measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_computes_for_ever_ends_at_the_limit_on_cpu() {
    let rows = [
        stopped(SPIN, "cpu.spin", "", CPU),
        stopped(SPIN, "cpu.spin-with-host-calls", "", CPU),
        stopped(SPIN, "flood.log-forever", "", CPU),
        stopped(SPIN, "flood.random-forever", "500000", CPU),
        stopped(FORGER, "conduct.ignore-cancel", "", CPU),
        stopped(FORGER, "conduct.report-forever", "0", CPU),
        stopped(LIFTED, "work.spin", "", CPU),
        stopped(LIFTED, "work.yield-forever", "", CPU),
        stopped("wat-start-spins", "answer", "", CPU),
        stopped("wat-post-return", "spins", "", CPU),
        stopped("wat-bad-realloc", "spins", "\"text\"", CPU),
        stopped("wat-tables", "grow-forever", "", CPU),
    ];
    let limits = LimitsPatch {
        deadline: Some("60s".parse().unwrap()),
        cpu: Some("300ms".parse().unwrap()),
        ..small()
    };
    let host = ephemeral();
    load_all(&host, &rows, &[], &limits, None).await;
    all_end(&host, &rows, Clock::Processor).await;
}

/// Falls with `Meter::memory_growing`, `Meter::table_growing`, the engine's
/// stack, the capacities of the tables and `set_hostcall_fuel`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_takes_more_room_than_there_is_ends() {
    let rows = [
        grown(SPIN, "memory.grow-until-refused", "true"),
        told(SPIN, "memory.grow-by", "65535", "none"),
        stopped(SPIN, "memory.allocate-until-abort", "", MEMORY),
        stopped(SPIN, "memory.use-bytes", "100000000", MEMORY),
        stopped(SPIN, "memory.huge-result", "20000000", MEMORY),
        stopped(SPIN, "cpu.recurse", "1000000000", STACK),
        stopped(SPIN, "cpu.recurse-with-frames", "1000000", TRAP),
        stopped(SPIN, "flood.pollables-forever", "", HANDLES),
        stopped(SPIN, "flood.streams-forever", "", HANDLES),
        stopped(SPIN, "wait.poll-forever", "1001", HANDLES),
        stopped(SPIN, "flood.random-bytes", "1099511627776", BYTES),
        stopped(SPIN, "flood.stdout-at-once", "100000", TRAP),
        stopped(SPIN, "ending.panic", "\"for a reason\"", TRAP),
        stopped(SPIN, "ending.exit", "true", &[Code::GuestExit]),
        // Eight memories of a page each, and 256 pages for all of them.
        told("wat-memories", "grow-each", "60", "4"),
        told("wat-tables", "grow-by", "20001", "false"),
        stopped("wat-traps", "recurse", "", STACK),
        stopped("wat-start-traps", "answer", "", TRAP),
    ];
    let host = ephemeral();
    load_all(&host, &rows, &[], &small(), None).await;
    all_end(&host, &rows, Clock::Wall).await;
}

/// The class that has no pool, which would do some of it elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_the_class_for_large_guests_holds_them_all_the_same() {
    let rows = [
        grown(SPIN, "memory.grow-until-refused", "true"),
        stopped(SPIN, "memory.allocate-until-abort", "", MEMORY),
        stopped(SPIN, "memory.huge-result", "20000000", MEMORY),
        stopped(SPIN, "cpu.recurse", "1000000000", STACK),
        stopped(SPIN, "flood.pollables-forever", "", HANDLES),
        stopped(SPIN, "flood.random-bytes", "1099511627776", BYTES),
        told("wat-memories", "grow-each", "60", "4"),
        told("wat-tables", "grow-by", "20001", "false"),
        stopped("wat-tables", "grow-forever", "", TIME),
        stopped("wat-traps", "recurse", "", STACK),
        stopped(SPIN, "cpu.spin", "", TIME),
        stopped(SPIN, "wait.sleep-forever", "", TIME),
        stopped(SPIN, "wait.drip", "1", TIME),
        stopped(SPIN, "flood.log-forever", "", TIME),
        stopped(SPIN, "flood.stdout-forever", "", TIME),
    ];
    let host = ephemeral();
    load_all(&host, &rows, &[], &small(), Some(ClassWish::Heavy)).await;
    all_end(&host, &rows, Clock::Wall).await;
}

/// Falls with the capacities of the tables, `Kept::add` and `Shared::settle`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_has_the_host_keep_things_without_end_ends() {
    let rows = [
        stopped(FORGER, "theft.secrets-forever", "\"token\"", HANDLES),
        stopped(LIFTED, "work.streams-forever", "", HANDLES),
        stopped(LIFTED, "work.futures-forever", "", HANDLES),
        stopped(LIFTED, "work.subtasks-forever", "", HANDLES),
        stopped(LIFTED, "work.trap", "", TRAP),
        grown(LIFTED, "work.grow", ""),
        stopped(LIFTED, "web.fields-forever", "1", HANDLES),
        stopped(WEB, "web.fields-forever", "1000", BYTES),
        stopped(WEB, "web.messages-forever", "8000", BYTES),
        stopped(WEB, "web.bodies-forever", "", BYTES),
        stopped(
            "guest-echo",
            "echo.make-bytes",
            "2000000",
            &[Code::ResultTooLarge],
        ),
    ];
    let folder = state();
    let secret = folder.path().join("token");
    fs::write(&secret, "hidden").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let host = builder()
        .secrets([("token".to_owned(), secret)].into())
        .start()
        .unwrap();
    let limits = LimitsPatch {
        message: Some("1MiB".parse().unwrap()),
        header_bytes: Some("8KiB".parse().unwrap()),
        ..small()
    };
    load_all(&host, &rows, &["secret=token"], &limits, None).await;
    all_end(&host, &rows, Clock::Wall).await;
}

/// Falls with `Disk` and `Opened::take`, and with `drive::watch` for those who
/// only keep the disk busy. What is on the disk in the end is what was allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_floods_the_file_system_ends() {
    const WRITTEN: u64 = 1 << 20;
    const LARGEST: u64 = 512 << 10;
    let far = format!("\"/data\", \"far\", {}, [1]", u64::MAX / 2);
    let huge = format!("\"/data\", \"huge\", {}", u64::MAX);
    let rows = [
        told(
            FILES,
            "fill.write-forever",
            "\"/data\", \"a\", 4096",
            "file-too-large",
        ),
        told(FILES, "fill.overwrite-forever", "\"/data\", \"b\", 4096", "quota"),
        told(
            FILES,
            "fill.stream-forever",
            "\"/data\", \"c\", 4096",
            "file-too-large",
        ),
        told(
            FILES,
            "fill.append-forever",
            "\"/data\", \"appended\", 4096",
            "file-too-large",
        ),
        told(
            FILES,
            "fill.zeroes-forever",
            "\"/data\", \"e\", 4096",
            "file-too-large",
        ),
        told(
            FILES,
            "fill.create-forever",
            "\"/data\", \"f\"",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.directories-forever",
            "\"/data\", \"g\"",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.symlinks-forever",
            "\"/data\", \"h\"",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.deep-directories",
            "\"/data\", 1000",
            "done: 10, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.open-forever",
            "\"/data\", \"large\"",
            "done: 7, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.streams-forever",
            "\"/data\", \"large\"",
            "done: 7, error: \"quota\"",
        ),
        told(
            FILES,
            "fill.listings-forever",
            "\"/data\"",
            "done: 7, error: \"quota\"",
        ),
        told(FILES, "fill.set-size", huge, "file-too-large"),
        told(FILES, "fill.write-at", far.clone(), "file-too-large"),
        told(FILES, "fill.stream-at", far, "file-too-large"),
        told(FILES, "fill.long-name", "\"/data\", 100000", "name-too-long"),
        told(FILES, "fill.long-path", "\"/data\", 100000", "name-too-long"),
        stopped(FILES, "fill.read-forever", "\"/data\", \"large\", 65536", TIME),
        stopped(
            FILES,
            "fill.read-stream-forever",
            "\"/data\", \"large\", 65536",
            TIME,
        ),
        stopped(FILES, "fill.sync-forever", "\"/data\", \"i\"", TIME),
        stopped(FILES, "fill.open-again", "\"/data\", \"large\", 4294967295", TIME),
    ];
    let folder = tempfile::tempdir().unwrap();
    fs::File::create(folder.path().join("large"))
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let limits = LimitsPatch {
        fs_bytes_written: Some("1MiB".parse().unwrap()),
        fs_file_size: Some("512KiB".parse().unwrap()),
        fs_files_created: Some(10),
        open_files: Some(8),
        ..small()
    };
    let grant = format!("fs={}::/data,rw", folder.path().display());
    let host = ephemeral();
    load_all(&host, &rows, &[&grant], &limits, None).await;
    all_end(&host, &rows, Clock::Wall).await;
    let mut written = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let (name, metadata) = entry
            .map(|entry| (entry.file_name(), entry.metadata().unwrap()))
            .unwrap();
        if metadata.is_file() && name != "large" {
            assert!(metadata.len() <= LARGEST, "{name:?} has {} bytes", metadata.len());
            written += metadata.len();
        }
    }
    let floods = 6;
    assert!(written <= floods * WRITTEN, "{written}");
}

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
    all_end(&host, &rows, Clock::Wall).await;
    // Those that were answered, and two that never were; none without a grant.
    assert_eq!(names.asked.load(Ordering::SeqCst) as u64, QUERIES + 2);
    // Four rows send, none of them more than it may.
    assert!(taken.load(Ordering::SeqCst) <= 4 * (64 << 10) + 4096);
}

/// What is refused before a call of it could run. Falls with `runtime::fits`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_what_is_too_large_from_the_start_is_not_loaded() {
    let host = ephemeral();
    for (guest, code) in [
        ("wat-huge-memory", Code::DoesNotFit),
        ("wat-huge-table", Code::DoesNotFit),
        ("wat-instances", Code::DoesNotFit),
        ("wat-memory64", Code::CompileFailed),
    ] {
        let began = Instant::now();
        let refused = host.load(request(guest, guest, &[])).await.unwrap_err();
        assert_eq!(refused.code, code, "{guest}: {refused}");
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{guest}: {:?}",
            began.elapsed()
        );
    }
    assert!(host.list().is_empty());
    assert_eq!(busy_after("what is not loaded").await, None);
}

/// Falls with `Budget::lifecycle` and `Budget::after_service`. What is loaded
/// comes from the cache, so that the hook is all that takes time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_life_cycle_that_misbehaves_ends() {
    let folder = state();
    let host = at(folder.path());
    let limits = LimitsPatch {
        load_deadline: Some("300ms".parse().unwrap()),
        ..small()
    };
    let life = |load: &str, unload: &str| {
        let mut request = request("guest-lifecycle", "life", &[]).with_limits(limits.clone());
        request.config.insert("load".into(), load.into());
        request.config.insert("unload".into(), unload.into());
        request
    };
    let name = "life".parse().unwrap();
    host.load(life("ok", "ok")).await.unwrap();
    host.unload(&name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    for (how, code) in [
        ("spin", Code::DeadlineLimit),
        ("sleep", Code::DeadlineLimit),
        ("grow", Code::MemoryLimit),
        ("trap", Code::Trapped),
        ("panic", Code::Trapped),
    ] {
        let began = Instant::now();
        let refused = host.load(life(how, "ok")).await.unwrap_err();
        let took = began.elapsed();
        assert_eq!(refused.code, Code::LoadHookFailed, "{how}: {refused}");
        let cause = &refused.details.as_ref().unwrap()["cause"]["code"];
        assert_eq!(cause, code.as_str(), "load, {how}: {refused}");
        assert!(took <= LIMIT + SLACK, "load, {how}: {took:?}");
        assert!(host.list().is_empty(), "load, {how}");
        assert_eq!(busy_after(&format!("load, {how}")).await, None);

        host.load(life("ok", how)).await.unwrap();
        let began = Instant::now();
        let gone = host
            .unload(&name, UnloadMode::Now, host.principal())
            .await
            .unwrap();
        let took = began.elapsed();
        assert_eq!(gone.hook.map(|fault| fault.code), Some(code), "unload, {how}");
        assert!(took <= LIMIT + SLACK, "unload, {how}: {took:?}");
        assert_eq!(busy_after(&format!("unload, {how}")).await, None);
    }
}
