//! Values as CBOR, for brokers and for programs in other languages.
//!
//! The shapes are those of JSON: records are maps by name, variants are
//! `"case"` or `{"case": payload}`. Lists of numbers are the typed arrays of
//! RFC 8746, `list<u8>` is a byte string. `docs/wire.md` has the whole table.
//! Definite lengths are written; indefinite ones are read too.

mod read;
mod typed;
mod write;

use super::{
    Value, ValueError,
    misfit::Misfit,
    path::{Located as _, Step, at},
    wire::{check_arity, pair_result},
};
use crate::{
    limits::ValueLimits,
    types::{FunctionType, Type},
};

/// CBOR that is malformed or does not fit the type it is read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found}", at(.path))]
pub struct CborError {
    /// Where: ``argument 2 (`items`) → [3].name``; empty for the whole value.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there, with its offset.
    pub found: String,
}

impl From<Box<Misfit>> for CborError {
    fn from(misfit: Box<Misfit>) -> Self {
        let Misfit {
            path,
            expected,
            found,
        } = *misfit;
        CborError {
            path,
            expected,
            found,
        }
    }
}

/// The CBOR of `value` as a `ty`. Every NaN becomes the canonical one.
///
/// # Errors
/// The first place where the value does not fit the type or passes a limit.
pub fn encode(ty: &Type, value: &Value, limits: &ValueLimits) -> Result<Vec<u8>, ValueError> {
    let mut writer = write::Writer::new(limits);
    writer.value(ty, value, limits.max_depth)?;
    Ok(writer.into_bytes()?)
}

/// The CBOR of a call's arguments: an array in order.
///
/// # Errors
/// The wrong number of values, or the first that does not fit its parameter.
pub fn encode_args(
    function: &FunctionType,
    values: &[Value],
    limits: &ValueLimits,
) -> Result<Vec<u8>, ValueError> {
    check_arity(function, values.len())?;
    let mut writer = write::Writer::new(limits);
    writer.array(values.len());
    for (index, (param, value)) in function.params.iter().zip(values).enumerate() {
        writer
            .value(&param.ty, value, limits.max_depth)
            .map_err(|e| e.within(Step::Argument(index, &param.name)))?;
    }
    Ok(writer.into_bytes()?)
}

/// The CBOR of a call's result; null where the function has none.
///
/// # Errors
/// A value that does not fit, is missing, or is one too many.
pub fn encode_result(
    function: &FunctionType,
    value: Option<&Value>,
    limits: &ValueLimits,
) -> Result<Vec<u8>, ValueError> {
    let mut writer = write::Writer::new(limits);
    match pair_result(function, value)? {
        Some((ty, value)) => {
            writer
                .value(ty, value, limits.max_depth)
                .map_err(|e| e.within(Step::Result))?;
        }
        None => writer.null(),
    }
    Ok(writer.into_bytes()?)
}

/// The value of type `ty` that `bytes`, one whole CBOR item, stand for.
///
/// What is allocated is bounded by what is there, never by a claimed length.
///
/// # Errors
/// The first place that is malformed or does not fit.
pub fn decode(ty: &Type, bytes: &[u8], limits: &ValueLimits) -> Result<Value, CborError> {
    let mut reader = read::Reader::new(bytes, limits)?;
    let value = reader.value(ty, limits.max_depth)?;
    reader.end()?;
    Ok(value)
}

/// The arguments of a call: an array in order, or a map by the parameters'
/// names, where an `option` may be left out.
///
/// # Errors
/// The wrong number, an unknown or missing parameter, or the first that does
/// not fit.
pub fn decode_args(
    function: &FunctionType,
    bytes: &[u8],
    limits: &ValueLimits,
) -> Result<Vec<Value>, CborError> {
    let mut reader = read::Reader::new(bytes, limits)?;
    let values = reader.args(function, limits.max_depth)?;
    reader.end()?;
    Ok(values)
}

/// The result of a call: the value, or null where the function has none.
///
/// # Errors
/// As [`decode`].
pub fn decode_result(
    function: &FunctionType,
    bytes: &[u8],
    limits: &ValueLimits,
) -> Result<Option<Value>, CborError> {
    let mut reader = read::Reader::new(bytes, limits)?;
    let value = match &function.result {
        Some(ty) => Some(
            reader
                .value(ty, limits.max_depth)
                .map_err(|e| e.within(Step::Result))?,
        ),
        None => {
            reader.null().map_err(|e| e.within(Step::Result))?;
            None
        }
    };
    reader.end().map_err(|e| e.within(Step::Result))?;
    Ok(value)
}
