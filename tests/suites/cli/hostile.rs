//! Hostile guests in `odeon serve`, watched from outside: by the clock of its
//! callers, by what the system says of the process, and by a good neighbour.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use odeon::Code;
use odeon_tests::clock::{QUIET, share_of_a_core};
use odeon_tests::guests;
use odeon_tests::stall::{Stalls, Took};
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use crate::desk::{Desk, PATIENCE, Server};
use crate::harness;
use crate::peer::Peer;
use crate::slow::{Full, drip};

/// What the limit on time is set to where that is what stops a guest.
const LIMIT: Duration = Duration::from_millis(300);

/// What a stop may take beyond its limit, besides what the cores stood still.
const SLACK: Duration = Duration::from_millis(100);

/// Within which a cancelled call is gone, but for what the cores stood still.
const PROMPT: Duration = Duration::from_millis(50);

/// So long a core has to stand still before that explains another end than expected.
const STOOD: Duration = Duration::from_millis(50);

/// In which `/proc` counts, on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// Limits for whoever is to go on for longer than the test.
const LONG: &[&str] = &["deadline=5m", "cpu=5m"];

fn load(desk: &Desk, guest: &str, name: &str, more: &[&str], limits: &[&str]) {
    let file = format!("{name}.wasm");
    desk.write(&file, guests::bytes(guest));
    let mut args = vec!["load", &file, "--name", name, "--allow-unsigned"];
    for limit in limits {
        args.extend(["--limit", limit]);
    }
    for grant in more {
        args.extend(["--grant", grant]);
    }
    desk.odeon(&args).ended(0);
}

/// What the system says this process has used of its processors so far.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name in brackets may hold anything; the 14th and 15th field come after.
    let (_, after) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = after
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// The process uses less than 2 % of a core over the second that begins now.
#[track_caller]
fn assert_quiet(server: &Server, after: &str) {
    let share = share_of_a_core(|| processor_time(server.pid()));
    assert!(
        share < QUIET,
        "after {after}: odeon serve uses {share:.3} of a core"
    );
}

/// How long 99 of 100 answers take at most. What the cores stood still during one of
/// them is not its own.
async fn p99(peer: &mut Peer) -> Duration {
    const CALLS: usize = 500;
    let args = crate::peer::two(2, 3);
    let stalls = Stalls::watch();
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        let reply = peer.call("good/add", &args).await;
        times.push((began, Instant::now()));
        assert_eq!(reply.body, 5_u32.to_le_bytes());
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    stalls.p99(&times)
}

/// Falls with `HostState::must_stop` for time and processor time, with
/// `Meter::memory_growing` for memory, and with `drive::watch` for what waits.
#[test]
fn timed_odeon_serve_stops_hostile_guests_and_is_quiet_again() {
    let desk = Desk::in_memory();
    let server = desk.serve_on_two_cores(&[]);
    let tight = &["deadline=300ms", "cpu=5m", "memory=16MiB"];
    load(&desk, "guest-echo", "good", &[], &[]);
    load(&desk, "guest-spin", "spin", &[], tight);
    load(&desk, "guest-concurrent", "lifted", &[], tight);
    load(&desk, "wat-start-spins", "starts", &[], tight);
    load(&desk, "guest-spin", "burns", &[], &["deadline=5m", "cpu=300ms"]);
    let socket = desk.socket();
    Runtime::new().unwrap().block_on(async {
        let mut peer = Peer::greeted(&socket).await;
        for (method, args, code) in [
            ("spin/cpu.spin", vec![], Code::DeadlineLimit),
            ("spin/wait.sleep-forever", vec![], Code::DeadlineLimit),
            (
                "spin/wait.drip",
                1_u32.to_le_bytes().to_vec(),
                Code::DeadlineLimit,
            ),
            ("spin/flood.log-forever", vec![], Code::DeadlineLimit),
            ("spin/flood.stdout-forever", vec![], Code::DeadlineLimit),
            ("lifted/work.spin", vec![], Code::DeadlineLimit),
            ("lifted/output.flood", vec![], Code::DeadlineLimit),
            ("starts/answer", vec![], Code::DeadlineLimit),
            ("spin/memory.allocate-until-abort", vec![], Code::MemoryLimit),
            (
                "spin/cpu.recurse",
                u64::MAX.to_le_bytes().to_vec(),
                Code::StackLimit,
            ),
            ("spin/flood.pollables-forever", vec![], Code::HandleLimit),
            ("burns/cpu.spin", vec![], Code::CpuLimit),
            ("burns/cpu.spin-with-host-calls", vec![], Code::CpuLimit),
        ] {
            let (used, Took { wall, lost }) = loop {
                let stalls = Stalls::watch();
                let (began, used) = (Instant::now(), processor_time(server.pid()));
                let reply = peer.call(method, &args).await;
                let (ended, used) = (Instant::now(), processor_time(server.pid()) - used);
                let (found, took) = (reply.fault.map(|fault| fault.code), stalls.between(began, ended));
                if found == Some(code) {
                    break (used, took);
                }
                // A guest whose core stood still meets its deadline before what it
                // was to meet.
                assert!(
                    took.lost >= STOOD && found == Some(Code::DeadlineLimit),
                    "{method}: {found:?} after {took:?}"
                );
            };
            let took = match code {
                // A limit on processor time is measured in it. Where the ticker's core
                // stands still, the guest's goes on.
                Code::CpuLimit => used,
                _ => wall,
            };
            assert!(took <= LIMIT + SLACK + lost, "{method}: {took:?}, {lost:?}");
            assert_quiet(&server, method);
        }
        let sum = peer.call("good/add", &crate::peer::two(2, 3)).await;
        assert_eq!(sum.body, 5_u32.to_le_bytes());
    });
}

/// Keeps these calls under way: whoever is stopped begins again.
async fn keep_going(socket: &Path, calls: &[(&'static str, Vec<u8>)]) {
    let mut peer = Peer::greeted(socket).await;
    let mut open = std::collections::HashMap::new();
    for (method, args) in calls {
        let id = peer.begin(method, args).await;
        open.insert(id, (*method, args.clone()));
    }
    loop {
        // Two of them end every few milliseconds.
        let ended = peer.next().await.expect("the daemon goes on").id;
        let (method, args) = open.remove(&ended).expect("a reply to one of them");
        let id = peer.begin(method, &args).await;
        open.insert(id, (method, args));
    }
}

/// Falls with `drive::turn` and `Inner::background`.
#[test]
fn timed_a_neighbour_in_odeon_serve_answers_in_time() {
    const ALWAYS: Duration = Duration::from_millis(10);
    let desk = Desk::in_memory();
    let server = desk.serve_on_two_cores(&[]);
    load(&desk, "guest-echo", "good", &[], &[]);
    load(&desk, "guest-spin", "spin", &[], LONG);
    load(&desk, "guest-concurrent", "lifted", &[], LONG);
    let socket = desk.socket();
    Runtime::new().unwrap().block_on(async {
        let mut peer = Peer::greeted(&socket).await;
        p99(&mut peer).await;
        let alone = p99(&mut peer).await;
        let calls = [
            ("spin/cpu.spin", Vec::new()),
            ("spin/cpu.spin-with-host-calls", Vec::new()),
            ("spin/flood.log-forever", Vec::new()),
            ("spin/wait.drip", 0_u32.to_le_bytes().to_vec()),
            ("spin/memory.allocate-until-abort", Vec::new()),
            ("spin/cpu.recurse", u64::MAX.to_le_bytes().to_vec()),
            ("lifted/work.spin", Vec::new()),
            ("lifted/output.flood", Vec::new()),
        ];
        let hostile = keep_going(&socket, &calls);
        let measured = async {
            let busy = || {
                let status = desk.odeon(&["status", "--json"]).ended(0).json();
                status["status"]["in_flight"].as_array().unwrap().len()
            };
            let until = Instant::now() + PATIENCE;
            while tokio::task::block_in_place(busy) < 6 {
                assert!(Instant::now() < until, "they never all ran");
                tokio::task::yield_now().await;
            }
            // One percentile is one sample of what the machine did meanwhile.
            let mut beside = [p99(&mut peer).await, p99(&mut peer).await, p99(&mut peer).await];
            beside.sort();
            beside[1]
        };
        let beside = tokio::select! {
            () = hostile => unreachable!("it has no end"),
            beside = measured => beside,
        };
        // Before and after: what others do on the machine comes and goes.
        for name in ["spin", "lifted"] {
            desk.odeon(&["unload", name, "--now"]).ended(0);
        }
        let mut peer = Peer::greeted(&socket).await;
        let alone = alone.max(p99(&mut peer).await);
        let most = (3 * alone).max(ALWAYS);
        assert!(
            beside <= most,
            "alone {alone:?}, beside hostile guests expected at most {most:?}, found {beside:?}"
        );
    });
    assert_quiet(&server, "what was unloaded");
    let sum = desk.odeon(&["call", "good/add", "2", "3"]).ended(0);
    assert_eq!(sum.stdout, "5\n");
}

/// The serial of the one call under way, when there is one.
fn under_way(desk: &Desk) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = desk.odeon(&["status", "--json"]).ended(0).json();
        if let Some(row) = status["status"]["in_flight"].as_array().unwrap().first() {
            return row["serial"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < until, "the call never began");
    }
}

/// Waits for the end without a pause in between.
fn ended(child: &mut Child) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE, "the call never ended");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn median(times: Vec<Took>) -> Duration {
    let mut times: Vec<_> = times.into_iter().map(Took::own).collect();
    times.sort();
    times[times.len() / 2]
}

/// What `odeon cancel` itself takes is what any command takes. Falls with
/// `drive::watch`.
#[test]
fn timed_odeon_cancel_ends_a_call_inside_every_kind_of_host_call() {
    let desk = Desk::in_memory();
    let (sink, drip, full) = (harness::Server::sink().0, drip(), Full::new());
    let ports = [sink.port(), drip.port(), full.port()];
    let grants: Vec<String> = ports
        .iter()
        .flat_map(|port| [format!("tcp=127.0.0.1:{port}"), format!("http=127.0.0.1:{port}")])
        .collect();
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    std::fs::create_dir(desk.path("data")).unwrap();
    std::fs::File::create(desk.path("data/large"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let data = format!("fs={}::/data,rw", desk.path("data").display());
    let _server = desk.serve_on_two_cores(&[]);
    load(&desk, "guest-egress", "web", &grants, LONG);
    load(&desk, "guest-concurrent", "lifted", &grants, LONG);
    load(
        &desk,
        "guest-fs-escape",
        "files",
        &[&data],
        &[
            "deadline=5m",
            "cpu=5m",
            "fs-bytes-written=1024GiB",
            "fs-file-size=1GiB",
        ],
    );
    load(&desk, "guest-spin", "spin", &[], LONG);
    let [sink, drip, full] = ports;
    let stalls = Stalls::watch();
    let command = || {
        let began = Instant::now();
        desk.odeon(&["status", "--json"]).ended(0);
        stalls.since(began)
    };
    let mut slow = Vec::new();
    for call in [
        format!("web/web.request(false, \"127.0.0.1:{sink}\", \"/\")"),
        format!("web/web.download(\"127.0.0.1:{drip}\", \"/\")"),
        format!("web/web.request(false, \"127.0.0.1:{full}\", \"/\")"),
        format!("web/sockets.tcp-connect(\"127.0.0.1\", {full})"),
        format!("web/sockets.tcp-exchange(\"127.0.0.1\", {sink}, [1])"),
        format!("lifted/web.request(\"127.0.0.1:{sink}\", \"/\")"),
        format!("lifted/sockets.tcp-exchange(\"127.0.0.1\", {sink}, [1])"),
        "files/fill.read-forever(\"/data\", \"large\", 65536)".to_owned(),
        "files/fill.overwrite-forever(\"/data\", \"large\", 16777216)".to_owned(),
        "spin/wait.sleep-forever".to_owned(),
        "spin/wait.poll-forever(500)".to_owned(),
    ] {
        // In turns, so that a command takes as long beside the one as it does in the
        // other.
        let (mut times, mut commands) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            commands.extend([command(), command()]);
            let mut child = desk
                .command(&["call", &call, "--json"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let serial = under_way(&desk);
            let began = Instant::now();
            desk.odeon(&["cancel", &serial]).ended(0);
            ended(&mut child);
            times.push(stalls.since(began));
            let output = child.wait_with_output().unwrap();
            let said: Json = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(
                (output.status.code(), &said["fault"]["code"], &said["serial"]),
                (Some(5), &Code::Cancelled.as_str().into(), &serial.into()),
                "{call}: {said}"
            );
        }
        let rows = desk.odeon(&["list", "--json"]).ended(0).json();
        let left = rows["plugins"].as_array().unwrap();
        assert!(left.iter().all(|row| row["instances"] == 0), "{call}: {rows}");
        let took = median(times).saturating_sub(median(commands));
        if took > PROMPT {
            slow.push(format!("{call}: {took:?}"));
        }
    }
    assert!(slow.is_empty(), "expected within {PROMPT:?}: {slow:#?}");
}
