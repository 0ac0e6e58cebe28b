//! Start time, memory and call latency of one host, and of two in one process,
//! with 1, 10, 100 and 1,000 plugins of a hundred digests. What a start takes, and
//! what the calls of all plugins take, is measured in processes of its own: what
//! a process gave back would serve what comes after.

use odeon::Host;
use odeon_tests::ground::{Ground, Started, Taken, WORKERS, add, raise_open_files, threads};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::apart::taken;
use crate::latency::{beside, of_each, of_one};

const STEPS: [usize; 4] = [1, 10, 100, 1_000];

/// Descriptors that a process may open when plugins are first called, whatever
/// their number.
const OPENED_ONCE: usize = 8;

/// The grounds of each step.
struct Grounds {
    _folder: TempDir,
    steps: Vec<Vec<Ground>>,
}

/// So many for each step, for as many hosts at once.
fn grounds(tokio: &Runtime, hosts: usize) -> Grounds {
    // In memory: what a disk does is another test's.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let compiled = tokio.block_on(Ground::make(folder.path().join("compiled")));
    let of = |plugins: usize| {
        let place = |number| folder.path().join(format!("{plugins}-{number}"));
        (0..hosts)
            .map(|number| compiled.again(place(number), plugins))
            .collect()
    };
    let steps = STEPS.map(of).into();
    Grounds {
        _folder: folder,
        steps,
    }
}

/// Starts the hosts of every step in this process.
fn start(tokio: &Runtime, grounds: &Grounds) -> Vec<Vec<Started>> {
    let of =
        |grounds: &Vec<Ground>| tokio.block_on(futures::future::join_all(grounds.iter().map(Ground::start)));
    grounds.steps.iter().map(of).collect()
}

fn end(tokio: &Runtime, started: Vec<Vec<Started>>) {
    let hosts = started.into_iter().flatten().map(Started::end);
    tokio.block_on(futures::future::join_all(hosts));
}

/// What each of so many plugins takes of something, beside what the first one
/// takes with its host.
fn each(all: &[Taken], step: usize, of: fn(&Taken) -> f64) -> f64 {
    let (first, all) = (of(&all[0]), of(&all[step]));
    match STEPS[step] {
        1 => first,
        more => (all - first) / (more - 1) as f64,
    }
}

/// Fails unless each of 1,000 plugins takes no more than so much of what each of
/// 100 does.
fn assert_grows_evenly(what: &str, all: &[Taken], of: fn(&Taken) -> f64, most: f64) {
    let (few, many) = (each(all, 2, of), each(all, 3, of));
    assert!(
        many <= most * few,
        "{what}: {many:.3} for each of 1,000 plugins, {few:.3} for each of 100"
    );
}

/// Fails unless the calls of so many plugins have opened a file for each of them
/// and each worker, and no more. More than one for each: both workers have served.
fn assert_opened(taken: &Taken, plugins: usize) {
    let (one_worker, most) = (plugins + OPENED_ONCE, WORKERS * plugins + OPENED_ONCE);
    assert!(
        taken.opened <= most && (plugins <= OPENED_ONCE || taken.opened > one_worker),
        "{} descriptors for {plugins} plugins on {WORKERS} workers",
        taken.opened
    );
}

/// Enforced by `registry::Names`, which are looked up and not searched, and by
/// `Shared::template`, beside which no native code is kept.
#[test]
fn storm_curves_of_one_host() {
    raise_open_files();
    let tokio = threads();
    let grounds = grounds(&tokio, 1);
    let all: Vec<Taken> = grounds.steps.iter().map(|grounds| taken(grounds)).collect();
    let started = start(&tokio, &grounds);
    let hosts: Vec<&Host> = started.iter().map(|hosts| &hosts[0].host).collect();
    let same = of_one(&hosts);
    let with_plugins: Vec<_> = hosts.iter().copied().zip(STEPS).collect();
    let in_turn = of_each(&with_plugins);

    println!(
        "one host of {WORKERS} workers; memory before, and after a call of each plugin from two threads:"
    );
    println!(
        "plugins  start ms  more each ms  memory KiB  more each KiB  called KiB  more each KiB  files  first call us  \
         call ns  each in turn ns"
    );
    for (step, found) in all.iter().enumerate() {
        println!(
            "{:>7}  {:>8.1}  {:>12.3}  {:>10.0}  {:>13.1}  {:>10.0}  {:>13.1}  {:>5}  {:>13.1}  {:>7.0}  {:>15.0}",
            STEPS[step],
            found.time,
            each(&all, step, |taken| taken.time),
            found.loaded,
            each(&all, step, |taken| taken.loaded),
            found.called,
            each(&all, step, |taken| taken.called),
            found.opened,
            found.first,
            same[step],
            in_turn[step]
        );
        assert_opened(found, STEPS[step]);
    }
    assert_grows_evenly("start, ms", &all, |taken| taken.time, 1.5);
    assert_grows_evenly("memory, KiB", &all, |taken| taken.loaded, 1.25);
    assert_grows_evenly("memory after calls, KiB", &all, |taken| taken.called, 1.25);
    // Its code once more, for the other worker, and what its instances begin with.
    let (loaded, called) = (
        each(&all, 3, |taken| taken.loaded),
        each(&all, 3, |taken| taken.called),
    );
    assert!(
        called <= 3.0 * loaded,
        "a plugin's memory: {called:.1} KiB after calls, {loaded:.1} KiB before"
    );
    assert!(
        all[3].first <= 3.0 * all[2].first,
        "a first call: {:.1} us of 1,000 plugins, {:.1} us of 100",
        all[3].first,
        all[2].first
    );
    assert!(
        same[3] <= 1.3 * same[0],
        "a call: {:.0} ns beside 999 other plugins, {:.0} ns beside none",
        same[3],
        same[0]
    );
    // Nothing of a plugin that was not called for so long is near the processor,
    // and its memory is another one's by now.
    assert!(
        in_turn[3] <= 10.0 * in_turn[0],
        "a call: {:.0} ns of one plugin after the other, {:.0} ns of the same one",
        in_turn[3],
        in_turn[0]
    );
    end(&tokio, started);
}

/// Enforced by `Shard`, of which each host has its own.
#[test]
fn storm_curves_of_two_hosts() {
    raise_open_files();
    let tokio = threads();
    let grounds = grounds(&tokio, 2);
    println!("one host, and two in one process, each with as many plugins; memory as above, of all:");
    println!("plugins  start ms  two  memory KiB  two  called KiB  two");
    for (step, pair) in grounds.steps.iter().enumerate() {
        let (one, two) = (taken(&pair[..1]), taken(pair));
        println!(
            "{:>7}  {:>8.1} {:>8.1}  {:>10.0} {:>10.0}  {:>10.0} {:>10.0}",
            STEPS[step], one.time, two.time, one.loaded, two.loaded, one.called, two.called
        );
        assert_opened(&two, 2 * STEPS[step]);
        // Twice of everything, on as many cores; a start with few plugins is over
        // before it can be compared.
        assert!(
            STEPS[step] < 100 || two.time <= 3.0 * one.time,
            "a start with {} plugins: {:.1} ms of one host, {:.1} ms of two",
            STEPS[step],
            one.time,
            two.time
        );
        for (what, one, two) in [
            ("loaded", one.loaded, two.loaded),
            ("called", one.called, two.called),
        ] {
            assert!(
                two <= 2.0 * 1.25 * one,
                "memory of {} plugins, {what}: {one:.0} KiB of one host, {two:.0} KiB of two",
                STEPS[step]
            );
        }
    }
    let mut started = start(&tokio, &grounds);
    println!("plugins  call ns  beside work ns  beside the other's calls ns");
    for (step, pair) in started.iter().enumerate() {
        let [one, other] = &pair[..] else {
            panic!("expected two hosts, found {}", pair.len());
        };
        let found = beside(&one.host, &other.host);
        println!(
            "{:>7}  {:>7.0}  {:>14.0}  {:>27.0}",
            STEPS[step], found.nothing, found.work, found.calls
        );
        // Work of any kind on the next core may cost a core something.
        assert!(
            found.calls <= 1.5 * found.work,
            "a call of one host: {:.0} ns while the other is called, {:.0} ns beside other work",
            found.calls,
            found.work
        );
    }
    // What one of them does is nothing to the other.
    let one = started[3].remove(0);
    tokio.block_on(one.end());
    let other = &started[3][0].host;
    assert_eq!(other.list().len(), 1_000);
    add(other, "p999/add");
    end(&tokio, started);
}
