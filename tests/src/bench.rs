//! What `cargo xtask bench` prints: each row beside what wasmtime alone takes
//! for the same work, on the same machine, in the same run.
//!
//! Owns the rows of the section `host`. **Invariant:** a baseline contains
//! nothing of ours: the same guest, the same engine settings, `wasmtime` and
//! the standard library (and tokio and hyper, where sockets are involved).

mod apart;
mod call;
mod cold;
mod fresh;
mod generic;
mod host;
mod http;
mod links;
mod measure;
mod memory;
mod plugins;
mod raw;
mod scaling;
mod socket;
mod switch;
mod warm;

use serde::Serialize;

pub use apart::{Side, Thing, bytes_each};
pub use measure::Effort;

/// One measurement beside its baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which part of the project.
    pub section: &'static str,
    /// Which row of it.
    pub id: &'static str,
    /// What was measured: the median.
    pub value: f64,
    /// The unit of both numbers.
    pub unit: &'static str,
    /// What the baseline gave in the same run: the median.
    pub baseline: f64,
    /// What the baseline is.
    pub baseline_name: &'static str,
    /// `value / baseline`.
    pub ratio: f64,
    /// What the ratio has to be; whoever keeps the targets fills it in.
    pub target: Option<String>,
}

/// The section all rows belong to.
const SECTION: &str = "host";

/// A group of rows that are measured together.
type Group = (&'static [&'static str], fn(Effort) -> Vec<Row>);

const GROUPS: &[Group] = &[
    (&["call-typed", "call-by-name"], call::rows),
    (
        &[
            "generic-1k",
            "generic-64k",
            "generic-1m",
            "generic-u32",
            "generic-f64",
            "generic-strings",
            "generic-record",
            "generic-result",
        ],
        generic::rows,
    ),
    (&["fresh-call"], fresh::rows),
    (&["fresh-scaling"], scaling::rows),
    (&["socket-call"], socket::rows),
    (&["idle-resident-rss"], memory::rows),
    (&["idle-plugin-rss"], plugins::rows),
    (&["load-cold"], cold::rows),
    (&["load-warm"], warm::rows),
    (&["replace-switch"], switch::rows),
    (&["link-call"], links::fresh),
    (&["link-call-resident"], links::resident),
    (&["link-call-task"], links::fresh_in_a_task),
    (&["link-call-task-resident"], links::resident_in_a_task),
    (&["http-hello", "http-hello-bare"], http::rows),
];

/// Measures everything, a section, or the groups with these rows, and gives
/// each row to `print` as soon as it is there. Gives how many there were.
pub fn run(wanted: &[String], effort: Effort, mut print: impl FnMut(&Row)) -> usize {
    let is_wanted = |id: &str| wanted.is_empty() || wanted.iter().any(|name| name == SECTION || name == id);
    let mut printed = 0;
    for (ids, measure) in GROUPS {
        if !ids.iter().any(|id| is_wanted(id)) {
            continue;
        }
        for row in measure(effort).iter().filter(|row| is_wanted(row.id)) {
            print(row);
            printed += 1;
        }
    }
    printed
}

/// A row from its two numbers.
fn row(
    id: &'static str,
    unit: &'static str,
    (value, baseline): (f64, f64),
    baseline_name: &'static str,
) -> Row {
    Row {
        section: SECTION,
        id,
        value,
        unit,
        baseline,
        baseline_name,
        ratio: value / baseline,
        target: None,
    }
}
