//! Start time, memory and call latency of one host, and of two in one process,
//! with 1, 10, 100 and 1,000 plugins. Each in a test, and so a process, of its own:
//! what one gave back would serve the other.

use std::time::Duration;

use odeon::Host;
use odeon_tests::footprint::resident;
use tokio::runtime::Runtime;

use crate::ground::{Ground, Started, raise_open_files};
use crate::latency::{beside, of_each, of_one};

const STEPS: [usize; 4] = [1, 10, 100, 1_000];

/// Starts of each, of which the middle one counts.
const STARTS: usize = 3;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// What each of so many plugins takes of something, beside what the first one
/// takes with its host.
fn each(of: f64, first: f64, plugins: usize) -> f64 {
    match plugins {
        1 => first,
        more => (of - first) / (more - 1) as f64,
    }
}

/// What starting with so many plugins takes.
struct Start {
    /// In milliseconds: the median.
    time: f64,
    /// In KiB.
    memory: f64,
}

/// Starts as many hosts at once as there are grounds. Gives the time until all
/// of them serve, and what the process has grown by.
async fn start(grounds: &[Ground]) -> (Vec<Started>, Duration, u64) {
    let before = resident();
    let started = futures::future::join_all(grounds.iter().map(Ground::start)).await;
    let took = started.iter().map(|started| started.took).max().unwrap();
    (started, took, resident().saturating_sub(before))
}

async fn end(hosts: Vec<Started>) {
    futures::future::join_all(hosts.into_iter().map(Started::end)).await;
}

/// Starts the hosts of each step again and again, and leaves those of the last
/// time. Memory is that of the first: later ones find what it gave back.
fn starts(tokio: &Runtime, grounds: &[Vec<Ground>]) -> (Vec<Start>, Vec<Vec<Started>>) {
    let mut times = vec![Vec::new(); grounds.len()];
    let mut memory = vec![0.0; grounds.len()];
    let mut left = Vec::new();
    // What a process takes once, whatever it starts.
    let (hosts, ..) = tokio.block_on(start(&grounds[0]));
    tokio.block_on(end(hosts));
    for round in 0..STARTS {
        for (step, grounds) in grounds.iter().enumerate() {
            let (hosts, took, grown) = tokio.block_on(start(grounds));
            times[step].push(took.as_secs_f64() * 1e3);
            if round == 0 {
                memory[step] = grown as f64;
            }
            if round + 1 == STARTS {
                left.push(hosts);
            } else {
                tokio.block_on(end(hosts));
            }
        }
    }
    let starts = times.into_iter().zip(memory).map(|(mut times, memory)| {
        times.sort_by(f64::total_cmp);
        let time = times[times.len() / 2];
        Start { time, memory }
    });
    (starts.collect(), left)
}

fn grounds(tokio: &Runtime, hosts: usize) -> Vec<Vec<Ground>> {
    let of = |plugins: usize| {
        let grounds = (0..hosts).map(|_| Ground::of(plugins));
        tokio.block_on(futures::future::join_all(grounds))
    };
    STEPS.map(of).into()
}

/// Enforced by `registry::Names`, which are looked up and not searched, and by
/// `Shared::template`, beside which no native code is kept.
#[test]
fn storm_curves_of_one_host() {
    raise_open_files();
    let tokio = runtime();
    let grounds = grounds(&tokio, 1);
    let (starts, started) = starts(&tokio, &grounds);
    let hosts: Vec<&Host> = started.iter().map(|hosts| &hosts[0].host).collect();
    let same = of_one(&hosts);
    let with_plugins: Vec<_> = hosts.iter().copied().zip(STEPS).collect();
    let in_turn = of_each(&with_plugins);

    println!("one host:");
    println!("plugins  start ms  more each ms  memory KiB  more each KiB  call ns  each in turn ns");
    let (time_of_one, memory_of_one) = (starts[0].time, starts[0].memory);
    let mut more = Vec::new();
    for (step, start) in starts.iter().enumerate() {
        let plugins = STEPS[step];
        let time = each(start.time, time_of_one, plugins);
        let memory = each(start.memory, memory_of_one, plugins);
        println!(
            "{plugins:>7}  {:>8.1}  {time:>12.3}  {:>10.0}  {memory:>13.1}  {:>7.0}  {:>15.0}",
            start.time, start.memory, same[step], in_turn[step]
        );
        more.push((time, memory));
    }
    let [_, _, (time_at_100, memory_at_100), (time_at_1000, memory_at_1000)] = more[..] else {
        panic!("expected four steps, found {more:?}");
    };
    assert!(
        time_at_1000 <= 1.5 * time_at_100,
        "a plugin's part of the start: {time_at_1000:.3} ms of 1,000, {time_at_100:.3} ms of 100"
    );
    assert!(
        memory_at_1000 <= 1.25 * memory_at_100,
        "a plugin's memory: {memory_at_1000:.1} KiB of 1,000, {memory_at_100:.1} KiB of 100"
    );
    assert!(
        same[3] <= 1.3 * same[0],
        "a call: {:.0} ns beside 999 other plugins, {:.0} ns beside none",
        same[3],
        same[0]
    );
    tokio.block_on(end(started.into_iter().flatten().collect()));
}

/// Enforced by `Shard`, of which each host has its own.
#[test]
fn storm_curves_of_two_hosts() {
    let tokio = runtime();
    let grounds = grounds(&tokio, 2);
    let (starts, mut started) = starts(&tokio, &grounds);
    println!("two hosts in one process, each with as many plugins:");
    println!("plugins  start ms  memory KiB each  call ns  beside work ns  beside the other's calls ns");
    for (step, pair) in started.iter().enumerate() {
        let [one, other] = &pair[..] else {
            panic!("expected two hosts, found {}", pair.len());
        };
        let found = beside(&one.host, &other.host);
        println!(
            "{:>7}  {:>8.1}  {:>15.0}  {:>7.0}  {:>14.0}  {:>27.0}",
            STEPS[step],
            starts[step].time,
            starts[step].memory / 2.0,
            found.nothing,
            found.work,
            found.calls
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
    let reply = other
        .call_encoded("p999/add", &[2, 0, 0, 0, 3, 0, 0, 0])
        .expect("a sum");
    assert_eq!(reply.bytes, [5, 0, 0, 0]);
    tokio.block_on(end(started.into_iter().flatten().collect()));
}
