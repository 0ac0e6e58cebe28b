//! `idle-resident-rss`: the memory of an instance that is kept and does
//! nothing.

use std::sync::{Arc, Mutex};

use odeon_runtime::{CallContext, Compiler, MethodId, Plugin, PoolSize, Runtime, RuntimeConfig};
use wasmtime::component::{Component, InstancePre, Linker, Val};

use super::apart::{Thing, compare, grown};
use super::measure::Effort;
use super::raw;
use super::{Row, row};
use crate::guests;
use crate::runtime::{encode, spec};

const ROUNDS: usize = 5;

/// Instances that make the process as large as it gets besides.
const WARM: usize = 64;
/// Instances that are counted.
const COUNTED: usize = 256;

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let numbers = compare(effort, ROUNDS, Thing::Instance);
    vec![row("idle-resident-rss", "KiB", numbers, "raw store + instance")]
}

/// The guest, and one function of it that calls the host.
const GUEST: &str = "guest-forger";
const INTERFACE: &str = "odeon-tests:forger/conduct@0.1.0";

/// Bytes that a resident plugin of the runtime takes for each instance.
pub(super) fn odeon() -> f64 {
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
    let grown = grown_on_stack(|count| make(&plugin, method, &args, count));
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

/// Bytes that a store and an instance take, and nothing else.
pub(super) fn bare() -> f64 {
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
    grown_on_stack(|count| {
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
fn grown_on_stack(make: impl Fn(usize) + Sync) -> f64 {
    /// Calls nest as deep as there are instances.
    const STACK: usize = 1 << 30;
    grown(WARM, COUNTED, |count| {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || make(count))
                .expect("a thread")
                .join()
                .expect("the instances are made");
        });
    })
}
