//! Values as JSON, for programs in other languages.
//!
//! Records are objects with the WIT names; `docs/wire.md` has the whole table.
//! Reading is exact: a name twice in one object, an unknown field, a missing
//! field that is no option, or a number that does not fit is an error. A `map` is written as an array of
//! pairs, which keeps order and duplicates, and read from that or, when its
//! keys are strings, from an object.

mod locate;
mod read;
mod text;
mod write;

use serde_json::Value as Json;

use super::{
    Value, ValueError,
    misfit::{Misfit, SHOWN},
    names::Fields,
    path::{Located as _, Step, at},
    wire::{check_arity, pair_result},
    wit::{arguments, cut, parameters},
};
use crate::{
    limits::ValueLimits,
    types::{FunctionType, Type},
};
pub use locate::locate;
use read::Reader;
pub use text::parse;

/// JSON that does not fit the type it is read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found}", at(.path))]
pub struct JsonError {
    /// Where: ``argument 2 (`items`) → [3].name``; empty for the whole value.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there, cut to a readable length.
    pub found: String,
}

impl From<Box<Misfit>> for JsonError {
    fn from(misfit: Box<Misfit>) -> Self {
        let Misfit {
            path,
            expected,
            found,
        } = *misfit;
        JsonError {
            path,
            expected,
            found,
        }
    }
}

/// The JSON of `value` as a `ty`.
///
/// # Errors
/// The first place where the value does not fit the type or passes a limit.
pub fn encode(ty: &Type, value: &Value, limits: &ValueLimits) -> Result<Json, ValueError> {
    Ok(write::Writer::new(limits).value(ty, value, limits.max_depth)?)
}

/// The JSON of a call's result; `null` where the function has none.
///
/// # Errors
/// A value that does not fit, is missing, or is one too many.
pub fn encode_result(
    function: &FunctionType,
    value: Option<&Value>,
    limits: &ValueLimits,
) -> Result<Json, ValueError> {
    match pair_result(function, value)? {
        Some((ty, value)) => {
            let json = write::Writer::new(limits).value(ty, value, limits.max_depth);
            Ok(json.map_err(|e| e.within(Step::Result))?)
        }
        None => Ok(Json::Null),
    }
}

/// The JSON of a call's arguments: an array in order.
///
/// # Errors
/// The wrong number of values, or the first that does not fit its parameter.
pub fn encode_args(
    function: &FunctionType,
    values: &[Value],
    limits: &ValueLimits,
) -> Result<Json, ValueError> {
    check_arity(function, values.len())?;
    let mut writer = write::Writer::new(limits);
    let mut array = Vec::with_capacity(values.len());
    for (index, (param, value)) in function.params.iter().zip(values).enumerate() {
        let json = writer.value(&param.ty, value, limits.max_depth);
        array.push(json.map_err(|e| e.within(Step::Argument(index, &param.name)))?);
    }
    Ok(Json::Array(array))
}

/// The value of type `ty` that `json` stands for.
///
/// # Errors
/// The first place that does not fit, in the order of the document.
pub fn decode(ty: &Type, json: &Json, limits: &ValueLimits) -> Result<Value, JsonError> {
    Ok(Reader::new(limits).value(ty, json, limits.max_depth)?)
}

/// The arguments of a call: an array in order, or an object by the parameters'
/// names, where an `option` may be left out.
///
/// # Errors
/// The wrong number, an unknown or missing parameter, or the first that does
/// not fit.
pub fn args_from(
    function: &FunctionType,
    json: &Json,
    limits: &ValueLimits,
) -> Result<Vec<Value>, JsonError> {
    let mut reader = Reader::new(limits);
    match json {
        Json::Array(items) => {
            if items.len() != function.params.len() {
                return Err(Misfit::new(parameters(function), arguments(items.len())).into());
            }
            let mut values = Vec::with_capacity(items.len());
            for (index, (param, item)) in function.params.iter().zip(items).enumerate() {
                let value = reader.value(&param.ty, item, limits.max_depth);
                values.push(value.map_err(|e| e.within(Step::Argument(index, &param.name)))?);
            }
            Ok(values)
        }
        Json::Object(members) => {
            let mut fields = Fields::new(&function.params);
            for (name, item) in members {
                let (index, param) = fields.find(name)?;
                let value = reader.value(&param.ty, item, limits.max_depth);
                fields.put(
                    index,
                    value.map_err(|e| e.within(Step::Argument(index, &param.name)))?,
                );
            }
            Ok(fields.finish(&mut reader.budget)?)
        }
        other => {
            let expected = "an array of the arguments, or an object by their names";
            Err(Misfit::new(expected, describe(other)).into())
        }
    }
}

/// What a piece of JSON is, in a few words.
fn describe(json: &Json) -> String {
    match json {
        Json::Null => "null".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => format!("the number {}", cut(&number.to_string(), SHOWN)),
        Json::String(text) => format!("the string {}", super::misfit::quoted(text)),
        Json::Array(items) => format!("an array of {}", items.len()),
        Json::Object(members) if members.is_empty() => "an empty object".into(),
        Json::Object(members) => {
            format!(
                "an object with {}",
                super::misfit::one_of(members.keys().map(String::as_str))
            )
        }
    }
}
