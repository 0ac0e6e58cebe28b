//! `cargo xtask mutants`: is every enforcement missed when it is gone?
//!
//! Owns `target/mutants`: a copy of the tree in which every row of
//! `mutants.toml` has a switch, built once, and the folder whose files are the
//! switches. One at a time is thrown.
//! **Invariant:** the working tree is only read.

mod copy;
mod table;

use std::{fs, process::Stdio, time::Instant};

use anyhow::{Context, Result, bail};

use self::copy::Copy;
pub(crate) use self::table::{Mutant, TABLE, Table};
use crate::{guests, process, workspace::Workspace};

/// The flags of `cargo xtask mutants`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the rows whose name contains one of these
    names: Vec<String>,
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A test failed, as it must.
    Killed,
    /// All tests passed without the enforcement.
    Survived,
    /// The filter matches no test; the row proves nothing.
    NoTests,
}

/// The exit statuses that nextest documents: a test failed, the filter matches
/// nothing.
const TEST_FAILED: i32 = 100;
const NO_TESTS: i32 = 4;

/// A busy machine can fail a timed test once, and would keep all rows from being
/// looked at.
const RETRIES: &str = "--retries=2";

/// Runs the rows. `false` unless every one was killed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let text =
        fs::read_to_string(workspace.root.join(TABLE)).with_context(|| format!("cannot read {TABLE}"))?;
    let table = Table::parse(&text)?;
    let wanted = |mutant: &&Mutant| {
        options.names.is_empty()
            || options
                .names
                .iter()
                .any(|name| mutant.name.contains(name.as_str()))
    };
    let mutants: Vec<_> = table.mutant.iter().filter(wanted).collect();
    if mutants.is_empty() {
        bail!("{TABLE} has no row of that name; it has {}", table.names());
    }

    guests::run(workspace)?;
    let copy = Copy::of(workspace, &table.mutant)?;
    process::run(
        copy.cargo()
            .args(["build", "--release", "--bins"])
            .args(packages(workspace)),
    )?;
    process::run(copy.nextest("run", &packages(workspace)).arg("--no-run"))?;
    // Without a passing run beforehand a failing one would prove nothing.
    println!("== no enforcement switched off");
    let all = mutants
        .iter()
        .map(|mutant| mutant.filter())
        .collect::<Vec<_>>()
        .join(" | ");
    copy.note_built(&packages(workspace))?;
    let status = process::status(copy.nextest_built().args([RETRIES, "-E", &all]))?;
    if !status.success() {
        bail!("the tests of {TABLE} must pass while nothing is switched off; nextest ended with {status}");
    }
    println!("== one at a time");
    let mut ends = Vec::new();
    for mutant in mutants {
        let began = Instant::now();
        let switched = copy.switch_off(mutant)?;
        let end = judge(&copy, mutant)?;
        drop(switched);
        println!(
            "{:<9} {:>6.1} s  {}",
            format!("{end:?}").to_lowercase(),
            began.elapsed().as_secs_f64(),
            mutant.name
        );
        ends.push((mutant, end));
    }
    let alive: Vec<_> = ends.iter().filter(|(_, end)| *end != End::Killed).collect();
    println!(
        "{} mutants, {} killed, {} not",
        ends.len(),
        ends.len() - alive.len(),
        alive.len()
    );
    for (mutant, end) in &alive {
        println!(
            "    {}: {end:?}: `{}` in {}",
            mutant.name,
            mutant.find.trim(),
            mutant.file
        );
    }
    Ok(alive.is_empty())
}

/// The packages whose tests there are. Always the same, so that nothing is
/// built twice.
fn packages(workspace: &Workspace) -> Vec<&str> {
    workspace
        .native()
        .flat_map(|package| ["-p", package.name.as_str()])
        .collect()
}

/// What the row's tests say while its enforcement is off. One that fails is
/// enough, so the rest is not waited for.
fn judge(copy: &Copy, mutant: &Mutant) -> Result<End> {
    let mut command = copy.nextest_built();
    command.args(["--profile", "mutants", "--fail-fast", "-E", &mutant.filter()]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cargo could not be started")?;
    match output.status.code() {
        Some(0) => Ok(End::Survived),
        Some(TEST_FAILED) => Ok(End::Killed),
        Some(NO_TESTS) => Ok(End::NoTests),
        _ => bail!(
            "{}: nextest ended with {}: {}",
            mutant.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}
