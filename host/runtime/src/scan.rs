//! A first look at a component's bytes, before anything is compiled.
//!
//! Owns the one pass that counts what an instance takes and finds out whether
//! the component needs the concurrent engine. Linear in the bytes, no
//! recursion: nested modules and components arrive as a flat stream.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentExternalKind, ComponentInstance, Instance, Parser, Payload,
};

use crate::EngineClass;
use crate::describe::Needs;
use crate::engine::{CORE_INSTANCES, MEMORIES, PoolSize, TABLE_ELEMENTS, TABLES};

/// Bytes of component beyond which it is taken for an embedded interpreter,
/// which wants warm instances and memory on demand.
const INTERPRETER: usize = 8 << 20;

/// Bytes the engine keeps for a global of a core instance, and, at most, for a
/// function that is imported or can be referred to.
const GLOBAL: u64 = 16;
const FUNCTION: u64 = 32;

/// What the first look found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    pub(crate) needs: Needs,
    pub(crate) concurrent: bool,
    /// Whether anything is lifted with the asynchronous ABI.
    pub(crate) async_lifted: bool,
}

/// Looks through the bytes.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, wasmparser::BinaryReaderError> {
    const PAGE: u64 = 65_536;
    let mut needs = Needs::default();
    let mut concurrent = false;
    let mut async_lifted = false;
    let mut state = 0_u64;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        state = match &payload {
            // Modules do not nest, so each begins where the last one ended.
            Payload::Version { .. } => 0,
            Payload::GlobalSection(section) => state.saturating_add(GLOBAL * u64::from(section.count())),
            Payload::FunctionSection(section) => state.saturating_add(FUNCTION * u64::from(section.count())),
            Payload::ImportSection(section) => state.saturating_add(FUNCTION * u64::from(section.count())),
            _ => state,
        };
        needs.largest_state = needs.largest_state.max(state);
        match payload {
            Payload::MemorySection(reader) => {
                for memory in reader {
                    let memory = memory?;
                    let page = memory
                        .page_size_log2
                        .map_or(PAGE, |log2| 1u64.checked_shl(log2).unwrap_or(PAGE));
                    let bytes = memory.initial.saturating_mul(page);
                    needs.memory = needs.memory.saturating_add(bytes);
                    needs.largest_memory = needs.largest_memory.max(bytes);
                    needs.memories = needs.memories.saturating_add(1);
                }
            }
            Payload::TableSection(reader) => {
                for table in reader {
                    needs.tables = needs.tables.saturating_add(1);
                    needs.table_elements = needs.table_elements.max(table?.ty.initial);
                }
            }
            Payload::InstanceSection(reader) => {
                for instance in reader {
                    if matches!(instance?, Instance::Instantiate { .. }) {
                        needs.core_instances = needs.core_instances.saturating_add(1);
                    }
                }
            }
            Payload::ComponentInstanceSection(reader) => {
                for instance in reader {
                    needs.nested |= matches!(instance?, ComponentInstance::Instantiate { .. });
                }
            }
            Payload::ComponentImportSection(reader) => {
                for import in reader {
                    concurrent |= is_wasi_0_3(import?.name.name);
                }
            }
            Payload::ComponentExportSection(reader) => {
                for export in reader {
                    let export = export?;
                    concurrent |=
                        export.kind == ComponentExternalKind::Instance && is_wasi_0_3(export.name.name);
                }
            }
            Payload::ComponentCanonicalSection(reader) => {
                for function in reader {
                    let function = function?;
                    concurrent |= needs_concurrency(&function);
                    async_lifted |= matches!(&function, CanonicalFunction::Lift { options, .. }
                        if options.iter().any(|option| matches!(option, CanonicalOption::Async)));
                }
            }
            _ => {}
        }
    }
    Ok(Scan {
        needs,
        concurrent,
        async_lifted,
    })
}

/// The class a component runs in when nobody asks for another.
pub(crate) fn choose(scan: &Scan, bytes: usize, pool: PoolSize) -> EngineClass {
    let needs = &scan.needs;
    if scan.concurrent {
        EngineClass::Async
    } else if bytes > INTERPRETER || !fits(needs, pool) {
        EngineClass::Heavy
    } else {
        EngineClass::Fast
    }
}

/// Whether one instance fits into a pooled engine.
pub(crate) fn fits(needs: &Needs, pool: PoolSize) -> bool {
    needs.largest_memory <= pool.memory as u64
        && needs.core_instances <= CORE_INSTANCES
        && needs.memories <= MEMORIES
        && needs.tables <= TABLES
        && needs.table_elements <= TABLE_ELEMENTS as u64
}

fn is_wasi_0_3(name: &str) -> bool {
    name.starts_with("wasi:") && name.contains("@0.3.")
}

fn needs_concurrency(function: &CanonicalFunction) -> bool {
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => options
            .iter()
            .any(|option| matches!(option, CanonicalOption::Async | CanonicalOption::Callback(_))),
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        // Tasks, streams, futures, waitables: all of them are concurrency.
        _ => true,
    }
}
