//! What hosts take in processes of their own.
//!
//! The grounds that are compared are started on in turns, and of everything the
//! least counts: whatever else the machine does can only add to it. A comparison
//! that does not hold is given more turns, so that each of them meets a quiet
//! moment; what takes too much takes it in every turn.

use std::process::Command;

use odeon_tests::ground::{Ground, Taken};

/// Processes of each at least.
const ROUNDS: usize = 3;

/// Processes of each as long as the comparison does not hold.
const MOST: usize = 7;

/// What hosts take that start on each of these grounds at once.
pub(crate) fn taken(grounds: &[&[Ground]], holds: impl Fn(&[Taken]) -> bool) -> Vec<Taken> {
    let mut found = vec![Vec::new(); grounds.len()];
    loop {
        for (grounds, found) in grounds.iter().zip(&mut found) {
            found.push(once(grounds));
        }
        let rounds = found[0].len();
        let all: Vec<Taken> = found.iter().map(|found| least(found)).collect();
        if rounds >= MOST || (rounds >= ROUNDS && holds(&all)) {
            return all;
        }
    }
}

/// The least of everything, and the middle of a number that is no cost.
fn least(found: &[Taken]) -> Taken {
    let least = |of: fn(&Taken) -> f64| found.iter().map(of).fold(f64::INFINITY, f64::min);
    let mut opened: Vec<usize> = found.iter().map(|found| found.opened).collect();
    opened.sort_unstable();
    Taken {
        time: least(|taken| taken.time),
        cpu: least(|taken| taken.cpu),
        loaded: least(|taken| taken.loaded),
        called: least(|taken| taken.called),
        first: least(|taken| taken.first),
        opened: opened[opened.len() / 2],
    }
}

fn once(grounds: &[Ground]) -> Taken {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.arg("--taken");
    for ground in grounds {
        command.arg(ground.folder()).arg(ground.plugins().to_string());
    }
    let output = command.output().expect("a process");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("what it took")
}
