//! `idle-plugin-rss`: the memory of a plugin that is loaded and never called.

use std::cell::RefCell;

use odeon_authority::InstanceMode;
use wasmtime::component::Linker;

use super::apart::{Thing, compare, grown};
use super::host::Stage;
use super::measure::Effort;
use super::raw;
use super::{Row, row};
use crate::guests;

const ROUNDS: usize = 5;

/// Plugins that make the process as large as it gets besides.
const WARM: usize = 64;
/// Plugins that are counted.
const COUNTED: usize = 1_000;

const GUEST: &str = "guest-echo";

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let numbers = compare(effort, ROUNDS, Thing::Plugin);
    vec![row(
        "idle-plugin-rss",
        "KiB",
        numbers,
        "raw component + InstancePre",
    )]
}

/// Bytes that a host takes for each plugin.
pub(super) fn odeon() -> f64 {
    let stage = Stage::in_memory(1);
    let grown = grown(WARM, COUNTED, |count| {
        for number in stage.host.list().len()..count {
            stage.load(GUEST, &format!("idle-{number}"), InstanceMode::Fresh, None);
        }
    });
    let plugins = stage.host.list();
    assert_eq!(plugins.len(), WARM + COUNTED);
    assert!(plugins.iter().all(|plugin| plugin.instances == 0));
    grown
}

/// Bytes that a component takes that is ready to be instantiated. Each has its
/// code for itself, as each plugin has.
pub(super) fn bare() -> f64 {
    let engine = raw::engine();
    let native = engine
        .precompile_component(&guests::bytes(GUEST))
        .expect("the guest compiles");
    let linker = Linker::<()>::new(&engine);
    let kept = RefCell::new(Vec::new());
    grown(WARM, COUNTED, |count| {
        let mut kept = kept.borrow_mut();
        while kept.len() < count {
            let component = raw::deserialize(&engine, &native);
            kept.push(linker.instantiate_pre(&component).expect("the guest links"));
        }
    })
}
