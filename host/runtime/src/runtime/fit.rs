//! Whether a component fits: into its limits, and into the pool of its class.
//!
//! Owns what is said of one that does not. Must not compile or link anything.

use crate::EngineClass;
use crate::describe::Description;
use crate::engine::{HEAVY_MEMORIES, HEAVY_TABLES, PoolSize, TABLE_ELEMENTS};
use crate::unit::PluginSpec;

use super::LoadError;

/// Whether the plugin may grow beyond what an instance of its pooled class can.
/// Says how.
pub(super) fn beyond_pool(description: &Description, spec: &PluginSpec, pool: PoolSize) -> Option<String> {
    let (class, limits) = (description.class, &spec.limits);
    if class == EngineClass::Heavy {
        return None;
    }
    if limits.memory.bytes() > pool.memory as u64 {
        return Some(format!(
            "limits.memory expected at most {} MiB, the most an instance of the engine class {class} can have here, \
             found {}; lower it, raise host.pool-memory, or ask for the class heavy",
            pool.memory >> 20,
            limits.memory
        ));
    }
    (limits.table_elements > TABLE_ELEMENTS as u64).then(|| {
        format!(
            "limits.table-elements expected at most {TABLE_ELEMENTS}, the most a table of the engine class {class} can \
             have, found {}; lower it, or ask for the class heavy",
            limits.table_elements
        )
    })
}

/// Whether an instance fits into the plugin's limits.
pub(super) fn fits(description: &Description, spec: &PluginSpec) -> Result<(), LoadError> {
    let (needs, limits) = (&description.needs, &spec.limits);
    let memory = limits.memory.bytes();
    if needs.memory > memory {
        return Err(LoadError::DoesNotFit(format!(
            "one instance starts with {} KiB of memory, expected at most limits.memory = {}; raise it, or build the \
             component with a smaller stack and heap",
            needs.memory >> 10,
            limits.memory
        )));
    }
    if u64::from(needs.core_instances) > limits.core_instances {
        return Err(LoadError::DoesNotFit(format!(
            "the component is made of {} core instances, expected at most limits.core-instances = {}",
            needs.core_instances, limits.core_instances
        )));
    }
    if needs.memories > HEAVY_MEMORIES || needs.tables > HEAVY_TABLES {
        return Err(LoadError::DoesNotFit(format!(
            "one instance is made of {} memories and {} tables, expected at most {HEAVY_MEMORIES} and {HEAVY_TABLES}",
            needs.memories, needs.tables
        )));
    }
    let state = match needs.partial {
        // As many of the largest as there may be.
        true => needs
            .state
            .max(needs.largest_state.saturating_mul(limits.core_instances)),
        false => needs.state,
    };
    if state > memory {
        return Err(LoadError::DoesNotFit(format!(
            "the host keeps up to {} KiB of globals and functions for one instance, expected at most limits.memory = {}; \
             raise it, or build the component with fewer of them",
            state >> 10,
            limits.memory
        )));
    }
    if needs.table_elements > limits.table_elements {
        return Err(LoadError::DoesNotFit(format!(
            "a table starts with {} elements, expected at most limits.table-elements = {}",
            needs.table_elements, limits.table_elements
        )));
    }
    Ok(())
}

/// Says why an engine does not take native code that was made for it: only its
/// pool looks at what the engine itself puts between nested components, and at
/// the size of each part.
pub(super) fn pool_refused(error: &wasmtime::Error) -> LoadError {
    let words = format!("{error:#}");
    match words.contains("pooling allocator") {
        true => LoadError::DoesNotFit(format!(
            "the component is too large for its engine class: {words}; make it of fewer parts, or ask for the class \
             heavy"
        )),
        false => LoadError::Engine(words),
    }
}
