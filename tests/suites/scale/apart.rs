//! What hosts take in processes of their own.

use std::process::Command;

use odeon_tests::ground::{Ground, Taken};

/// Processes of each, of which the middle one counts.
const ROUNDS: usize = 3;

/// What hosts take that start on these grounds at once: the medians.
pub(crate) fn taken(grounds: &[Ground]) -> Taken {
    let found: Vec<Taken> = (0..ROUNDS).map(|_| once(grounds)).collect();
    let median = |of: fn(&Taken) -> f64| {
        let mut all: Vec<f64> = found.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let mut opened: Vec<usize> = found.iter().map(|found| found.opened).collect();
    opened.sort_unstable();
    Taken {
        time: median(|taken| taken.time),
        loaded: median(|taken| taken.loaded),
        called: median(|taken| taken.called),
        first: median(|taken| taken.first),
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
