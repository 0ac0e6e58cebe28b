//! The wire form: what a value looks like between and inside hosts.
//!
//! `docs/wire.md` specifies it: fixed-width little-endian, directed by the
//! type, no padding, nothing about itself. Arguments are the parameters one
//! after the other; a result is the value, or no bytes at all.
//!
//! [`validate`] and its kin check a whole wire without building anything and
//! without allocating; they accept exactly what [`decode`] and its kin accept.
//! [`Validator`] is the same check prepared once for a method.

mod decode;
mod encode;
mod reader;
mod shape;
mod validate;

use super::{
    Value,
    error::{Boxed, Problem, ValueError},
    path::{Located as _, Step},
    wit::parameters,
};
use crate::{
    limits::ValueLimits,
    types::{FunctionType, Type},
};
use encode::Writer;
use reader::Reader;
use shape::Shape;

/// Checks that `bytes` are exactly one value of type `ty` within `limits`.
///
/// # Errors
/// The first thing that is wrong, with the place.
pub fn validate(ty: &Type, bytes: &[u8], limits: &ValueLimits) -> Result<(), ValueError> {
    let mut reader = Reader::new(bytes, limits)?;
    validate::value(&mut reader, ty, limits.max_depth)?;
    Ok(reader.end()?)
}

/// Checks that `bytes` are exactly the arguments of `function` within `limits`.
///
/// # Errors
/// The first thing that is wrong, with the argument's number and name.
pub fn validate_args(function: &FunctionType, bytes: &[u8], limits: &ValueLimits) -> Result<(), ValueError> {
    let mut reader = Reader::new(bytes, limits)?;
    for (index, param) in function.params.iter().enumerate() {
        validate::value(&mut reader, &param.ty, limits.max_depth)
            .map_err(|e| e.within(Step::Argument(index, &param.name)))?;
    }
    Ok(reader.end()?)
}

/// Checks that `bytes` are exactly the result of `function` within `limits`;
/// no bytes when it has none.
///
/// # Errors
/// The first thing that is wrong, with the place.
pub fn validate_result(
    function: &FunctionType,
    bytes: &[u8],
    limits: &ValueLimits,
) -> Result<(), ValueError> {
    let mut reader = Reader::new(bytes, limits)?;
    if let Some(ty) = &function.result {
        validate::value(&mut reader, ty, limits.max_depth).map_err(|e| e.within(Step::Result))?;
    }
    Ok(reader.end().map_err(|e| e.within(Step::Result))?)
}

/// The checks of one method, prepared.
///
/// Where every parameter is of numbers only, a check is a comparison of
/// lengths; the same for the result. Everything else is walked as by
/// [`validate_args`], with which this always agrees.
#[derive(Clone, Debug)]
pub struct Validator {
    function: FunctionType,
    args: Option<Shape>,
    result: Option<Shape>,
}

impl Validator {
    /// Prepares the checks for a function.
    pub fn new(function: &FunctionType) -> Self {
        Validator {
            args: Shape::of_all(function.params.iter().map(|param| &param.ty)),
            result: Shape::of_all(function.result.iter()),
            function: function.clone(),
        }
    }

    /// The function whose bytes are checked.
    pub fn function(&self) -> &FunctionType {
        &self.function
    }

    /// As [`validate_args`].
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn check_args(&self, bytes: &[u8], limits: &ValueLimits) -> Result<(), ValueError> {
        match &self.args {
            Some(shape) if shape.is_exactly(bytes, limits) => Ok(()),
            _ => validate_args(&self.function, bytes, limits),
        }
    }

    /// As [`validate_result`].
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn check_result(&self, bytes: &[u8], limits: &ValueLimits) -> Result<(), ValueError> {
        match &self.result {
            Some(shape) if shape.is_exactly(bytes, limits) => Ok(()),
            _ => validate_result(&self.function, bytes, limits),
        }
    }
}

/// The wire form of `value` as a `ty`. Every NaN becomes the canonical one.
///
/// # Errors
/// The first place where the value does not fit the type or passes a limit.
pub fn encode(ty: &Type, value: &Value, limits: &ValueLimits) -> Result<Vec<u8>, ValueError> {
    let mut writer = Writer::new(limits);
    writer.value(ty, value, limits.max_depth)?;
    Ok(writer.into_bytes())
}

/// The wire form of a call's arguments.
///
/// # Errors
/// The wrong number of values, or the first that does not fit its parameter.
pub fn encode_args(
    function: &FunctionType,
    values: &[Value],
    limits: &ValueLimits,
) -> Result<Vec<u8>, ValueError> {
    check_arity(function, values.len())?;
    let mut writer = Writer::new(limits);
    for (index, (param, value)) in function.params.iter().zip(values).enumerate() {
        writer
            .value(&param.ty, value, limits.max_depth)
            .map_err(|e| e.within(Step::Argument(index, &param.name)))?;
    }
    Ok(writer.into_bytes())
}

/// The wire form of a call's result; `None` where the function has none.
///
/// # Errors
/// A value that does not fit, is missing, or is one too many.
pub fn encode_result(
    function: &FunctionType,
    value: Option<&Value>,
    limits: &ValueLimits,
) -> Result<Vec<u8>, ValueError> {
    let mut writer = Writer::new(limits);
    if let Some((ty, value)) = pair_result(function, value)? {
        writer
            .value(ty, value, limits.max_depth)
            .map_err(|e| e.within(Step::Result))?;
    }
    Ok(writer.into_bytes())
}

/// The value of type `ty` that `bytes` stand for.
///
/// What is allocated is bounded by what is there: never by a count that the
/// bytes only claim.
///
/// # Errors
/// As [`validate`].
pub fn decode(ty: &Type, bytes: &[u8], limits: &ValueLimits) -> Result<Value, ValueError> {
    let mut reader = Reader::new(bytes, limits)?;
    let value = decode::value(&mut reader, ty, limits.max_depth)?;
    reader.end()?;
    Ok(value)
}

/// The arguments that `bytes` stand for.
///
/// # Errors
/// As [`validate_args`].
pub fn decode_args(
    function: &FunctionType,
    bytes: &[u8],
    limits: &ValueLimits,
) -> Result<Vec<Value>, ValueError> {
    let mut reader = Reader::new(bytes, limits)?;
    let mut values = Vec::with_capacity(function.params.len());
    for (index, param) in function.params.iter().enumerate() {
        let value = decode::value(&mut reader, &param.ty, limits.max_depth)
            .map_err(|e| e.within(Step::Argument(index, &param.name)))?;
        values.push(value);
    }
    reader.end()?;
    Ok(values)
}

/// The result that `bytes` stand for; `None` where the function has none.
///
/// # Errors
/// As [`validate_result`].
pub fn decode_result(
    function: &FunctionType,
    bytes: &[u8],
    limits: &ValueLimits,
) -> Result<Option<Value>, ValueError> {
    let mut reader = Reader::new(bytes, limits)?;
    let value = match &function.result {
        Some(ty) => {
            Some(decode::value(&mut reader, ty, limits.max_depth).map_err(|e| e.within(Step::Result))?)
        }
        None => None,
    };
    reader.end().map_err(|e| e.within(Step::Result))?;
    Ok(value)
}

/// That a call has as many arguments as the function has parameters.
pub(super) fn check_arity(function: &FunctionType, found: usize) -> Result<(), Boxed> {
    if found == function.params.len() {
        Ok(())
    } else {
        Err(Problem::Arity {
            expected: parameters(function),
            found,
        }
        .into())
    }
}

/// A result beside its type, where both are there or neither is.
pub(super) fn pair_result<'a>(
    function: &'a FunctionType,
    value: Option<&'a Value>,
) -> Result<Option<(&'a Type, &'a Value)>, Boxed> {
    let (expected, found) = match (&function.result, value) {
        (Some(ty), Some(value)) => return Ok(Some((ty, value))),
        (None, None) => return Ok(None),
        (Some(ty), None) => (super::wit::short_name(ty), "no value".to_owned()),
        (None, Some(value)) => ("no value".to_owned(), value.sort().to_owned()),
    };
    Err(Boxed::from(Problem::Mismatch { expected, found }).within(Step::Result))
}

impl From<Boxed> for ValueError {
    fn from(error: Boxed) -> Self {
        *error
    }
}
