//! wasmtime and nothing else, set up as the engine class *fast* is.

use wasmtime::component::{
    Component, ComponentNamedList, Instance, InstancePre, Lift, Linker, Lower, TypedFunc,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, Strategy,
};

use crate::guests;

/// The interface of `guest-echo` that is called.
pub(super) const ECHO: &str = "odeon-tests:echo/echo@0.1.0";

/// Instances that the pool has room for, here and there.
pub(super) const INSTANCES: u32 = 500;

/// The largest linear memory, here and there.
pub(super) const MEMORY: usize = 128 << 20;

const KEEP_RESIDENT: usize = 64 << 10;
const STACK: usize = 512 << 10;

/// An engine with the settings of the class *fast* (`host/runtime/src/engine.rs`).
pub(super) fn engine() -> Engine {
    engine_with(false)
}

/// The same with component concurrency, which the class *fast* does without.
pub(super) fn engine_with(concurrency: bool) -> Engine {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 4)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 2)
        .total_stacks(INSTANCES)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .max_core_instances_per_component(64)
        .max_memories_per_component(8)
        .max_tables_per_component(16)
        .max_memories_per_module(8)
        .max_tables_per_module(16)
        .max_memory_size(MEMORY)
        .table_elements(20_000)
        .max_unused_warm_slots(INSTANCES)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .concurrency_support(concurrency)
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        .async_stack_size(2 * STACK)
        .wasm_component_model(true)
        .coredump_on_trap(false)
        .wasm_memory64(false)
        .wasm_threads(false)
        .shared_memory(false)
        .wasm_gc(false)
        .gc_support(false)
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).expect("an engine")
}

/// A component ready to be instantiated.
pub(super) struct Raw {
    pub(super) pre: InstancePre<()>,
}

impl Raw {
    /// `guest-echo`, which imports nothing.
    pub(super) fn echo() -> Self {
        let engine = engine();
        let component = Component::new(&engine, guests::bytes("guest-echo")).expect("guest-echo compiles");
        Raw {
            pre: Linker::new(&engine)
                .instantiate_pre(&component)
                .expect("guest-echo links"),
        }
    }

    /// A new instance in a new store.
    pub(super) fn instance(&self) -> (Store<()>, Instance) {
        let mut store = store(self.pre.engine());
        let instance = self.pre.instantiate(&mut store).expect("an instance");
        (store, instance)
    }

    /// An instance that stays, and a function of its interface [`ECHO`].
    pub(super) fn resident<P, R>(&self, function: &str) -> (Store<()>, TypedFunc<P, R>)
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let (mut store, instance) = self.instance();
        let interface = instance
            .get_export_index(&mut store, None, ECHO)
            .expect("the interface");
        let index = instance
            .get_export_index(&mut store, Some(&interface), function)
            .expect("the function");
        let function = instance
            .get_typed_func(&mut store, index)
            .expect("the function's type");
        (store, function)
    }
}

/// Turns native code that was made in this process, for an engine with these
/// settings, into a component.
#[allow(unsafe_code, reason = "a baseline does what a host does with its native code")]
pub(super) fn deserialize(engine: &Engine, native: &[u8]) -> Component {
    // SAFETY: callers pass what `precompile_component` of this engine gave them.
    unsafe { Component::deserialize(engine, native) }.expect("its own code")
}

/// A store in which the epoch never ends anything.
pub(super) fn store(engine: &Engine) -> Store<()> {
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    store
}
