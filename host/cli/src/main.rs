//! The `odeon` command: a host to start, and every way to talk to one.
//!
//! This file owns the order of things at the start: a process that is a
//! compile child never gets past the first line, and nothing is set up that
//! the command does not need.

mod answer;
mod args;
mod client;
mod command;
mod component;
mod diagnostics;
mod exit;
mod failure;
mod generate;
mod guest_lines;
mod human;
mod invocation;
mod journal;
mod output;
mod progress;
mod report;
mod signals;
mod stderr;
mod tokens;
mod whereabouts;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let compiler = odeon::CompileChild::enter();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report::refused(&error).into(),
    };
    let output = output::Output::new(cli.json);
    let ended = match compiler {
        Ok(child) => command::run(cli, child),
        Err(error) => Err(failure::Failure::system(
            "this program's own path cannot be found",
            &error,
        )),
    };
    let exit = match ended {
        Ok(exit) => exit,
        Err(failure) => report::failed(&failure, output),
    };
    stderr::finish();
    exit.into()
}
