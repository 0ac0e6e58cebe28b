//! Measures, and prints one JSON object per line.
//!
//! `bench [--json] [--quick] [SECTION | ROW]…`. With `--quick` it only shows
//! that every row can be measured; the numbers then mean nothing.
//! `--bytes-each` and `--taken` measure one thing, for who starts it for that.
#![allow(clippy::print_stdout, reason = "the rows are the product")]

use anyhow::{Context as _, Result, bail};
use odeon::CompileChild;
use odeon_tests::bench::{self, Effort};
use odeon_tests::ground::{self, Ground};

fn main() -> Result<()> {
    // The host that is measured compiles in this program, started again.
    CompileChild::enter()?;
    let mut effort = Effort::Full;
    let mut wanted = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => {}
            "--quick" => effort = Effort::Quick,
            "--long" => effort = Effort::Long,
            "--bytes-each" => {
                let mut word = || {
                    args.next()
                        .context("expected instance or plugin, then odeon or raw")
                };
                let (thing, side) = (word()?.parse()?, word()?.parse()?);
                println!("{}", bench::bytes_each(thing, side));
                return Ok(());
            }
            "--taken" => {
                let mut grounds = Vec::new();
                while let Some(folder) = args.next() {
                    let plugins = args
                        .next()
                        .context("expected a folder, then a number of plugins")?;
                    grounds.push(Ground::at(folder.into(), plugins.parse()?));
                }
                println!("{}", serde_json::to_string(&ground::taken(&grounds))?);
                return Ok(());
            }
            flag if flag.starts_with('-') => {
                bail!("expected --json, --quick, --long or a name, found {flag}")
            }
            name => wanted.push(name.to_owned()),
        }
    }
    let mut failed = None;
    let printed = bench::run(&wanted, effort, |row| match serde_json::to_string(row) {
        Ok(line) => println!("{line}"),
        Err(error) => failed = Some(error),
    });
    match failed {
        Some(error) => Err(error.into()),
        None if printed == 0 => bail!("there is no section or row called {}", wanted.join(" or ")),
        None => Ok(()),
    }
}
