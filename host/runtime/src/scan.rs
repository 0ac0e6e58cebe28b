//! A first look at a component's bytes, before anything is compiled.
//!
//! Owns the one pass that adds up what an instance takes and finds out whether
//! the component needs the concurrent engine. Linear in the bytes, no
//! recursion: nested modules and components arrive as a flat stream, and what
//! one of them takes is known when whoever instantiates it comes by.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentType, ComponentTypeRef, Instance, InstanceTypeDeclaration, Parser,
    Payload,
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

/// Functions that a call from one component to another is made of, at most: the
/// engine puts an instance of its own between them.
const ADAPTER: u64 = 8;

const PAGE: u64 = 65_536;

/// What the first look found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    pub(crate) needs: Needs,
    pub(crate) concurrent: bool,
    /// Whether anything is lifted with the asynchronous ABI.
    pub(crate) async_lifted: bool,
}

/// A module or component that is being read: what one instance of it takes so
/// far, and, by their numbers in it, which parts it can instantiate.
#[derive(Default)]
struct Open {
    needs: Needs,
    modules: Vec<Part>,
    components: Vec<Part>,
}

/// A part by its place among all that were read; none for one that is handed
/// in from outside, which only an instantiation can tell.
type Part = Option<usize>;

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    /// What one instance of each part takes that was read to its end.
    parts: Vec<Needs>,
    /// What the engine keeps for one instance of the largest module of all,
    /// whoever instantiates it.
    largest_state: u64,
    concurrent: bool,
    async_lifted: bool,
}

/// Looks through the bytes.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, wasmparser::BinaryReaderError> {
    let mut reader = Reader::default();
    // Of modules and components that are open: whether it is a module.
    let mut kinds = Vec::new();
    let mut next_is_module = false;
    let mut needs = Needs::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { .. } => {
                kinds.push(next_is_module);
                reader.open.push(Open::default());
            }
            Payload::ModuleSection { .. } => next_is_module = true,
            Payload::ComponentSection { .. } => next_is_module = false,
            Payload::End(_) => {
                let (Some(closed), Some(is_module)) = (reader.open.pop(), kinds.pop()) else {
                    continue;
                };
                if is_module {
                    reader.largest_state = reader.largest_state.max(closed.needs.state);
                }
                match reader.open.last_mut() {
                    Some(around) => {
                        let part = Some(reader.parts.len());
                        reader.parts.push(closed.needs);
                        match is_module {
                            true => around.modules.push(part),
                            false => around.components.push(part),
                        }
                    }
                    None => needs = closed.needs,
                }
            }
            payload => reader.section(payload)?,
        }
    }
    needs.largest_state = reader.largest_state;
    Ok(Scan {
        needs,
        concurrent: reader.concurrent,
        async_lifted: reader.async_lifted,
    })
}

impl Reader {
    fn section(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        let enclosing = self.open.len();
        let Some((own, outside)) = self.open.split_last_mut() else {
            return Ok(());
        };
        match payload {
            Payload::GlobalSection(section) => keep(&mut own.needs, GLOBAL, section.count()),
            Payload::FunctionSection(section) => keep(&mut own.needs, FUNCTION, section.count()),
            Payload::ImportSection(section) => keep(&mut own.needs, FUNCTION, section.count()),
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    let page = memory
                        .page_size_log2
                        .map_or(PAGE, |log2| 1u64.checked_shl(log2).unwrap_or(PAGE));
                    let bytes = memory.initial.saturating_mul(page);
                    own.needs.add(&Needs {
                        memory: bytes,
                        largest_memory: bytes,
                        memories: 1,
                        ..Needs::default()
                    });
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    own.needs.add(&Needs {
                        tables: 1,
                        table_elements: table?.ty.initial,
                        ..Needs::default()
                    });
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        own.needs.core_instances = own.needs.core_instances.saturating_add(1);
                        instantiate(&mut own.needs, &own.modules, module_index, &self.parts);
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        instantiate(&mut own.needs, &own.components, component_index, &self.parts);
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    match alias? {
                        ComponentAlias::Outer { kind, count, index } => {
                            // From the innermost outwards; 0 is this one.
                            let from = match (count as usize).checked_sub(1) {
                                None => Some(&*own),
                                Some(further) => enclosing
                                    .checked_sub(2 + further)
                                    .and_then(|place| outside.get(place)),
                            };
                            let part = |parts: fn(&Open) -> &Vec<Part>| {
                                from.and_then(|from| parts(from).get(index as usize).copied())
                                    .flatten()
                            };
                            match kind {
                                ComponentOuterAliasKind::CoreModule => {
                                    let part = part(|open| &open.modules);
                                    own.modules.push(part);
                                }
                                ComponentOuterAliasKind::Component => {
                                    let part = part(|open| &open.components);
                                    own.components.push(part);
                                }
                                _ => {}
                            }
                        }
                        ComponentAlias::InstanceExport { kind, .. } => own.handed_in(kind),
                        ComponentAlias::CoreInstanceExport { .. } => {}
                    }
                }
            }
            Payload::ComponentTypeSection(section) => {
                for ty in section {
                    self.concurrent |= has_async_functions(&ty?);
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    self.concurrent |= is_wasi_0_3(import.name.name);
                    match import.ty {
                        ComponentTypeRef::Module(_) => own.modules.push(None),
                        ComponentTypeRef::Component(_) => own.components.push(None),
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.concurrent |=
                        export.kind == ComponentExternalKind::Instance && is_wasi_0_3(export.name.name);
                    // What is exported has one more number from then on.
                    let same = |parts: &Vec<Part>| parts.get(export.index as usize).copied().flatten();
                    match export.kind {
                        ComponentExternalKind::Module => own.modules.push(same(&own.modules)),
                        ComponentExternalKind::Component => own.components.push(same(&own.components)),
                        _ => {}
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    let function = function?;
                    if matches!(function, CanonicalFunction::Lower { .. }) {
                        keep(&mut own.needs, FUNCTION * ADAPTER, 1);
                        self.largest_state = self.largest_state.max(FUNCTION * ADAPTER);
                    }
                    self.concurrent |= needs_concurrency(&function);
                    self.async_lifted |= matches!(&function, CanonicalFunction::Lift { options, .. }
                        if options.iter().any(|option| matches!(option, CanonicalOption::Async)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Open {
    /// Something that comes out of an instance has a number here.
    fn handed_in(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(None),
            ComponentExternalKind::Component => self.components.push(None),
            _ => {}
        }
    }
}

/// The engine keeps this many bytes for each of so many things.
fn keep(needs: &mut Needs, bytes: u64, count: u32) {
    needs.state = needs.state.saturating_add(bytes.saturating_mul(count.into()));
}

/// Whoever makes an instance of a part takes what the part takes.
fn instantiate(needs: &mut Needs, numbered: &[Part], number: u32, parts: &[Needs]) {
    let part = numbered.get(number as usize).copied().flatten();
    match part.and_then(|part| parts.get(part)) {
        Some(part) => needs.add(part),
        None => needs.partial = true,
    }
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

/// Whether a type is of an `async func`, or of an interface with one: no other
/// engine knows them, however they are called.
fn has_async_functions(ty: &ComponentType<'_>) -> bool {
    match ty {
        ComponentType::Func(function) => function.async_,
        ComponentType::Instance(parts) => parts.iter().any(|part| {
            matches!(part, InstanceTypeDeclaration::Type(ComponentType::Func(function)) if function.async_)
        }),
        _ => false,
    }
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
