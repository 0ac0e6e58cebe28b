//! Every kind of hostile guest on a host: each ends by the limit that is
//! nearest to it, with the right fault and in time, and what was stopped goes
//! on in no way.
//!
//! The tables are by the limit that they are about. A row that the host stops
//! is followed by a second in which the process may use next to nothing; a row
//! that is told no, and returns by itself, leaves nobody to be stopped.

mod files;
mod loading;
mod network;
mod room;
mod time;

use std::time::{Duration, Instant};

use odeon::{Args, CallOptions, Code, Host, LimitsPatch, Placing};
use odeon_authority::ClassWish;
use odeon_tests::clock::{busy_second, process_cpu};
use odeon_tests::stall::Stalls;

use crate::host::request;

/// What the limit on time is set to where that is what stops a guest.
const LIMIT: Duration = Duration::from_millis(300);

/// What a stop may take beyond its limit, besides what the cores stood still.
const SLACK: Duration = Duration::from_millis(100);

/// A guest whose core stood still for so long may have met its deadline before
/// what it was to meet.
const STOOD: Duration = Duration::from_millis(50);

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

/// Runs the table, and says at its end which rows were wrong. A row that ended
/// otherwise while a core stood still is run again; how often that was so.
async fn all_end(host: &Host, rows: &[Row], clock: Clock) -> usize {
    all_end_afresh(host, rows, clock, || {}).await
}

/// The same, where `afresh` takes away what a row that is run again has left.
async fn all_end_afresh(host: &Host, rows: &[Row], clock: Clock, afresh: impl Fn()) -> usize {
    let (mut wrong, mut again) = (Vec::new(), 0);
    for row in rows {
        let method = format!("{}/{}", row.guest, row.call);
        let (right, took, lost, found) = loop {
            let stalls = Stalls::watch();
            let (began, cpu) = (Instant::now(), process_cpu());
            let ended = host
                .call(&method, Args::Wave(&row.args), CallOptions::default())
                .await;
            let (over, cpu) = (Instant::now(), process_cpu() - cpu);
            // Before the stalls are asked for, which takes a moment.
            let listed = host.list();
            let plugin = listed
                .iter()
                .find(|plugin| plugin.name.as_str() == row.guest)
                .unwrap();
            if (plugin.instances, plugin.in_flight) != (0, 0) {
                wrong.push(format!("{method} has left an instance behind"));
            }
            let passed = stalls.between(began, over);
            let took = match clock {
                Clock::Wall => passed.wall,
                Clock::Processor => cpu,
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
            if right || passed.lost < STOOD {
                break (right, took, passed.lost, found);
            }
            again += 1;
            afresh();
        };
        if !right || took > LIMIT + SLACK + lost {
            let args = &row.args;
            wrong.push(format!(
                "{method}({args}) after {took:?}, {lost:?} of it nobody's: {found:.300}"
            ));
        }
        if let End::Stopped(_) = row.end {
            wrong.extend(busy_after(&method).await);
        }
    }
    wrong.extend(busy_after("the table").await);
    assert!(wrong.is_empty(), "{wrong:#?}");
    again
}

/// What is wrong with the second after a row, if something is.
async fn busy_after(what: &str) -> Option<String> {
    let busy = tokio::task::spawn_blocking(busy_second).await.unwrap();
    busy.map(|busy| format!("{what} leaves {busy}"))
}
