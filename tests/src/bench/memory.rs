//! `idle-resident-rss`: the memory of an instance that is kept and does
//! nothing.
//!
//! Each side is measured in a process of its own, because memory that one
//! side gave back would serve the other.

use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use odeon_runtime::{CallContext, Compiler, MethodId, Plugin, PoolSize, Runtime, RuntimeConfig};
use wasmtime::component::{Component, InstancePre, Linker, Val};

use super::measure::{Effort, median};
use super::raw;
use super::{Row, row};
use crate::guests;
use crate::runtime::{encode, spec};

const ROUNDS: usize = 5;

/// Instances that make the process as large as it gets besides.
const WARM: usize = 64;
/// Instances that are counted.
const COUNTED: usize = 256;

/// Which side a process measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A resident plugin of the runtime.
    Odeon,
    /// A store and an instance, and nothing else.
    Raw,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Odeon => "odeon",
            Side::Raw => "raw",
        })
    }
}

impl FromStr for Side {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Side> {
        [Side::Odeon, Side::Raw]
            .into_iter()
            .find(|side| side.to_string() == text)
            .ok_or_else(|| anyhow::anyhow!("expected odeon or raw, found {text}"))
    }
}

/// What the program does with its argument: measures this side and prints it.
pub(super) const ARGUMENT: &str = "--bytes-each";

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds(ROUNDS) {
        ours.push(measured(Side::Odeon));
        bare.push(measured(Side::Raw));
    }
    let numbers = (median(ours) / 1024.0, median(bare) / 1024.0);
    vec![row("idle-resident-rss", "KiB", numbers, "raw store + instance")]
}

fn measured(side: Side) -> f64 {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program)
        .args([ARGUMENT, &side.to_string()])
        .output()
        .expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{side}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.trim().parse().expect("a number of bytes")
}

/// Bytes of resident memory that one idle instance takes in this process.
pub fn bytes_each(side: Side) -> f64 {
    match side {
        Side::Odeon => odeon(),
        Side::Raw => bare(),
    }
}

/// The guest, and one function of it that calls the host.
const GUEST: &str = "guest-forger";
const INTERFACE: &str = "odeon-tests:forger/conduct@0.1.0";

fn odeon() -> f64 {
    // One plugin gets half of it.
    let pool = PoolSize {
        instances: 2 * raw::INSTANCES,
        memory: raw::MEMORY,
    };
    let config = RuntimeConfig {
        workers: 1,
        pool,
        ..RuntimeConfig::new(Compiler::InProcess)
    };
    let runtime = Runtime::new(config).expect("a runtime");
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio");
    let spec = spec().resident_workers(WARM + COUNTED).limits(|limits| {
        limits.calls_in_flight = (WARM + COUNTED) as u64;
    });
    let plugin = tokio.block_on(spec.load(&runtime, GUEST));
    drop(tokio);
    let (method, args, _) = encode(&plugin, "conduct.report(1, 0)");
    let grown = grown(|count| make(&plugin, method, &args, count));
    assert_eq!(plugin.stats().instances, WARM + COUNTED);
    grown
}

/// Leaves the plugin with `count` instances: calls it from inside a call of
/// it, so deep that so many are in use at the same time.
fn make(plugin: &Plugin, method: MethodId, args: &[u8], count: usize) {
    let deeper = plugin.clone();
    let below = args.to_vec();
    let context = CallContext {
        progress: Some(Arc::new(move |_| {
            if count > 1 {
                make(&deeper, method, &below, count - 1);
            }
        })),
        ..CallContext::default()
    };
    plugin.call_blocking(method, args, context).expect("a report");
}

fn bare() -> f64 {
    let engine = raw::engine();
    let component = Component::new(&engine, guests::bytes(GUEST)).expect("the guest compiles");
    let mut linker = Linker::<()>::new(&engine);
    let mut request = linker
        .instance("odeon:plugin/request@0.1.0")
        .expect("the interface");
    request
        .func_new("report-progress", |_, _, _, results| {
            results[0] = Val::Result(Ok(None));
            Ok(())
        })
        .expect("the function");
    linker
        .define_unknown_imports_as_traps(&component)
        .expect("the rest of the imports");
    let pre = linker.instantiate_pre(&component).expect("the guest links");
    let kept = Mutex::new(Vec::new());
    grown(|count| {
        let mut kept = kept.lock().expect("the instances");
        while kept.len() < count {
            kept.push(used(&pre));
        }
    })
}

/// An instance that has served the same call.
fn used(pre: &InstancePre<()>) -> wasmtime::Store<()> {
    let mut store = raw::store(pre.engine());
    let instance = pre.instantiate(&mut store).expect("an instance");
    let interface = instance
        .get_export_index(&mut store, None, INTERFACE)
        .expect("the interface");
    let report = instance
        .get_export_index(&mut store, Some(&interface), "report")
        .expect("the function");
    let report = instance
        .get_typed_func::<(u32, u32), ((u32, Option<String>),)>(&mut store, &report)
        .expect("the function's type");
    report.call(&mut store, (1, 0)).expect("a report");
    store
}

/// What each of [`COUNTED`] more instances adds to the process, when `make`
/// brings their number to what it is given.
fn grown(make: impl Fn(usize) + Sync) -> f64 {
    /// Calls nest as deep as there are instances.
    const STACK: usize = 1 << 30;
    let on_deep_stack = |count: usize| {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || make(count))
                .expect("a thread")
                .join()
                .expect("the instances are made");
        });
    };
    on_deep_stack(WARM);
    let before = resident();
    on_deep_stack(WARM + COUNTED);
    (resident() - before) / COUNTED as f64
}

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("the process's memory");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .expect("a line Rss:");
    let kib: f64 = line
        .trim()
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .expect("a number of KiB");
    kib * 1024.0
}
