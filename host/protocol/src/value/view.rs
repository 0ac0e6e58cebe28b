//! A value seen through its type.
//!
//! Owns the one check that a [`Value`] built by somebody is a value of the type
//! it is used as, one level at a time; every encoder walks these views.

use std::sync::Arc;

use super::{Value, error::Problem, wit::short_name};
use crate::types::{Field, Type};

/// A part of a value with its type.
pub(crate) type Typed<'a> = (&'a Type, &'a Value);

/// One level of a value that fits its type.
#[derive(Debug)]
pub(crate) enum View<'a> {
    /// A bool, a number or a char, of exactly the type it has.
    Scalar(&'a Value),
    String(&'a str),
    Bytes {
        bytes: &'a [u8],
        fixed: bool,
    },
    List {
        element: &'a Type,
        items: &'a [Value],
        fixed: bool,
    },
    Map {
        key: &'a Type,
        value: &'a Type,
        pairs: &'a [(Value, Value)],
    },
    Record(&'a [Field], &'a [Value]),
    Tuple(&'a [Type], &'a [Value]),
    /// A variant's or an enum's.
    Case {
        index: u32,
        cases: usize,
        name: &'a str,
        payload: Option<Typed<'a>>,
    },
    Option(&'a Type, Option<&'a Value>),
    Result(Result<Option<Typed<'a>>, Option<Typed<'a>>>),
    Flags(&'a [Arc<str>], &'a [bool]),
}

/// Sees `value` as a `ty`.
pub(crate) fn view<'a>(ty: &'a Type, value: &'a Value) -> Result<View<'a>, Problem> {
    let mismatch = |found: String| Problem::Mismatch {
        expected: short_name(ty),
        found,
    };
    Ok(match (ty, value) {
        (Type::Bool, Value::Bool(_))
        | (Type::S8, Value::S8(_))
        | (Type::U8, Value::U8(_))
        | (Type::S16, Value::S16(_))
        | (Type::U16, Value::U16(_))
        | (Type::S32, Value::S32(_))
        | (Type::U32, Value::U32(_))
        | (Type::S64, Value::S64(_))
        | (Type::U64, Value::U64(_))
        | (Type::F32, Value::F32(_))
        | (Type::F64, Value::F64(_))
        | (Type::Char, Value::Char(_)) => View::Scalar(value),
        (Type::String, Value::String(text)) => View::String(text),
        (Type::List(element), Value::Bytes(bytes)) if **element == Type::U8 => {
            View::Bytes { bytes, fixed: false }
        }
        (Type::FixedList(element, count), Value::Bytes(bytes)) if **element == Type::U8 => {
            fits(bytes.len(), *count as usize, "elements").map_err(mismatch)?;
            View::Bytes { bytes, fixed: true }
        }
        (Type::List(element), Value::List(items)) if **element != Type::U8 => View::List {
            element,
            items,
            fixed: false,
        },
        (Type::FixedList(element, count), Value::List(items)) if **element != Type::U8 => {
            fits(items.len(), *count as usize, "elements").map_err(mismatch)?;
            View::List {
                element,
                items,
                fixed: true,
            }
        }
        (Type::Map(key, value), Value::Map(pairs)) => View::Map { key, value, pairs },
        (Type::Record(fields), Value::Record(values)) => {
            fits(values.len(), fields.len(), "fields").map_err(mismatch)?;
            View::Record(fields, values)
        }
        (Type::Tuple(types), Value::Tuple(values)) => {
            fits(values.len(), types.len(), "elements").map_err(mismatch)?;
            View::Tuple(types, values)
        }
        (
            Type::Variant(cases),
            Value::Variant {
                case: index,
                payload: carried,
            },
        ) => {
            let case = cases.get(*index as usize).ok_or(Problem::NoSuchCase {
                cases: cases.len(),
                found: *index,
            })?;
            let payload = payload(case.ty.as_ref(), carried.as_deref(), &case.name).map_err(mismatch)?;
            View::Case {
                index: *index,
                cases: cases.len(),
                name: &case.name,
                payload,
            }
        }
        (Type::Enum(names), Value::Enum(index)) => {
            let name = names.get(*index as usize).ok_or(Problem::NoSuchCase {
                cases: names.len(),
                found: *index,
            })?;
            View::Case {
                index: *index,
                cases: names.len(),
                name,
                payload: None,
            }
        }
        (Type::Option(inner), Value::Option(value)) => View::Option(inner, value.as_deref()),
        (Type::Result(ok, err), Value::Result(result)) => View::Result(match result {
            Ok(value) => Ok(payload(ok.as_deref(), value.as_deref(), "ok").map_err(mismatch)?),
            Err(value) => Err(payload(err.as_deref(), value.as_deref(), "err").map_err(mismatch)?),
        }),
        (Type::Flags(names), Value::Flags(set)) => {
            fits(set.len(), names.len(), "flags").map_err(mismatch)?;
            View::Flags(names, set)
        }
        (Type::Handle(name), _) => {
            return Err(Problem::Handle {
                name: name.to_string(),
            });
        }
        _ => return Err(mismatch(value.sort().to_owned())),
    })
}

fn fits(found: usize, expected: usize, what: &str) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{found} {what}"))
    }
}

/// What a case carries, when it is there exactly if the type says so.
fn payload<'a>(
    ty: Option<&'a Type>,
    value: Option<&'a Value>,
    case: &str,
) -> Result<Option<Typed<'a>>, String> {
    match (ty, value) {
        (Some(ty), Some(value)) => Ok(Some((ty, value))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(format!("`{case}` without a payload")),
        (None, Some(_)) => Err(format!("`{case}` with a payload")),
    }
}
