//! Values whose types are known only when the program runs.
//!
//! Owns [`Value`] and the forms in which a value crosses a boundary: `wire`
//! between and inside hosts, `wave` for people, `json` and `cbor` for programs
//! in other languages. Each conversion is directed by a type and is total:
//! what cannot be represented is an error that names the place.
//!
//! A `Value` is for the edges. The path of a call checks wire bytes with
//! `wire` and hands them on; it never builds one.

mod budget;
pub mod cbor;
mod error;
pub mod json;
mod misfit;
mod names;
mod path;
mod view;
pub mod wave;
pub mod wire;
mod wit;

pub use error::{Problem, ValueError};
pub(crate) use wit::short_name;
pub use wit::{signature, wit_name};

/// A value of some [`Type`](crate::Type), which is not kept beside it.
///
/// Equality is by structure. Floats are equal when their bits are, except that
/// all NaNs are one value, as in the component model; so `0.0` and `-0.0`
/// differ and `Eq` holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `s8`
    S8(i8),
    /// `u8`
    U8(u8),
    /// `s16`
    S16(i16),
    /// `u16`
    U16(u16),
    /// `s32`
    S32(i32),
    /// `u32`
    U32(u32),
    /// `s64`
    S64(i64),
    /// `u64`
    U64(u64),
    /// `f32`
    F32(f32),
    /// `f64`
    F64(f64),
    /// `char`
    Char(char),
    /// `string`
    String(String),
    /// Every `list<u8>` and `list<u8, N>`, and no other list.
    Bytes(Vec<u8>),
    /// Every other `list<T>` and `list<T, N>`.
    List(Vec<Value>),
    /// `map<K, V>`: the pairs in the order given, duplicates included.
    Map(Vec<(Value, Value)>),
    /// `record`: the fields' values in declared order.
    Record(Vec<Value>),
    /// `tuple`
    Tuple(Vec<Value>),
    /// `variant`
    Variant {
        /// Which case, by its place in the declaration.
        case: u32,
        /// What the case carries, if it carries anything.
        payload: Option<Box<Value>>,
    },
    /// `enum`: which case, by its place in the declaration.
    Enum(u32),
    /// `option`
    Option(Option<Box<Value>>),
    /// `result`: the payloads are absent where the type has none.
    Result(Result<Option<Box<Value>>, Option<Box<Value>>>),
    /// `flags`: one for each name, in declared order.
    Flags(Vec<bool>),
}

impl Value {
    /// `some(value)`
    pub fn some(value: Value) -> Self {
        Value::Option(Some(Box::new(value)))
    }

    /// `none`
    pub const fn none() -> Self {
        Value::Option(None)
    }

    /// What sort of value this is, with its article.
    pub(crate) fn sort(&self) -> &'static str {
        match self {
            Value::Bool(_) => "a bool",
            Value::S8(_) => "an s8",
            Value::U8(_) => "a u8",
            Value::S16(_) => "an s16",
            Value::U16(_) => "a u16",
            Value::S32(_) => "an s32",
            Value::U32(_) => "a u32",
            Value::S64(_) => "an s64",
            Value::U64(_) => "a u64",
            Value::F32(_) => "an f32",
            Value::F64(_) => "an f64",
            Value::Char(_) => "a char",
            Value::String(_) => "a string",
            Value::Bytes(_) => "a list<u8>",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Record(_) => "a record",
            Value::Tuple(_) => "a tuple",
            Value::Variant { .. } => "a variant",
            Value::Enum(_) => "an enum",
            Value::Option(_) => "an option",
            Value::Result(_) => "a result",
            Value::Flags(_) => "flags",
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::S8(a), Value::S8(b)) => a == b,
            (Value::U8(a), Value::U8(b)) => a == b,
            (Value::S16(a), Value::S16(b)) => a == b,
            (Value::U16(a), Value::U16(b)) => a == b,
            (Value::S32(a), Value::S32(b)) => a == b,
            (Value::U32(a), Value::U32(b)) => a == b,
            (Value::S64(a), Value::S64(b)) => a == b,
            (Value::U64(a), Value::U64(b)) => a == b,
            (Value::F32(a), Value::F32(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Value::Char(a), Value::Char(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Record(a), Value::Record(b)) => a == b,
            (Value::Tuple(a), Value::Tuple(b)) => a == b,
            (Value::Variant { case: a, payload: p }, Value::Variant { case: b, payload: q }) => {
                a == b && p == q
            }
            (Value::Enum(a), Value::Enum(b)) => a == b,
            (Value::Option(a), Value::Option(b)) => a == b,
            (Value::Result(a), Value::Result(b)) => a == b,
            (Value::Flags(a), Value::Flags(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}
