//! What a component is, in words the rest of the host can hold on to.
//!
//! Owns the description that the compiler makes beside the native code:
//! exports and imports with resolved types, the WIT, and what the component
//! needs of an engine. It is plain data; reading it needs no engine, and
//! making it from untrusted bytes happens in the compile child.

use std::sync::Arc;

use odeon_protocol::{Case, Field, FunctionType, Type};
use serde::{Deserialize, Serialize};
use wasmtime::component::types::{self, ComponentItem};
use wasmtime::{Engine, component::Component};

use crate::EngineClass;

/// A component's outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The class the native code was made for.
    pub class: EngineClass,
    /// Every exported function that can be named, in the component's order.
    pub exports: Vec<Export>,
    /// Every import, in the component's order.
    pub imports: Vec<Import>,
    /// The component's world as WIT text, when it can be written as WIT.
    pub wit: Option<String>,
    /// What one instance takes.
    pub needs: Needs,
    /// Whether any export is lifted with the asynchronous ABI.
    #[serde(default)]
    pub async_lifted: bool,
}

/// An exported function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// The interface it belongs to; none for a function of the world itself.
    pub interface: Option<Arc<str>>,
    /// The function's name.
    pub function: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: FunctionType,
}

impl Export {
    /// Whether it is for the host at a load, a replace or an unload, and for no
    /// caller.
    pub fn is_hook(&self) -> bool {
        crate::plugin::lifecycle::is_hook(self.interface.as_deref())
    }
}

/// An import: an interface, or a single function of the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// The name as written, version included.
    pub name: Arc<str>,
    /// The functions of it that the component uses; empty for a world-level
    /// function, whose name is the import's.
    pub functions: Vec<ImportedFunction>,
}

/// A function the component imports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedFunction {
    /// The function's name.
    pub name: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: FunctionType,
}

/// What one instance takes: every module counts as often as it is instantiated,
/// however deep components are nested. What the engine itself puts between
/// components that call each other comes on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Linear memory at the start, summed over memories, in bytes.
    pub memory: u64,
    /// The largest single memory at the start, in bytes.
    pub largest_memory: u64,
    /// Core instances.
    pub core_instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// Elements of the largest table at the start.
    pub table_elements: u64,
    /// What the host keeps beside memories and tables, in bytes.
    pub state: u64,
    /// The same for the largest core instance.
    pub largest_state: u64,
    /// Whether its components hand modules to each other, so that the numbers
    /// above, but those of memories and tables, are the least it takes.
    pub partial: bool,
}

impl Needs {
    /// These, and those of one more part.
    pub(crate) fn add(&mut self, part: &Needs) {
        self.memory = self.memory.saturating_add(part.memory);
        self.largest_memory = self.largest_memory.max(part.largest_memory);
        self.core_instances = self.core_instances.saturating_add(part.core_instances);
        self.memories = self.memories.saturating_add(part.memories);
        self.tables = self.tables.saturating_add(part.tables);
        self.table_elements = self.table_elements.max(part.table_elements);
        self.state = self.state.saturating_add(part.state);
        self.largest_state = self.largest_state.max(part.largest_state);
        self.partial |= part.partial;
    }
}

/// A component whose types are too deep or too many to be described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TooComplex {
    /// Types nested deeper than the limit, which it carries.
    #[error("types are nested more than {0} levels deep")]
    Depth(u32),
    /// More type nodes than the limit, which it carries.
    #[error("the exported and imported functions have more than {0} parts in their types")]
    Nodes(u32),
    /// A description longer than this, in mebibytes.
    #[error("the names and types of the exports and imports take more than {0} MiB to write down")]
    Text(usize),
}

/// The longest description of a component, in bytes of JSON. The serving
/// process reads it.
pub(crate) const MAX_DESCRIPTION: usize = 8 << 20;

/// Levels of JSON in a description: a record takes three for one of its own,
/// and types are at most a hundred deep.
const MAX_LEVELS: usize = 400;

/// Reads what [`serde_json::to_vec`] wrote, to a depth that types need, and no
/// deeper than the stack bears: it may come from a child that a component took
/// over.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    if text.len() > MAX_DESCRIPTION || levels(text) > MAX_LEVELS {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    reader.disable_recursion_limit();
    let read = T::deserialize(&mut reader).ok()?;
    reader.end().ok().map(|()| read)
}

/// How deep brackets are nested, without looking at anything else.
fn levels(text: &[u8]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// How much of a component's types is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeBudget {
    pub(crate) depth: u32,
    pub(crate) nodes: u32,
}

/// Reads the exports and imports of a compiled component.
pub(crate) fn surface(
    engine: &Engine,
    component: &Component,
    budget: TypeBudget,
) -> Result<(Vec<Export>, Vec<Import>), TooComplex> {
    let mut reader = Reader {
        budget,
        left: budget.nodes,
    };
    let ty = component.component_type();
    let mut exports = Vec::new();
    for (name, item) in ty.exports(engine) {
        reader.charge(name)?;
        match item.ty {
            ComponentItem::ComponentFunc(function) => exports.push(Export {
                interface: None,
                function: name.into(),
                ty: reader.function(&function)?,
            }),
            ComponentItem::ComponentInstance(instance) => {
                let interface: Arc<str> = name.into();
                for (name, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(function) = item.ty {
                        reader.charge(name)?;
                        exports.push(Export {
                            interface: Some(interface.clone()),
                            function: name.into(),
                            ty: reader.function(&function)?,
                        });
                    }
                }
            }
            _ => {}
        }
    }
    let mut imports = Vec::new();
    for (name, item) in ty.imports(engine) {
        reader.charge(name)?;
        let mut functions = Vec::new();
        match item.ty {
            ComponentItem::ComponentFunc(function) => {
                functions.push(ImportedFunction {
                    name: name.into(),
                    ty: reader.function(&function)?,
                });
            }
            ComponentItem::ComponentInstance(instance) => {
                for (name, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(function) = item.ty {
                        reader.charge(name)?;
                        let ty = reader.function(&function)?;
                        functions.push(ImportedFunction {
                            name: name.into(),
                            ty,
                        });
                    }
                }
            }
            // A type import needs nothing at run time.
            ComponentItem::Type(_) => continue,
            _ => {}
        }
        imports.push(Import {
            name: name.into(),
            functions,
        });
    }
    Ok((exports, imports))
}

/// Turns the engine's types into ours, within a budget: a type that is small
/// on disk can be enormous when written out.
struct Reader {
    budget: TypeBudget,
    left: u32,
}

impl Reader {
    /// A name of an export or import: a part like those of types, and as many
    /// more as it is long.
    fn charge(&mut self, name: &str) -> Result<(), TooComplex> {
        /// Bytes of a name that count as one part.
        const BYTES: usize = 64;
        let parts = u32::try_from(name.len() / BYTES + 1).unwrap_or(u32::MAX);
        self.left = self
            .left
            .checked_sub(parts)
            .ok_or(TooComplex::Nodes(self.budget.nodes))?;
        Ok(())
    }

    fn function(&mut self, function: &types::ComponentFunc) -> Result<FunctionType, TooComplex> {
        let params = function
            .params()
            .map(|(name, ty)| {
                Ok(Field {
                    name: name.into(),
                    ty: self.ty(&ty, 1)?,
                })
            })
            .collect::<Result<Vec<_>, TooComplex>>()?;
        let mut results = function.results();
        let result = results.next().map(|ty| self.ty(&ty, 1)).transpose()?;
        Ok(FunctionType {
            params: params.into(),
            result,
            is_async: function.async_(),
        })
    }

    fn optional(&mut self, ty: Option<types::Type>, depth: u32) -> Result<Option<Arc<Type>>, TooComplex> {
        ty.map(|ty| self.ty(&ty, depth).map(Arc::new)).transpose()
    }

    fn ty(&mut self, ty: &types::Type, depth: u32) -> Result<Type, TooComplex> {
        if depth > self.budget.depth {
            return Err(TooComplex::Depth(self.budget.depth));
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(TooComplex::Nodes(self.budget.nodes))?;
        let below = depth + 1;
        Ok(match ty {
            types::Type::Bool => Type::Bool,
            types::Type::S8 => Type::S8,
            types::Type::U8 => Type::U8,
            types::Type::S16 => Type::S16,
            types::Type::U16 => Type::U16,
            types::Type::S32 => Type::S32,
            types::Type::U32 => Type::U32,
            types::Type::S64 => Type::S64,
            types::Type::U64 => Type::U64,
            types::Type::Float32 => Type::F32,
            types::Type::Float64 => Type::F64,
            types::Type::Char => Type::Char,
            types::Type::String => Type::String,
            types::Type::List(list) => Type::List(Arc::new(self.ty(&list.ty(), below)?)),
            types::Type::FixedLengthList(list) => {
                Type::FixedList(Arc::new(self.ty(&list.ty(), below)?), list.len())
            }
            types::Type::Map(map) => Type::Map(
                Arc::new(self.ty(&map.key(), below)?),
                Arc::new(self.ty(&map.value(), below)?),
            ),
            types::Type::Record(record) => Type::Record(
                record
                    .fields()
                    .map(|f| {
                        Ok(Field {
                            name: f.name.into(),
                            ty: self.ty(&f.ty, below)?,
                        })
                    })
                    .collect::<Result<Vec<_>, TooComplex>>()?
                    .into(),
            ),
            types::Type::Tuple(tuple) => Type::Tuple(
                tuple
                    .types()
                    .map(|ty| self.ty(&ty, below))
                    .collect::<Result<Vec<_>, TooComplex>>()?
                    .into(),
            ),
            types::Type::Variant(variant) => Type::Variant(
                variant
                    .cases()
                    .map(|case| {
                        let ty = case.ty.map(|ty| self.ty(&ty, below)).transpose()?;
                        Ok(Case {
                            name: case.name.into(),
                            ty,
                        })
                    })
                    .collect::<Result<Vec<_>, TooComplex>>()?
                    .into(),
            ),
            types::Type::Enum(names) => Type::Enum(self.names(names.names())?),
            types::Type::Flags(names) => Type::Flags(self.names(names.names())?),
            types::Type::Option(option) => Type::Option(Arc::new(self.ty(&option.ty(), below)?)),
            types::Type::Result(result) => Type::Result(
                self.optional(result.ok(), below)?,
                self.optional(result.err(), below)?,
            ),
            types::Type::Own(_) => Type::Handle("own<resource>".into()),
            types::Type::Borrow(_) => Type::Handle("borrow<resource>".into()),
            types::Type::Future(_) => Type::Handle("future".into()),
            types::Type::Stream(_) => Type::Handle("stream".into()),
            types::Type::ErrorContext => Type::Handle("error-context".into()),
        })
    }

    fn names<'a>(
        &mut self,
        names: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Arc<[Arc<str>]>, TooComplex> {
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        self.left = self
            .left
            .checked_sub(count)
            .ok_or(TooComplex::Nodes(self.budget.nodes))?;
        Ok(names.map(Arc::from).collect())
    }
}
