//! Values as the engine's own dynamic type: the slow way across.
//!
//! Owns the conversion between the wire's values and [`Val`]. Used for exports
//! that are lifted asynchronously, whose results the direct codec cannot read,
//! and as the oracle of the differential tests.

use odeon_protocol::{Type, Value};
use wasmtime::component::Val;

use super::shape::BadValue;

/// A value of this type for the engine.
pub(crate) fn to_val(ty: &Type, value: &Value) -> Result<Val, BadValue> {
    let boxed = |ty: &Type, value: &Value| to_val(ty, value).map(Box::new);
    Ok(match (ty, value) {
        (Type::Bool, Value::Bool(v)) => Val::Bool(*v),
        (Type::S8, Value::S8(v)) => Val::S8(*v),
        (Type::U8, Value::U8(v)) => Val::U8(*v),
        (Type::S16, Value::S16(v)) => Val::S16(*v),
        (Type::U16, Value::U16(v)) => Val::U16(*v),
        (Type::S32, Value::S32(v)) => Val::S32(*v),
        (Type::U32, Value::U32(v)) => Val::U32(*v),
        (Type::S64, Value::S64(v)) => Val::S64(*v),
        (Type::U64, Value::U64(v)) => Val::U64(*v),
        (Type::F32, Value::F32(v)) => Val::Float32(*v),
        (Type::F64, Value::F64(v)) => Val::Float64(*v),
        (Type::Char, Value::Char(v)) => Val::Char(*v),
        (Type::String, Value::String(v)) => Val::String(v.to_string()),
        (Type::List(_), Value::Bytes(bytes)) => Val::List(bytes.iter().map(|b| Val::U8(*b)).collect()),
        (Type::FixedList(_, _), Value::Bytes(bytes)) => {
            Val::FixedLengthList(bytes.iter().map(|b| Val::U8(*b)).collect())
        }
        (Type::List(ty), Value::List(items)) => Val::List(each(ty, items)?),
        (Type::FixedList(ty, _), Value::List(items)) => Val::FixedLengthList(each(ty, items)?),
        (Type::Map(key, value_ty), Value::Map(entries)) => Val::Map(
            entries
                .iter()
                .map(|(k, v)| Ok((to_val(key, k)?, to_val(value_ty, v)?)))
                .collect::<Result<_, BadValue>>()?,
        ),
        (Type::Record(fields), Value::Record(values)) if fields.len() == values.len() => Val::Record(
            fields
                .iter()
                .zip(values)
                .map(|(field, value)| Ok((field.name.to_string(), to_val(&field.ty, value)?)))
                .collect::<Result<_, BadValue>>()?,
        ),
        (Type::Tuple(types), Value::Tuple(values)) if types.len() == values.len() => Val::Tuple(
            types
                .iter()
                .zip(values)
                .map(|(ty, value)| to_val(ty, value))
                .collect::<Result<_, _>>()?,
        ),
        (Type::Variant(cases), Value::Variant { case, payload }) => {
            let case = cases.get(*case as usize).ok_or(BadValue::Case)?;
            let payload = match (&case.ty, payload) {
                (Some(ty), Some(value)) => Some(boxed(ty, value)?),
                (None, None) => None,
                _ => return Err(BadValue::Case),
            };
            Val::Variant(case.name.to_string(), payload)
        }
        (Type::Enum(names), Value::Enum(case)) => {
            Val::Enum(names.get(*case as usize).ok_or(BadValue::Case)?.to_string())
        }
        (Type::Option(ty), Value::Option(value)) => {
            Val::Option(value.as_ref().map(|value| boxed(ty, value)).transpose()?)
        }
        (Type::Result(ok, err), Value::Result(result)) => {
            let payload = |ty: &Option<std::sync::Arc<Type>>, value: &Option<Box<Value>>| match (ty, value) {
                (Some(ty), Some(value)) => boxed(ty, value).map(Some),
                (None, None) => Ok(None),
                _ => Err(BadValue::Case),
            };
            Val::Result(match result {
                Ok(value) => Ok(payload(ok, value)?),
                Err(value) => Err(payload(err, value)?),
            })
        }
        (Type::Flags(names), Value::Flags(set)) => Val::Flags(
            names
                .iter()
                .zip(set)
                .filter(|(_, set)| **set)
                .map(|(name, _)| name.to_string())
                .collect(),
        ),
        _ => return Err(BadValue::NotCarriable),
    })
}

fn each(ty: &Type, items: &[Value]) -> Result<Vec<Val>, BadValue> {
    items.iter().map(|item| to_val(ty, item)).collect()
}

/// The value of this type that the engine gave.
pub(crate) fn from_val(ty: &Type, val: &Val) -> Result<Value, BadValue> {
    let boxed = |ty: &Type, val: &Val| from_val(ty, val).map(Box::new);
    Ok(match (ty, val) {
        (Type::Bool, Val::Bool(v)) => Value::Bool(*v),
        (Type::S8, Val::S8(v)) => Value::S8(*v),
        (Type::U8, Val::U8(v)) => Value::U8(*v),
        (Type::S16, Val::S16(v)) => Value::S16(*v),
        (Type::U16, Val::U16(v)) => Value::U16(*v),
        (Type::S32, Val::S32(v)) => Value::S32(*v),
        (Type::U32, Val::U32(v)) => Value::U32(*v),
        (Type::S64, Val::S64(v)) => Value::S64(*v),
        (Type::U64, Val::U64(v)) => Value::U64(*v),
        (Type::F32, Val::Float32(v)) => Value::F32(*v),
        (Type::F64, Val::Float64(v)) => Value::F64(*v),
        (Type::Char, Val::Char(v)) => Value::Char(*v),
        (Type::String, Val::String(v)) => Value::String(v.as_str().into()),
        (Type::List(ty), Val::List(items)) | (Type::FixedList(ty, _), Val::FixedLengthList(items)) => {
            if **ty == Type::U8 {
                let bytes = items.iter().map(|item| match item {
                    Val::U8(byte) => Ok(*byte),
                    _ => Err(BadValue::NotCarriable),
                });
                Value::Bytes(bytes.collect::<Result<Vec<u8>, _>>()?)
            } else {
                Value::List(
                    items
                        .iter()
                        .map(|item| from_val(ty, item))
                        .collect::<Result<_, _>>()?,
                )
            }
        }
        (Type::Map(key, value_ty), Val::Map(entries)) => Value::Map(
            entries
                .iter()
                .map(|(k, v)| Ok((from_val(key, k)?, from_val(value_ty, v)?)))
                .collect::<Result<_, BadValue>>()?,
        ),
        (Type::Record(fields), Val::Record(values)) if fields.len() == values.len() => Value::Record(
            fields
                .iter()
                .zip(values)
                .map(|(field, (_, value))| from_val(&field.ty, value))
                .collect::<Result<_, _>>()?,
        ),
        (Type::Tuple(types), Val::Tuple(values)) if types.len() == values.len() => Value::Tuple(
            types
                .iter()
                .zip(values)
                .map(|(ty, value)| from_val(ty, value))
                .collect::<Result<_, _>>()?,
        ),
        (Type::Variant(cases), Val::Variant(name, payload)) => {
            let (number, case) = cases
                .iter()
                .enumerate()
                .find(|(_, case)| *case.name == **name)
                .ok_or(BadValue::Case)?;
            let payload = match (&case.ty, payload) {
                (Some(ty), Some(val)) => Some(boxed(ty, val)?),
                (None, None) => None,
                _ => return Err(BadValue::Case),
            };
            Value::Variant {
                case: number as u32,
                payload,
            }
        }
        (Type::Enum(names), Val::Enum(name)) => {
            let number = names
                .iter()
                .position(|found| **found == **name)
                .ok_or(BadValue::Case)?;
            Value::Enum(number as u32)
        }
        (Type::Option(ty), Val::Option(val)) => {
            Value::Option(val.as_ref().map(|val| boxed(ty, val)).transpose()?)
        }
        (Type::Result(ok, err), Val::Result(result)) => {
            let payload = |ty: &Option<std::sync::Arc<Type>>, val: &Option<Box<Val>>| match (ty, val) {
                (Some(ty), Some(val)) => boxed(ty, val).map(Some),
                (None, None) => Ok(None),
                _ => Err(BadValue::Case),
            };
            Value::Result(match result {
                Ok(val) => Ok(payload(ok, val)?),
                Err(val) => Err(payload(err, val)?),
            })
        }
        (Type::Flags(names), Val::Flags(set)) => Value::Flags(
            names
                .iter()
                .map(|name| set.iter().any(|found| **found == **name))
                .collect(),
        ),
        _ => return Err(BadValue::NotCarriable),
    })
}
