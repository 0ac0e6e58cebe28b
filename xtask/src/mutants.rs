//! `cargo xtask mutants`: is every enforcement missed when it is gone?
//!
//! Owns `target/mutants`: a copy of the tree in which one row of
//! `mutants.toml` at a time is applied, and a target folder of its own.
//! **Invariant:** the working tree is only read.

mod copy;
mod table;

use std::{fs, time::Instant};

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
    /// The changed code does not compile; the row proves nothing.
    NotCompiled,
    /// The filter matches no test; the row proves nothing.
    NoTests,
}

/// The exit statuses that nextest documents: a test failed, the filter matches
/// nothing, the tests do not compile.
const TEST_FAILED: i32 = 100;
const NO_TESTS: i32 = 4;
const BUILD_FAILED: i32 = 101;

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
    let copy = Copy::of(workspace)?;
    for mutant in &mutants {
        // Without a passing run beforehand a failing one would prove nothing.
        let end = judge(&copy, mutant)?;
        if end != End::Survived {
            bail!(
                "{}: its tests must pass on the unchanged tree, found {end:?}",
                mutant.name
            );
        }
    }
    let mut ends = Vec::new();
    for mutant in mutants {
        let began = Instant::now();
        let applied = copy.apply(mutant)?;
        let end = judge(&copy, mutant)?;
        drop(applied);
        println!(
            "{:<12} {:>6.1} s  {}",
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

/// What the row's tests say about the copy as it is now.
fn judge(copy: &Copy, mutant: &Mutant) -> Result<End> {
    let mut command = copy.cargo();
    command.args([
        "nextest",
        "run",
        "--release",
        "--package",
        &mutant.package,
        "-E",
        &mutant.tests,
    ]);
    let status = process::status(&mut command)?;
    match status.code() {
        Some(0) => Ok(End::Survived),
        Some(TEST_FAILED) => Ok(End::Killed),
        Some(NO_TESTS) => Ok(End::NoTests),
        Some(BUILD_FAILED) => Ok(End::NotCompiled),
        _ => bail!("nextest ended with {status}"),
    }
}
