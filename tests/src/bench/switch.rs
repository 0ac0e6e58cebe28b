//! `replace-switch`: from a new generation's native code to the moment at which
//! it serves, while somebody calls all the time and loses no call.
//!
//! Its files lie in memory, so that waiting for a disk is no part of it. The
//! baseline is the bound itself: the engine has nothing to compare with.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use odeon::{ReplaceRequest, Source};
use odeon_authority::InstanceMode;
use odeon_protocol::PluginName;

use super::fresh::{ARGS, SUM};
use super::host::Stage;
use super::measure::{Effort, median};
use super::{Row, row};
use crate::guests;

const ROUNDS: usize = 300;

/// In milliseconds.
const BOUND: f64 = 1.0;

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::in_memory(2);
    stage.load_echo("echo", InstanceMode::Fresh);
    let name: PluginName = "echo".parse().expect("a name");
    // The same code with another digest: a section that means nothing.
    let other = stage.folder().join("other.wasm");
    let mut bytes = guests::bytes("guest-echo");
    bytes.extend([0, 3, 1, b'x', b'y']);
    std::fs::write(&other, bytes).expect("the component's file");
    let components = [other, guests::component("guest-echo")];

    let done = AtomicBool::new(false);
    let mut took = Vec::new();
    let calls = std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let mut calls = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let reply = stage.host.call_encoded("echo/add", &ARGS);
                assert_eq!(reply.expect("no call is lost").bytes, SUM);
                calls += 1;
            }
            calls
        });
        // Also when a replace fails: the scope waits for the caller.
        let ends = Done(&done);
        // The first two are compiled.
        for round in 0..effort.rounds(ROUNDS) + 2 {
            let component = components[round % 2].clone();
            let time = replace(&stage, &name, component, round > 1);
            if round > 1 {
                took.push(time.as_secs_f64() * 1e3);
            }
        }
        drop(ends);
        calling.join().expect("the caller saw what it had to see")
    });
    assert!(calls > 0, "somebody called");
    let numbers = (median(took), BOUND);
    vec![row("replace-switch", "ms", numbers, "1 ms, the bound")]
}

/// Ends the calls when it is dropped.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn replace(stage: &Stage, name: &PluginName, component: PathBuf, was_compiled: bool) -> Duration {
    let request = ReplaceRequest {
        allow_unsigned: true,
        health_window: Duration::ZERO,
        ..ReplaceRequest::new(name.clone(), Source::Component(component))
    };
    let report = stage
        .tokio
        .block_on(stage.host.replace(request))
        .expect("a replace");
    assert!(
        report.loaded.from_cache || !was_compiled,
        "it was compiled before"
    );
    report.loaded.after_compile
}
