//! WIT types as the host describes them: to callers, to codecs, to people.
//!
//! Owns the shape of a function's parameters and result, resolved down to
//! primitives, and nothing about where a function lives.
//!
//! **Invariant:** a type is a finite tree. [`Type::depth`] of everything that
//! comes from a component or a peer is checked against a limit before the tree
//! is walked by recursion anywhere else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A WIT value type with every alias resolved.
///
/// Two types are equal when their structure and their field, case and flag
/// names are equal; the names of records and variants themselves are not part
/// of a component's binary type and so not part of this one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// `bool`
    Bool,
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`: a Unicode scalar value
    Char,
    /// `string`
    String,
    /// `list<T>`
    List(Arc<Type>),
    /// `list<T, N>`: exactly `N` elements
    FixedList(Arc<Type>, u32),
    /// `map<K, V>`: carried as a list of pairs in the order given
    Map(Arc<Type>, Arc<Type>),
    /// `record`: the fields in declared order
    Record(Arc<[Field]>),
    /// `tuple<...>`
    Tuple(Arc<[Type]>),
    /// `variant`: the cases in declared order
    Variant(Arc<[Case]>),
    /// `enum`: the case names in declared order
    Enum(Arc<[Arc<str>]>),
    /// `option<T>`
    Option(Arc<Type>),
    /// `result<T, E>`, either of which may be absent
    Result(Option<Arc<Type>>, Option<Arc<Type>>),
    /// `flags`: the names in declared order
    Flags(Arc<[Arc<str>]>),
    /// A type that is bound to one store and cannot be carried as a value:
    /// resources, streams, futures and error contexts. The text says which,
    /// in WIT syntax (`own<counter>`).
    Handle(Arc<str>),
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// The field's name as written in WIT.
    pub name: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
}

/// One case of a variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Case {
    /// The case's name as written in WIT.
    pub name: Arc<str>,
    /// What it carries, if anything.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<Type>,
}

/// The resolved type of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionType {
    /// The parameters in order.
    pub params: Arc<[Field]>,
    /// The result, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Type>,
    /// Whether the function is lifted asynchronously (WASI 0.3).
    #[serde(default, rename = "async")]
    pub is_async: bool,
}

impl Type {
    /// How many levels of nesting the type has; a primitive has one.
    pub fn depth(&self) -> usize {
        fn deepest<'a>(inner: impl Iterator<Item = &'a Type>) -> usize {
            inner.map(Type::depth).max().unwrap_or(0)
        }
        1 + match self {
            Type::List(t) | Type::FixedList(t, _) | Type::Option(t) => t.depth(),
            Type::Map(k, v) => k.depth().max(v.depth()),
            Type::Record(fields) => deepest(fields.iter().map(|f| &f.ty)),
            Type::Tuple(types) => deepest(types.iter()),
            Type::Variant(cases) => deepest(cases.iter().filter_map(|c| c.ty.as_ref())),
            Type::Result(ok, err) => deepest(ok.iter().chain(err.iter()).map(|t| &**t)),
            _ => 0,
        }
    }

    /// The first handle type inside, which is why a value of this type cannot
    /// be carried outside a store.
    pub fn handle(&self) -> Option<&str> {
        match self {
            Type::Handle(name) => Some(name),
            Type::List(t) | Type::FixedList(t, _) | Type::Option(t) => t.handle(),
            Type::Map(k, v) => k.handle().or_else(|| v.handle()),
            Type::Record(fields) => fields.iter().find_map(|f| f.ty.handle()),
            Type::Tuple(types) => types.iter().find_map(Type::handle),
            Type::Variant(cases) => cases.iter().find_map(|c| c.ty.as_ref()?.handle()),
            Type::Result(ok, err) => ok.iter().chain(err.iter()).find_map(|t| t.handle()),
            _ => None,
        }
    }
}
