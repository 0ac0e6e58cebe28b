//! The project's own commands: `cargo xtask <command>`.
//!
//! Owns how the repository is built, tested, measured, checked and shown.
//! **Invariant:** depends on no crate of `host/`, so that it compiles in
//! seconds and still runs when the host does not compile.
#![allow(clippy::print_stdout, reason = "a command line program reports on stdout")]

mod bench;
mod demo;
mod guests;
mod mutants;
mod process;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, tests, measures, checks and shows Odeon.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows a host at work: load, call, contain, audit. Builds what is missing
    Demo,
    /// Runs everything that CI runs; the last line is `N passed, N failed`
    Test(test::Options),
    /// Measures, and merges the rows into target/bench/latest.json
    Bench(bench::Options),
    /// Builds the guests into components under <target>/guests/components
    Guests,
    /// Checks what no compiler checks: dependency arrows, documents, names
    Tidy,
    /// Switches each enforcement of mutants.toml off and expects a test to fail
    Mutants(mutants::Options),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = Workspace::load().and_then(|workspace| match args.command {
        Command::Demo => demo::run(&workspace),
        Command::Test(options) => test::run(&workspace, options),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Guests => guests::run(&workspace).map(|()| true),
        Command::Tidy => tidy::run(&workspace),
        Command::Mutants(options) => mutants::run(&workspace, &options),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
