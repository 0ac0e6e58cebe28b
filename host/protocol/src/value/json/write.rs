//! Writing JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value as Json};

use crate::{
    limits::ValueLimits,
    types::Type,
    value::{
        Value,
        budget::Budget,
        error::{Boxed, Problem},
        path::{Located as _, Step},
        view::{Typed, View, view},
    },
};

/// Numbers up to here are the same in every reader, JavaScript's included.
pub(super) const EXACT: u64 = 1 << 53;

pub(super) struct Writer {
    budget: Budget,
}

impl Writer {
    pub(super) fn new(limits: &ValueLimits) -> Self {
        Writer {
            budget: Budget::new(limits),
        }
    }

    pub(super) fn value(&mut self, ty: &Type, value: &Value, depth: usize) -> Result<Json, Boxed> {
        let below = self.budget.descend(depth)?;
        let view = view(ty, value)?;
        if let View::Scalar(scalar) = view {
            return self.scalar(scalar);
        }
        self.budget.charge(1)?;
        Ok(match view {
            View::Scalar(scalar) => self.scalar(scalar)?,
            View::String(text) => Json::from(text),
            View::Bytes { bytes, .. } => Json::from(STANDARD.encode(bytes)),
            View::List { element, items, .. } => {
                let mut array = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let json = self.value(element, item, below);
                    array.push(json.map_err(|e| e.within(Step::Index(index)))?);
                }
                Json::Array(array)
            }
            View::Map { key, value, pairs } => {
                let mut array = Vec::with_capacity(pairs.len());
                for (index, (k, v)) in pairs.iter().enumerate() {
                    let k = self
                        .value(key, k, below)
                        .map_err(|e| e.within(Step::Name("key")).within(Step::Index(index)))?;
                    let v = self
                        .value(value, v, below)
                        .map_err(|e| e.within(Step::Name("value")).within(Step::Index(index)))?;
                    array.push(Json::Array(vec![k, v]));
                }
                Json::Array(array)
            }
            View::Record(fields, values) => {
                let mut members = Map::new();
                for (field, value) in fields.iter().zip(values) {
                    let json = self.value(&field.ty, value, below);
                    let json = json.map_err(|e| e.within(Step::Name(&field.name)))?;
                    members.insert(field.name.to_string(), json);
                }
                Json::Object(members)
            }
            View::Tuple(types, values) => {
                let mut array = Vec::with_capacity(values.len());
                for (index, (ty, value)) in types.iter().zip(values).enumerate() {
                    let json = self.value(ty, value, below);
                    array.push(json.map_err(|e| e.within(Step::Index(index)))?);
                }
                Json::Array(array)
            }
            View::Case {
                name, payload: None, ..
            } => Json::from(name),
            View::Case { name, payload, .. } => self.member(name, payload, below)?,
            View::Option(_, None) => Json::Null,
            View::Option(inner, Some(value)) if matches!(inner, Type::Option(_)) => {
                self.member("some", Some((inner, value)), below)?
            }
            View::Option(inner, Some(value)) => self
                .value(inner, value, below)
                .map_err(|e| e.within(Step::Name("some")))?,
            View::Result(Ok(payload)) => self.member("ok", payload, below)?,
            View::Result(Err(payload)) => self.member("err", payload, below)?,
            View::Flags(names, set) => names
                .iter()
                .zip(set)
                .filter(|(_, on)| **on)
                .map(|(name, _)| Json::from(&**name))
                .collect(),
        })
    }

    /// `{"name": payload}`
    fn member(&mut self, name: &str, payload: Option<Typed<'_>>, below: usize) -> Result<Json, Boxed> {
        let json = match payload {
            Some((ty, value)) => self
                .value(ty, value, below)
                .map_err(|e| e.within(Step::Name(name)))?,
            None => Json::Null,
        };
        Ok(Json::Object(Map::from_iter([(name.to_owned(), json)])))
    }

    fn scalar(&self, value: &Value) -> Result<Json, Boxed> {
        Ok(match value {
            Value::Bool(v) => Json::Bool(*v),
            Value::S8(v) => Json::from(*v),
            Value::U8(v) => Json::from(*v),
            Value::S16(v) => Json::from(*v),
            Value::U16(v) => Json::from(*v),
            Value::S32(v) => Json::from(*v),
            Value::U32(v) => Json::from(*v),
            Value::S64(v) if v.unsigned_abs() <= EXACT => Json::from(*v),
            Value::U64(v) if *v <= EXACT => Json::from(*v),
            Value::S64(v) => Json::from(v.to_string()),
            Value::U64(v) => Json::from(v.to_string()),
            Value::F32(v) => float(shortest(*v)),
            Value::F64(v) => float(*v),
            Value::Char(v) => Json::from(v.to_string()),
            other => {
                let expected = "a bool, a number or a char".to_owned();
                return Err(Problem::Mismatch {
                    expected,
                    found: other.sort().to_owned(),
                }
                .into());
            }
        })
    }
}

/// The `f64` that prints as few digits as the `f32` does and rounds back to it.
fn shortest(value: f32) -> f64 {
    match value.to_string().parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding back to f32 is the point"
        )]
        Ok(wide) if (wide as f32).to_bits() == value.to_bits() => wide,
        _ => f64::from(value),
    }
}

fn float(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => Json::from("NaN"),
        None if value > 0.0 => Json::from("Infinity"),
        None => Json::from("-Infinity"),
    }
}
