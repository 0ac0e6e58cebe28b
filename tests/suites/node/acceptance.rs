//! The promises of the whole, kept by a whole host: what is refused is on
//! record, what a guest is denied is too, and whoever is hostile is stopped.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use odeon::{Args, CallOptions, Code, Host, LimitsPatch, LoadRequest};
use odeon_authority::{Claim, GrantSet, SigningKey, sign};
use odeon_tests::clock::assert_quiet;
use odeon_tests::guests;

use crate::host::{at, audit, ephemeral, fault, soon, state};

/// What a stop may take beyond its limit.
const SLACK: Duration = Duration::from_millis(100);

/// Loads a guest with these grants and limits.
async fn load_with(host: &Host, guest: &str, name: &str, grants: &[&str], limits: LimitsPatch) {
    let mut granted = GrantSet::default();
    for grant in grants {
        granted.add(grant.parse().unwrap()).unwrap();
    }
    let request = LoadRequest::component(guests::component(guest))
        .named(name.parse().unwrap())
        .with_grants(granted)
        .with_limits(limits)
        .allow_unsigned();
    host.load(request).await.expect("the guest loads");
}

/// Falls with `Host::refused`: a file that is refused while it is read is on
/// record as one is that is decided upon.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_is_on_record() {
    let folder = state();
    let host = at(folder.path());
    let whole = guests::bytes("guest-echo");
    let claim = Claim {
        name: "echo".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
    };
    let mut signed = whole.clone();
    for _ in 0..17 {
        signed = sign(&signed, &SigningKey::generate().unwrap(), &claim).unwrap_or(signed);
    }
    // A byte of the header, of a section's length, and of what is in it.
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("magic", flipped(0)),
        ("layer", flipped(6)),
        ("length", flipped(9)),
        ("body", flipped(whole.len() / 2)),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("core", guests::bytes("wat-core-module")),
        ("text", b"no component".to_vec()),
        ("unsigned", whole.clone()),
        ("signed", signed),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, &bytes).unwrap();
        let before = audit(folder.path()).len();
        let refused = fault(host.load(LoadRequest::component(&path)).await);
        let lines = audit(folder.path());
        assert_eq!(lines.len(), before + 1, "{name}: {}", refused.message);
        let event = &lines.last().unwrap()["event"];
        assert_eq!(event["kind"], "decision", "{name}");
        assert_eq!(event["allowed"], false, "{name}");
        assert_eq!(event["code"], refused.code.to_string(), "{name}");
    }
}

/// Falls with `Recorder::denied`. The first is written at once; the rest are
/// counted and written with the next.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_is_denied_is_in_the_audit() {
    const TRIES: u64 = 50;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = state();
    let host = at(folder.path());
    load_with(&host, "guest-egress", "reaches", &[], LimitsPatch::default()).await;
    load_with(&host, "guest-concurrent", "waits", &[], LimitsPatch::default()).await;
    for (plugin, function) in [
        ("reaches", "sockets.tcp-connect"),
        ("waits", "sockets.tcp-connect"),
    ] {
        for _ in 0..TRIES {
            let method = format!("{plugin}/{function}");
            let args = format!("\"127.0.0.1\", {port}");
            let reply = host
                .call(&method, Args::Wave(&args), CallOptions::default())
                .await;
            let answer = reply.expect("a denial is an answer, not a fault").json();
            assert_eq!(answer.unwrap(), serde_json::json!({"err": "access-denied"}));
        }
    }
    host.shutdown(Duration::ZERO).await;
    for plugin in ["reaches", "waits"] {
        let counts: Vec<u64> = audit(folder.path())
            .into_iter()
            .map(|line| line["event"].clone())
            .filter(|event| event["kind"] == "denial" && event["plugin"] == plugin)
            .inspect(|event| {
                assert_eq!(event["grant"], "tcp");
                assert!(event["target"].as_str().unwrap().contains(&port.to_string()));
            })
            .map(|event| event["count"].as_u64().unwrap())
            .collect();
        assert_eq!(counts.iter().sum::<u64>(), TRIES, "{plugin}: {counts:?}");
        assert!(counts.len() <= 3, "{plugin}: {counts:?}");
    }
    assert!(listener.accept().is_err(), "somebody connected");
}

/// One hostile guest and what stops it.
struct Hostile {
    guest: &'static str,
    call: &'static str,
    args: &'static str,
    /// The faults that are right, none for a guest that is told no and ends by itself.
    codes: &'static [Code],
}

const fn hostile(
    guest: &'static str,
    call: &'static str,
    args: &'static str,
    codes: &'static [Code],
) -> Hostile {
    Hostile {
        guest,
        call,
        args,
        codes,
    }
}

const TIME: &[Code] = &[Code::DeadlineLimit];

/// Guests that would go on for ever, each stopped by the limit that is
/// nearest to it.
const HOSTILE: &[Hostile] = &[
    hostile("guest-spin", "cpu.spin", "", TIME),
    hostile("guest-spin", "cpu.spin-with-host-calls", "", TIME),
    hostile("guest-spin", "cpu.recurse", "100000000", &[Code::StackLimit]),
    hostile("guest-spin", "wait.sleep-forever", "", TIME),
    hostile("guest-spin", "wait.drip", "1", TIME),
    hostile("guest-spin", "wait.poll-forever", "500", TIME),
    hostile("guest-spin", "memory.grow-until-refused", "true", &[]),
    hostile(
        "guest-spin",
        "memory.allocate-until-abort",
        "",
        &[Code::MemoryLimit],
    ),
    hostile(
        "guest-spin",
        "memory.huge-result",
        "20000000",
        &[Code::MemoryLimit],
    ),
    hostile("guest-spin", "ending.unreachable", "", &[Code::Trapped]),
    hostile("guest-spin", "flood.log-forever", "", TIME),
    hostile("guest-spin", "flood.log-huge-forever", "100000", TIME),
    hostile("guest-spin", "flood.stdout-forever", "", TIME),
    hostile("guest-spin", "flood.pollables-forever", "", &[Code::HandleLimit]),
    hostile("guest-spin", "flood.streams-forever", "", &[Code::HandleLimit]),
    hostile("guest-spin", "flood.random-forever", "1000", TIME),
    hostile("guest-forger", "conduct.ignore-cancel", "", TIME),
    hostile("guest-forger", "conduct.report-forever", "100", TIME),
    hostile("guest-egress", "sockets.resolve-forever", "\"flood.test\"", TIME),
    hostile("guest-egress", "sockets.sockets-forever", "", &[]),
    hostile("guest-egress", "sockets.connect-forever", "\"127.0.0.1\", 1", &[]),
    hostile(
        "guest-egress",
        "web.requests-forever",
        "\"127.0.0.1:1\", \"/\"",
        &[],
    ),
    hostile(
        "guest-egress",
        "web.fields-forever",
        "1000",
        &[Code::HostCallBytesLimit, Code::HandleLimit],
    ),
    hostile("guest-concurrent", "work.spin", "", TIME),
    hostile("guest-concurrent", "work.sleep-forever", "", TIME),
    hostile("guest-concurrent", "work.drip", "1", TIME),
    hostile("guest-concurrent", "work.yield-forever", "", TIME),
    hostile(
        "guest-concurrent",
        "work.streams-forever",
        "",
        &[Code::HandleLimit],
    ),
    hostile(
        "guest-concurrent",
        "work.futures-forever",
        "",
        &[Code::HandleLimit],
    ),
    hostile(
        "guest-concurrent",
        "work.subtasks-forever",
        "",
        &[Code::HandleLimit],
    ),
    hostile("guest-concurrent", "work.trap", "", &[Code::Trapped]),
    hostile("guest-concurrent", "output.flood", "", TIME),
    hostile("guest-concurrent", "output.endless-line", "", TIME),
    hostile("wat-start-spins", "answer", "", TIME),
];

/// Falls with whichever limit stops the guest: `HostState::must_stop`,
/// `drive::watch`, `Meter`, the tables' capacities, `Shared::settle`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_every_hostile_guest_is_stopped_within_its_limit() {
    const LIMIT: Duration = Duration::from_millis(300);
    let host = ephemeral();
    let limits = || LimitsPatch {
        deadline: Some("300ms".parse().unwrap()),
        cpu: Some("10s".parse().unwrap()),
        memory: Some("16MiB".parse().unwrap()),
        ..LimitsPatch::default()
    };
    let mut loaded = Vec::new();
    for case in HOSTILE {
        if !loaded.contains(&case.guest) {
            load_with(&host, case.guest, case.guest, &[], limits()).await;
            loaded.push(case.guest);
        }
    }
    let (mut last, mut wrong) = ("", Vec::new());
    for case in HOSTILE {
        if last != case.guest && !last.is_empty() {
            tokio::task::spawn_blocking(assert_quiet).await.unwrap();
        }
        last = case.guest;
        let method = format!("{}/{}", case.guest, case.call);
        let began = Instant::now();
        let ended = host
            .call(&method, Args::Wave(case.args), CallOptions::default())
            .await;
        let took = began.elapsed();
        let right = match &ended {
            Ok(_) => case.codes.is_empty(),
            Err(fault) => case.codes.contains(&fault.code),
        };
        if !right || took > LIMIT + SLACK {
            let ended = ended.map(|_| "a result").map_err(|fault| fault.to_string());
            wrong.push(format!("{method}: {ended:?} after {took:?}"));
        }
        let rows = host.list();
        let row = rows.iter().find(|row| row.name.as_str() == case.guest).unwrap();
        assert_eq!((row.instances, row.in_flight), (0, 0), "{method}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tokio::task::spawn_blocking(assert_quiet).await.unwrap();
}

/// A good plugin on the host of hostile ones. Falls with `drive::turn` and
/// `Inner::background`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_neighbour_on_the_same_host_answers_in_time() {
    const CALLS: usize = 1000;
    const ALWAYS: Duration = Duration::from_millis(10);
    let host = ephemeral();
    load_with(&host, "guest-echo", "good", &[], LimitsPatch::default()).await;
    let p99 = async || {
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            let sum = host.call("good/echo.add", Args::Wave("2, 3"), CallOptions::default());
            sum.await.expect("the sum");
            times.push(began.elapsed());
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        times.sort();
        times[CALLS * 99 / 100]
    };
    p99().await;
    let alone = p99().await;
    let long = || LimitsPatch {
        deadline: Some("60s".parse().unwrap()),
        cpu: Some("60s".parse().unwrap()),
        ..LimitsPatch::default()
    };
    let mut tasks = tokio::task::JoinSet::new();
    for (guest, call, args) in [
        ("guest-spin", "cpu.spin", ""),
        ("guest-spin", "cpu.recurse", "100000000"),
        ("guest-spin", "flood.log-forever", ""),
        ("guest-spin", "wait.drip", "0"),
        ("guest-spin", "memory.allocate-until-abort", ""),
        ("guest-egress", "sockets.tcp-connect", "\"127.0.0.1\", 1"),
        ("guest-concurrent", "work.spin", ""),
        ("guest-concurrent", "output.flood", ""),
    ] {
        if !host.list().iter().any(|row| row.name.as_str() == guest) {
            load_with(&host, guest, guest, &[], long()).await;
        }
        let (host, method) = (host.clone(), format!("{guest}/{call}"));
        tasks.spawn(async move {
            // Whoever is stopped by a limit, or denied, begins again.
            loop {
                let _ended = host.call(&method, Args::Wave(args), CallOptions::default()).await;
            }
        });
    }
    soon("they run", || {
        host.list().iter().map(|row| row.in_flight).sum::<u64>() >= 5
    })
    .await;
    let beside = p99().await;
    tasks.shutdown().await;
    host.shutdown(Duration::ZERO).await;
    let most = (3 * alone).max(ALWAYS);
    assert!(
        beside <= most,
        "alone {alone:?}, beside hostile guests expected at most {most:?}, found {beside:?}"
    );
}
