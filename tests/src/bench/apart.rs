//! Memory, measured in processes of their own: what one side gave back would
//! serve the other.
//!
//! Owns the way of measuring; what is made and counted is the business of the
//! rows (`memory`, `plugins`).

use std::fmt;
use std::process::Command;
use std::str::FromStr;

use super::measure::{Effort, median};
use super::{memory, plugins};
use crate::footprint::resident;

/// What a process has many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// Instances that are kept.
    Instance,
    /// Plugins that are loaded.
    Plugin,
}

/// Whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The host's.
    Odeon,
    /// The engine's alone.
    Raw,
}

/// What the program does with its arguments: measures these and prints it.
pub(super) const ARGUMENT: &str = "--bytes-each";

/// Resident KiB that one of these takes, here and there: the medians of so many
/// processes each.
pub(super) fn compare(effort: Effort, rounds: usize, thing: Thing) -> (f64, f64) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds(rounds) {
        ours.push(measured(thing, Side::Odeon));
        bare.push(measured(thing, Side::Raw));
    }
    (median(ours) / 1024.0, median(bare) / 1024.0)
}

fn measured(thing: Thing, side: Side) -> f64 {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program)
        .args([ARGUMENT, &thing.to_string(), &side.to_string()])
        .output()
        .expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{thing} {side}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.trim().parse().expect("a number of bytes")
}

/// Bytes of resident memory that one of these takes in this process, which has
/// measured nothing else.
pub fn bytes_each(thing: Thing, side: Side) -> f64 {
    match (thing, side) {
        (Thing::Instance, Side::Odeon) => memory::odeon(),
        (Thing::Instance, Side::Raw) => memory::bare(),
        (Thing::Plugin, Side::Odeon) => plugins::odeon(),
        (Thing::Plugin, Side::Raw) => plugins::bare(),
    }
}

/// Bytes that each of `counted` more adds to the process, when `make` brings
/// their number to what it is given. Those before them make it as large as it
/// gets besides.
#[expect(clippy::cast_precision_loss, reason = "so much memory there is not")]
pub(super) fn grown(warm: usize, counted: usize, make: impl Fn(usize)) -> f64 {
    make(warm);
    let before = resident();
    make(warm + counted);
    (resident() as f64 - before as f64) * 1024.0 / counted as f64
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Thing::Instance => "instance",
            Thing::Plugin => "plugin",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Odeon => "odeon",
            Side::Raw => "raw",
        })
    }
}

impl FromStr for Thing {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Thing> {
        named([Thing::Instance, Thing::Plugin], text)
    }
}

impl FromStr for Side {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Side> {
        named([Side::Odeon, Side::Raw], text)
    }
}

fn named<T: fmt::Display>(all: [T; 2], text: &str) -> anyhow::Result<T> {
    let expected = all.each_ref().map(T::to_string).join(" or ");
    all.into_iter()
        .find(|one| one.to_string() == text)
        .ok_or_else(|| anyhow::anyhow!("expected {expected}, found {text}"))
}
