//! Engine classes: one configuration of the engine per kind of component.
//!
//! Owns every setting of wasmtime and the reasons for it. Each worker has
//! engines and pools of its own, because instances that share a pool contend
//! for its slots across cores (`docs/adr/0002-engine-per-worker.md`).
//!
//! **Invariant:** every class has epoch interruption on; no guest code runs
//! that the ticker cannot stop.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

use crate::describe::Needs;
use crate::frames;

/// Which engine a component runs on. Chosen by what the component imports,
/// exports and weighs; a manifest may ask for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineClass {
    /// Pooled memory, no component concurrency: calls cost a tenth of `async`.
    Fast,
    /// Component concurrency on: WASI 0.3, async exports, streams.
    Async,
    /// Memory mapped on demand: interpreters that need more than a pool slot.
    Heavy,
}

impl EngineClass {
    /// Every class.
    pub const ALL: [EngineClass; 3] = [EngineClass::Fast, EngineClass::Async, EngineClass::Heavy];

    /// The class by its name in manifests and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            EngineClass::Fast => "fast",
            EngineClass::Async => "async",
            EngineClass::Heavy => "heavy",
        }
    }
}

impl fmt::Display for EngineClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no engine class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engine class expected fast, async or heavy, found {0:?}")]
pub struct UnknownClass(pub String);

impl FromStr for EngineClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        EngineClass::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownClass(text.chars().take(40).collect()))
    }
}

/// How much room the pools of one worker have.
#[derive(Clone, Copy, Debug)]
pub struct PoolSize {
    /// Instances of the *fast* class that may live at once on one worker.
    pub instances: u32,
    /// The largest linear memory an instance of the *fast* class can have, in
    /// bytes. A component that needs more runs in the *heavy* class.
    pub memory: usize,
}

impl Default for PoolSize {
    fn default() -> Self {
        PoolSize {
            instances: 500,
            memory: 128 << 20,
        }
    }
}

/// Guest stack. Deep recursion ends here with a stack fault.
pub(crate) const STACK: usize = 512 << 10;

/// The host's part of the stack that a call on a fiber needs below the guest's.
const HOST_STACK: usize = 512 << 10;

/// Core instances, memories and tables that one component may be made of in
/// the pooled classes, beyond which it does not fit and goes to *heavy*.
pub(crate) const CORE_INSTANCES: u32 = 64;
pub(crate) const MEMORIES: u32 = 8;
pub(crate) const TABLES: u32 = 16;
/// Memories and tables that one instance of the class *heavy* may be made of:
/// each memory takes address space and mappings of the whole process.
pub(crate) const HEAVY_MEMORIES: u32 = 32;
pub(crate) const HEAVY_TABLES: u32 = 64;

/// Address space that the pools of all workers together may reserve. A process
/// has 128 TiB of it.
const ADDRESS_SPACE: u64 = 32 << 40;

/// What a slot for one memory reserves, guard included, and half as much again
/// for the pool of the class *async*.
const SLOT: u64 = 6 << 30;

/// Elements one table of a pooled instance can have.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// Bytes of a slot that stay resident and are zeroed by hand on reuse, which
/// is cheaper than giving the pages back.
const KEEP_RESIDENT: usize = 64 << 10;

fn common() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // A linked call may have its provider on the same stack.
        .async_stack_size(2 * STACK + HOST_STACK)
        .wasm_component_model(true)
        .coredump_on_trap(false)
        // Nothing here reads a guest's debug information, whatever the
        // environment says.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(frames::READ))
        .wasm_memory64(false)
        .wasm_threads(false)
        .shared_memory(false)
        .wasm_gc(false)
        .gc_support(false)
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true);
    config
}

/// The settings that decide what native code looks like, and only those: what
/// the compile child uses, and part of every cache key.
pub(crate) fn compile_config(class: EngineClass) -> Config {
    let mut config = common();
    match class {
        EngineClass::Fast | EngineClass::Heavy => {
            config.concurrency_support(false);
        }
        EngineClass::Async => {
            config.concurrency_support(true).wasm_component_model_async(true);
        }
    }
    config
}

/// Opens the process's page map, with which pools see what a guest has touched.
/// It is opened once per process, and a process that has closed its memory to
/// others can no longer open its own: so before that, not with the first engine.
pub(crate) fn open_page_map() {
    let available = PoolingAllocationConfig::is_pagemap_scan_available();
    tracing::debug!(available, "page map");
}

/// What an engine keeps of a guest that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    /// Where it was.
    Backtrace,
    /// What a core dump is made of, for guests that are observed. Native code is
    /// the same for both.
    CoreDump,
}

/// The frames of an observed guest that are looked at, and one more by which a
/// deeper stack is known.
pub(crate) const DEEPEST: usize = 128;
const OBSERVED_FRAMES: Option<NonZeroUsize> = NonZeroUsize::new(DEEPEST + 1);

/// Instances that may wait for their core dump to be written, beside those that
/// serve: twice as many as the queue for that has room for.
const WAITING: u32 = 64;

/// An engine that runs guests of this class.
pub(crate) fn engine(class: EngineClass, size: PoolSize, capture: Capture) -> wasmtime::Result<Engine> {
    let mut config = compile_config(class);
    if capture == Capture::CoreDump {
        config
            .coredump_on_trap(true)
            .wasm_backtrace_max_frames(OBSERVED_FRAMES);
    }
    if class != EngineClass::Heavy {
        let totals = match capture {
            Capture::Backtrace => Totals::of(class, size),
            Capture::CoreDump => Totals::of(class, size).and_those_that_wait(),
        };
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(size, &totals)));
    }
    Engine::new(&config)
}

impl PoolSize {
    /// This size, or as much of it as each of so many workers can have.
    pub(crate) fn for_each_of(self, workers: usize) -> Self {
        let most = ADDRESS_SPACE / SLOT / (workers.max(1) as u64);
        PoolSize {
            instances: self.instances.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1),
            ..self
        }
    }
}

/// What the pool of one worker has room for.
struct Totals {
    instances: u32,
    core_instances: u32,
    memories: u32,
    tables: u32,
}

impl Totals {
    fn of(class: EngineClass, size: PoolSize) -> Self {
        // Components are seldom more than a handful of core instances; the pool
        // is sized for that and runs out as "overloaded", never as an abort.
        let instances = match class {
            EngineClass::Async => size.instances.div_ceil(4),
            _ => size.instances,
        };
        Totals {
            instances,
            core_instances: instances.saturating_mul(4),
            memories: instances,
            tables: instances.saturating_mul(2),
        }
    }

    /// The same and, in every class, room for the largest instances that wait for
    /// their core dump: what they keep is not missing to those that serve.
    fn and_those_that_wait(self) -> Self {
        let and = |total: u32, each: u32| total.saturating_add(WAITING.saturating_mul(each));
        Totals {
            instances: and(self.instances, 1),
            core_instances: and(self.core_instances, CORE_INSTANCES),
            memories: and(self.memories, MEMORIES),
            tables: and(self.tables, TABLES),
        }
    }
}

/// How many instances with these needs may live at once so that they leave
/// half of a worker's pool to others.
pub(crate) fn fair_share(class: EngineClass, size: PoolSize, needs: &Needs) -> usize {
    if class == EngineClass::Heavy {
        return HEAVY_INSTANCES;
    }
    let totals = Totals::of(class, size);
    let half = |total: u32, each: u32| (total / 2).checked_div(each.max(1)).unwrap_or(0);
    let share = [
        half(totals.instances, 1),
        half(totals.core_instances, needs.core_instances),
        half(totals.memories, needs.memories),
        half(totals.tables, needs.tables),
    ];
    share.into_iter().min().unwrap_or(0).max(1) as usize
}

/// How many calls a plugin of the class *heavy* may have at once.
const HEAVY_INSTANCES: usize = 64;

fn pool(size: PoolSize, totals: &Totals) -> PoolingAllocationConfig {
    let Totals {
        instances,
        core_instances,
        memories,
        tables,
    } = *totals;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(core_instances)
        .total_memories(memories)
        .total_tables(tables)
        .total_stacks(instances)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_module(TABLES)
        .max_memory_size(size.memory)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(instances)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    pool
}
