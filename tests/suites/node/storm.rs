//! Ten thousand replaces under load: nothing is lost, nothing is answered by
//! what was replaced, and nothing is left behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use odeon::{Args, CallOptions, CallRequest, Host, Outcome, ReplaceRequest, Source};
use odeon_protocol::PluginName;
use odeon_tests::guests;

use crate::host::{builder, few_loads, load, outcome, soon};

/// Replaces of the plugin whose calls are short.
const SHORT: u64 = 9_500;

/// So many before memory is looked at: histories with a bound (of requests, of
/// log lines) and the allocator's own pools fill once, and stay filled.
const WARM_UP: u64 = 9_500;

/// One of so many is of the plugin whose calls take a while.
const SLOW_EVERY: u64 = 19;

/// The generation that serves, and whether the load goes on.
#[derive(Default)]
struct Stage {
    short: AtomicU64,
    slow: AtomicU64,
    done: AtomicBool,
}

impl Stage {
    fn goes_on(&self) -> bool {
        !self.done.load(Ordering::SeqCst)
    }
}

/// What the generation with this number answers: three versions take turns, so
/// that the one before and the one after a generation differ from each other.
fn answer_of(generation: u64) -> String {
    ((generation - 1) % 3 + 1).to_string()
}

/// A replace that is not watched, so that nothing is kept for its return.
fn by(name: &PluginName, path: &Path) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        health_window: Duration::ZERO,
        ..ReplaceRequest::new(name.clone(), Source::Component(path.to_owned()))
    }
}

/// Calls and checks until the storm is over; how many.
async fn calls(host: Host, stage: Arc<Stage>) -> u64 {
    let mut made = 0;
    while stage.goes_on() {
        let before = stage.short.load(Ordering::SeqCst);
        let reply = host
            .call("v/answer", Args::Wave(""), CallOptions::default())
            .await
            .expect("no call is lost");
        check(before, reply.generation.0, &reply.wave().unwrap());
        made += 1;
    }
    made
}

async fn requests(host: Host, stage: Arc<Stage>) -> u64 {
    let mut made = 0;
    while stage.goes_on() {
        let before = stage.short.load(Ordering::SeqCst);
        let (_, mut watcher) = host
            .request(CallRequest::new("v/busy", Args::Wave("5000")))
            .expect("every request is taken");
        match outcome(&mut watcher).await {
            Outcome::Succeeded(answer) => check(before, answer.generation.0, &answer.body[0].to_string()),
            other => panic!("no request is lost: {other:?}"),
        }
        made += 1;
    }
    made
}

async fn slow_calls(host: Host, stage: Arc<Stage>) -> u64 {
    let mut made = 0;
    while stage.goes_on() {
        let before = stage.slow.load(Ordering::SeqCst);
        let reply = host
            .call("s/wait.sleep", Args::Wave("50"), CallOptions::default())
            .await
            .expect("no slow call is lost");
        assert!(
            reply.generation.0 >= before,
            "{} after {before}",
            reply.generation.0
        );
        made += 1;
    }
    made
}

fn check(before: u64, generation: u64, answer: &str) {
    assert!(
        generation >= before,
        "{generation} answered after {before} had come"
    );
    assert_eq!(answer, answer_of(generation), "generation {generation}");
}

/// Calls as an embedding program does, on a thread of its own.
fn on_a_thread(host: &Host, stage: &Arc<Stage>, typed: bool) -> std::thread::JoinHandle<u64> {
    let (host, stage) = (host.clone(), stage.clone());
    std::thread::spawn(move || {
        let by_type = host.typed::<(), (u32,)>("v/answer").unwrap();
        let by_name = host.method("v/answer").unwrap();
        let mut made = 0;
        while stage.goes_on() {
            let before = stage.short.load(Ordering::SeqCst);
            let answer = match typed {
                true => by_type.call(()).expect("no call is lost").0,
                false => u32::from(by_name.call(&[]).expect("no call is lost").bytes[0]),
            };
            // What served when it was made, or what had come when it ended; the
            // number of the latter is told a moment after it serves.
            let after = stage.short.load(Ordering::SeqCst) + 1;
            assert!(
                (before..=after).any(|generation| answer.to_string() == answer_of(generation)),
                "{answer} between {before} and {after}"
            );
            made += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
        made
    })
}

/// Waits until every old generation is gone.
async fn nobody_leaves(host: &Host) {
    soon("every old generation is gone", || {
        host.status_dump()["replaced"]
            .as_array()
            .is_some_and(Vec::is_empty)
    })
    .await;
}

/// Resident memory of this process in KiB, and its open descriptors.
fn footprint() -> (u64, usize) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let resident = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (resident, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

/// Enforced by `Inner::enter` and the loops of `call`, which follow a call to the
/// new generation; by `Gate::retire`, after which the old one admits nobody; and
/// by `Host::see_off`, which lets go of what was replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_ten_thousand_replaces_lose_nothing_and_leave_nothing() {
    // In memory: what a disk does is another test's.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let host = builder()
        .workers(2)
        .state_dir(folder.path())
        .host_limits(few_loads(60_000))
        .start()
        .unwrap();
    // The same code with another digest.
    let other = folder.path().join("spin-2.wasm");
    let mut bytes = guests::bytes("guest-spin");
    bytes.extend([0, 3, 1, b'x', b'y']);
    std::fs::write(&other, bytes).unwrap();
    let slow = [guests::component("guest-spin"), other];
    let short = [
        guests::component("wat-version-one"),
        guests::component("wat-version-two"),
        guests::component("wat-version-three"),
    ];
    load(&host, "wat-version-one", "v").await;
    load(&host, "guest-spin", "s").await;
    let (v, s) = ("v".parse().unwrap(), "s".parse().unwrap());

    let stage = Arc::new(Stage::default());
    stage.short.store(1, Ordering::SeqCst);
    stage.slow.store(1, Ordering::SeqCst);
    let threads: Vec<_> = [true, false]
        .map(|typed| on_a_thread(&host, &stage, typed))
        .into();
    let mut callers = Vec::new();
    for _ in 0..2 {
        callers.push(tokio::spawn(calls(host.clone(), stage.clone())));
        callers.push(tokio::spawn(requests(host.clone(), stage.clone())));
        callers.push(tokio::spawn(slow_calls(host.clone(), stage.clone())));
    }

    let mut footprints = Vec::new();
    let mut slow_replaces = 0_usize;
    for round in 0..WARM_UP + SHORT {
        let path = &short[(round as usize + 1) % 3];
        let report = host.replace(by(&v, path)).await.expect("a replace");
        stage.short.store(report.loaded.generation.0, Ordering::SeqCst);
        if round % SLOW_EVERY == 0 {
            slow_replaces += 1;
            let report = host
                .replace(by(&s, &slow[slow_replaces % 2]))
                .await
                .expect("a replace");
            stage.slow.store(report.loaded.generation.0, Ordering::SeqCst);
        }
        if round >= WARM_UP && round % 100 == 99 {
            // A generation that is leaving has memory, and a descriptor for what
            // its instances begin with.
            nobody_leaves(&host).await;
            footprints.push(footprint());
        }
    }
    stage.done.store(true, Ordering::SeqCst);
    let mut made = Vec::new();
    for caller in callers {
        made.push(caller.await.expect("the caller saw what it had to see"));
    }
    for thread in threads {
        let joined = tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
        made.push(joined.expect("the caller saw what it had to see"));
    }
    println!("calls of each caller: {made:?}");
    assert!(made.iter().all(|calls| *calls > 100), "{made:?}");
    nobody_leaves(&host).await;

    // Of memory the median of ten looks within each thousand. Of descriptors the
    // least of them: a look may meet a file that is being read, but what is never
    // closed is in every look.
    let looks = |of: &[(u64, usize)]| {
        let (mut memory, files): (Vec<_>, Vec<_>) = of.iter().copied().unzip();
        memory.sort_unstable();
        (memory[memory.len() / 2], files.into_iter().min().unwrap())
    };
    let (first, last) = (
        looks(&footprints[..10]),
        looks(&footprints[footprints.len() - 10..]),
    );
    println!(
        "each thousand: {:?}",
        footprints.chunks(10).map(looks).collect::<Vec<_>>()
    );
    println!("memory and descriptors: {first:?} in the first thousand, {last:?} in the last");
    assert!(last.0 * 100 <= first.0 * 105, "memory: {first:?}, {last:?}");
    assert!(last.1 <= first.1, "descriptors: {first:?}, {last:?}");
    host.shutdown(Duration::from_secs(5)).await;
}
