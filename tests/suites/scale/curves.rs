//! Start time, memory and call latency of one host, and of two in one process,
//! with 1, 10, 100 and 1,000 plugins of a hundred digests. What a start takes, and
//! what the calls of all plugins take, is measured in processes of its own: what
//! a process gave back would serve what comes after.
//!
//! What is asserted on is processor time where work is meant, and always the least
//! of many measurements made in turns: another's load, a core that is taken away
//! and a slower clock can only add, and fall on both sides of a comparison. Times
//! on the wall are printed, and may grow only as no load makes them grow.

use odeon_tests::ground::{Ground, Started, Taken, WORKERS, add, raise_open_files, threads};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::apart::taken;
use crate::latency::{beside, of_each, of_one};

const STEPS: [usize; 4] = [1, 10, 100, 1_000];

/// Descriptors that hosts may open when they start and are first called, whatever
/// the number of their plugins.
const OPENED_ONCE: usize = 64;

/// How many times as long a call may take while another host is called, as while
/// the other core does anything else.
const BESIDE: f64 = 1.5;

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

/// What is wrong if each of 1,000 plugins takes more than so much of what each of
/// 100 does.
fn uneven(what: &str, all: &[Taken], of: fn(&Taken) -> f64, most: f64) -> Option<String> {
    let (few, many) = (each(all, 2, of), each(all, 3, of));
    (many > most * few)
        .then(|| format!("{what}: {many:.3} for each of 1,000 plugins, {few:.3} for each of 100"))
}

/// All that is wrong with how a host grows.
fn wrong_with_one(all: &[Taken]) -> Vec<String> {
    // Its code once more, for the other worker, and what its instances begin with.
    let (loaded, called) = (
        each(all, 3, |taken| taken.loaded),
        each(all, 3, |taken| taken.called),
    );
    let wrong = [
        uneven("start, ms of processor time", all, |taken| taken.cpu, 1.5),
        // A short start can miss what the machine does to each long one.
        uneven("start, ms", all, |taken| taken.time, 3.0),
        uneven("memory, KiB", all, |taken| taken.loaded, 1.25),
        uneven("memory after calls, KiB", all, |taken| taken.called, 1.25),
        (called > 3.0 * loaded)
            .then(|| format!("a plugin's memory: {called:.1} KiB after calls, {loaded:.1} KiB before")),
        (all[3].first > 3.0 * all[2].first).then(|| {
            let (many, few) = (all[3].first, all[2].first);
            format!("a first call: {many:.1} us of 1,000 plugins, {few:.1} us of 100")
        }),
    ];
    wrong.into_iter().flatten().collect()
}

/// All that is wrong with what two hosts take, beside what one does: twice of
/// everything, on as many cores. A start with few plugins is over before it can be
/// compared.
fn wrong_with_two(plugins: usize, one: &Taken, two: &Taken) -> Vec<String> {
    let times = [("wall", one.time, two.time), ("processor", one.cpu, two.cpu)];
    let memory = [
        ("loaded", one.loaded, two.loaded),
        ("called", one.called, two.called),
    ];
    let slow = times
        .iter()
        .filter(|(_, one, two)| plugins >= 100 && *two > 3.0 * one)
        .map(|(what, one, two)| format!("a start, ms on the {what}: {one:.1} of one host, {two:.1} of two"));
    let large = memory
        .iter()
        .filter(|(_, one, two)| *two > 2.0 * 1.25 * one)
        .map(|(what, one, two)| format!("memory, {what}: {one:.0} KiB of one host, {two:.0} KiB of two"));
    slow.chain(large).collect()
}

/// Fails unless so many plugins have opened the file of their native code once for
/// themselves and once for each worker, and no more. More than for one worker: both
/// have served.
fn assert_opened(taken: &Taken, plugins: usize) {
    let (one_worker, most) = (2 * plugins + OPENED_ONCE, (1 + WORKERS) * plugins + OPENED_ONCE);
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
    let each_alone: Vec<&[Ground]> = grounds.steps.iter().map(Vec::as_slice).collect();
    let all = taken(&each_alone, |all| wrong_with_one(all).is_empty());
    let started = start(&tokio, &grounds);
    let hosts = [0, 1, 2, 3].map(|step| &started[step][0].host);
    let same_is_flat = |same: &[f64; 4]| same[3] <= 1.3 * same[0];
    let same = of_one(hosts, same_is_flat);
    // Nothing of a plugin that was not called for so long is near the processor,
    // and its memory is another one's by now.
    let in_turn_is_near = |in_turn: &[f64; 4]| in_turn[3] <= 10.0 * in_turn[0];
    let with_plugins = [0, 1, 2, 3].map(|step| (hosts[step], STEPS[step]));
    let in_turn = of_each(with_plugins, in_turn_is_near);

    println!(
        "one host of {WORKERS} workers; memory before, and after a call of each plugin from two threads:"
    );
    println!(
        "plugins  start ms   cpu ms  more each ms  memory KiB  more each KiB  called KiB  more each KiB  files  first call us  \
         call ns  each in turn ns"
    );
    for (step, found) in all.iter().enumerate() {
        println!(
            "{:>7}  {:>8.1} {:>8.1}  {:>12.3}  {:>10.0}  {:>13.1}  {:>10.0}  {:>13.1}  {:>5}  {:>13.1}  {:>7.0}  {:>15.0}",
            STEPS[step],
            found.time,
            found.cpu,
            each(&all, step, |taken| taken.cpu),
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
    let wrong = wrong_with_one(&all);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        same_is_flat(&same),
        "a call: {:.0} ns beside 999 other plugins, {:.0} ns beside none",
        same[3],
        same[0]
    );
    assert!(
        in_turn_is_near(&in_turn),
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
    println!("plugins  start ms  two   cpu ms  two  memory KiB  two  called KiB  two");
    for (step, pair) in grounds.steps.iter().enumerate() {
        let plugins = STEPS[step];
        let both = taken(&[&pair[..1], pair], |both| {
            wrong_with_two(plugins, &both[0], &both[1]).is_empty()
        });
        let (one, two) = (both[0], both[1]);
        println!(
            "{plugins:>7}  {:>8.1} {:>8.1}  {:>8.1} {:>8.1}  {:>10.0} {:>10.0}  {:>10.0} {:>10.0}",
            one.time, two.time, one.cpu, two.cpu, one.loaded, two.loaded, one.called, two.called
        );
        assert_opened(&two, 2 * plugins);
        let wrong = wrong_with_two(plugins, &one, &two);
        assert!(wrong.is_empty(), "with {plugins} plugins each: {wrong:#?}");
    }
    let mut started = start(&tokio, &grounds);
    println!("plugins  call ns  beside work ns  beside the other's calls ns");
    for (step, pair) in started.iter().enumerate() {
        let [one, other] = &pair[..] else {
            panic!("expected two hosts, found {}", pair.len());
        };
        // Work of any kind on the next core may cost a core something.
        let found = beside(&one.host, &other.host, BESIDE);
        println!(
            "{:>7}  {:>7.0}  {:>14.0}  {:>27.0}",
            STEPS[step], found.nothing, found.work, found.calls
        );
        assert!(
            found.holds(BESIDE),
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
