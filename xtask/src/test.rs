//! `cargo xtask test`: everything that CI runs, in one order, with one verdict.
//!
//! Owns the order of the steps and the counts. Tests, doctests and tidy checks
//! count one by one; any other step that fails counts as one failure.
//! **Invariant:** the last line of output is `N passed, N failed`.

mod count;
mod setup;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

pub(crate) use self::setup::path_with_tools;

use self::count::Count;
use crate::{guests, process, tidy, workspace::Workspace};

/// The flags of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out clippy, doctests and rustdoc
    #[arg(long)]
    fast: bool,
}

/// How one step ended.
enum Outcome {
    /// It ran, and this is what it counted.
    Counted(Count),
    /// It ran and there is nothing to count.
    Passed,
    /// It failed as a whole; the steps that need it are not run.
    Broken,
    /// It was not run, for this reason.
    NotRun(&'static str),
}

struct Step {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// Runs the steps. `false` when anything failed.
///
/// Only what cannot be compiled stops what comes after it: tests need guests,
/// doctests and rustdoc need crates that compile.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<bool> {
    let mut report = Report { steps: Vec::new() };
    let left_out = if options.fast { Some("--fast") } else { None };

    let ready = report.step("set-up", None, || passed(setup::run(workspace)));
    report.step("format", None, || {
        passed(process::run(workspace.cargo().args(["fmt", "--all", "--check"])))
    });
    report.step("tidy", None, || {
        tidy::count(workspace).map(|(passed, failed)| Outcome::Counted(Count { passed, failed }))
    });
    let built = report.step("guests", needs(ready, "set-up"), || {
        passed(guests::run(workspace))
    });
    report.step("clippy", left_out, || passed(clippy(workspace)));
    // The binary under test is the one that ships: built alone, without what
    // the tests turn on in its dependencies.
    let binary = report.step("binary", needs(built, "guests"), || {
        passed(process::run(workspace.cargo().args(["build", "--release"])))
    });
    let compiled = report.step("tests", needs(binary, "binary"), || tests(workspace));
    let skip = left_out.or(needs(compiled, "tests"));
    report.step("doctests", skip, || doctests(workspace));
    report.step("rustdoc", skip, || passed(rustdoc(workspace)));
    Ok(report.print())
}

/// The reason not to run a step whose ground is missing.
fn needs(there: bool, what: &'static str) -> Option<&'static str> {
    if there { None } else { Some(what) }
}

fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["clippy", "--release", "--all-targets"]);
    packages(
        &mut command,
        workspace.native().map(|package| package.name.as_str()),
    );
    process::run(command.args(["--", "-D", "warnings"]))?;
    guests::clippy(workspace)
}

fn tests(workspace: &Workspace) -> Result<Outcome> {
    // nextest keeps its files below the root, wherever cargo builds to.
    let junit = workspace.root.join("target/nextest/ci/junit.xml");
    if junit.exists() {
        fs::remove_file(&junit).context("cannot remove the last run's counts")?;
    }
    let mut command = workspace.cargo();
    command.env("PATH", setup::path_with_tools(workspace)?);
    command.args(["nextest", "run", "--release", "--profile", "ci", "--no-fail-fast"]);
    packages(
        &mut command,
        workspace.native().map(|package| package.name.as_str()),
    );
    if !rustix::process::geteuid().is_root() {
        println!(
            "    left out: the tests called needs_root_…, which act as two users; run as root for these too"
        );
        command.args(["-E", "not test(/(^|::)needs_root_/)"]);
    }
    let status = process::status(&mut command)?;
    let Ok(report) = fs::read_to_string(&junit) else {
        println!("    the tests did not run ({status})");
        return Ok(Outcome::Broken);
    };
    let mut count = Count::from_junit(&report)?;
    if !status.success() && count.failed == 0 {
        // A leak or a set-up failure that is nobody's test case.
        count.failed = 1;
    }
    Ok(Outcome::Counted(count))
}

fn doctests(workspace: &Workspace) -> Result<Outcome> {
    let native: Vec<_> = workspace.native().map(|package| package.name.as_str()).collect();
    // The SDK apart: it shares nothing with the host.
    let count = doctests_of(workspace, &native)? + doctests_of(workspace, &["odeon-sdk"])?;
    Ok(Outcome::Counted(count))
}

fn doctests_of(workspace: &Workspace, names: &[&str]) -> Result<Count> {
    let mut command = workspace.cargo();
    command.args(["test", "--release", "--doc", "--no-fail-fast"]);
    packages(&mut command, names.iter().copied());
    println!("    $ {}", process::line(&command));
    let output = command.output().context("cargo could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut count = Count::from_libtest(&text);
    if !output.status.success() {
        print!("{text}{}", String::from_utf8_lossy(&output.stderr));
        count.failed = count.failed.max(1);
    }
    Ok(count)
}

fn rustdoc(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    // The binary is called like a library; `--lib` keeps their pages apart.
    command
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--release", "--no-deps", "--lib"]);
    packages(
        &mut command,
        workspace.native().map(|package| package.name.as_str()),
    );
    process::run(&mut command)
}

/// Names the packages. Every step names the same ones: another selection would
/// turn on other features of what they share, and compile the engine anew.
fn packages<'a>(command: &mut std::process::Command, names: impl Iterator<Item = &'a str>) {
    for name in names {
        command.args(["-p", name]);
    }
}

struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs a step unless there is a reason not to; says whether what comes after can build on it.
    fn step(
        &mut self,
        name: &'static str,
        not: Option<&'static str>,
        work: impl FnOnce() -> Result<Outcome>,
    ) -> bool {
        let began = Instant::now();
        let outcome = match not {
            Some(reason) => Outcome::NotRun(reason),
            None => {
                println!("== {name}");
                work().unwrap_or_else(|error| {
                    println!("    {error:#}");
                    Outcome::Broken
                })
            }
        };
        let took = began.elapsed();
        if not.is_none() {
            println!("-- {name}: {} in {:.1} s", describe(&outcome), took.as_secs_f64());
        }
        let holds = matches!(outcome, Outcome::Counted(_) | Outcome::Passed);
        self.steps.push(Step { name, outcome, took });
        holds
    }

    fn total(&self) -> Count {
        self.steps
            .iter()
            .fold(Count::default(), |total, step| match &step.outcome {
                Outcome::Counted(count) => total + *count,
                Outcome::Broken => total + Count { passed: 0, failed: 1 },
                Outcome::Passed | Outcome::NotRun(_) => total,
            })
    }

    fn print(&self) -> bool {
        println!("== summary");
        for step in &self.steps {
            println!(
                "    {:<10} {:>7.1} s  {}",
                step.name,
                step.took.as_secs_f64(),
                describe(&step.outcome)
            );
        }
        let total = self.total();
        println!("{} passed, {} failed", total.passed, total.failed);
        total.failed == 0
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Counted(count) => format!("{} passed, {} failed", count.passed, count.failed),
        Outcome::Passed => "ok".to_owned(),
        Outcome::Broken => "FAILED".to_owned(),
        Outcome::NotRun("--fast") => "left out (--fast)".to_owned(),
        Outcome::NotRun(what) => format!("not run, needs `{what}`"),
    }
}

#[cfg(test)]
mod tests;
