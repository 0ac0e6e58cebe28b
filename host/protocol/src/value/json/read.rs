//! Reading JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json};

use super::describe;
use crate::{
    limits::ValueLimits,
    types::Type,
    value::{
        Value,
        budget::Budget,
        error::Problem,
        misfit::{Misfit, in_words},
        names::{Fields, find_case, find_enum, set_flag},
        path::{Located as _, Step},
    },
};

type Read<T = Value> = Result<T, Box<Misfit>>;

pub(super) struct Reader {
    pub(super) budget: Budget,
}

impl Reader {
    pub(super) fn new(limits: &ValueLimits) -> Self {
        Reader {
            budget: Budget::new(limits),
        }
    }

    pub(super) fn value(&mut self, ty: &Type, json: &Json, depth: usize) -> Read {
        let below = self.budget.descend(depth)?;
        Ok(match ty {
            Type::Bool => Value::Bool(json.as_bool().ok_or_else(|| wrong(ty, json))?),
            Type::S8 => Value::S8(integer(ty, json)?),
            Type::U8 => Value::U8(integer(ty, json)?),
            Type::S16 => Value::S16(integer(ty, json)?),
            Type::U16 => Value::U16(integer(ty, json)?),
            Type::S32 => Value::S32(integer(ty, json)?),
            Type::U32 => Value::U32(integer(ty, json)?),
            Type::S64 => Value::S64(integer(ty, json)?),
            Type::U64 => Value::U64(integer(ty, json)?),
            Type::F32 => Value::F32(narrow(ty, json)?),
            Type::F64 => Value::F64(float(ty, json)?),
            Type::Char => Value::Char(one_char(json).ok_or_else(|| wrong(ty, json))?),
            Type::Handle(name) => {
                return Err(Problem::Handle {
                    name: name.to_string(),
                }
                .into());
            }
            _ => {
                self.budget.charge(1)?;
                self.compound(ty, json, below)?
            }
        })
    }

    fn compound(&mut self, ty: &Type, json: &Json, below: usize) -> Read {
        Ok(match (ty, json) {
            (Type::String, Json::String(text)) => Value::String(text.clone()),
            (Type::List(element), _) if **element == Type::U8 => Value::Bytes(self.bytes(ty, json, below)?),
            (Type::FixedList(element, count), _) if **element == Type::U8 => {
                let bytes = self.bytes(ty, json, below)?;
                if bytes.len() != *count as usize {
                    return Err(Misfit::of(ty, format!("{} bytes", bytes.len())));
                }
                Value::Bytes(bytes)
            }
            (Type::List(element), Json::Array(items)) => Value::List(self.items(element, items, below)?),
            (Type::FixedList(element, count), Json::Array(items)) if items.len() == *count as usize => {
                Value::List(self.items(element, items, below)?)
            }
            (Type::Map(key, value), Json::Array(items)) => {
                let mut pairs = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let pair = self.pair(key, value, item, below);
                    pairs.push(pair.map_err(|e| e.within(Step::Index(index)))?);
                }
                Value::Map(pairs)
            }
            (Type::Map(key, value), Json::Object(members)) if **key == Type::String => {
                let mut pairs = Vec::with_capacity(members.len());
                for (name, item) in members {
                    self.budget.descend(below)?;
                    self.budget.charge(1)?;
                    let item = self
                        .value(value, item, below)
                        .map_err(|e| e.within(Step::Name(name)))?;
                    pairs.push((Value::String(name.clone()), item));
                }
                Value::Map(pairs)
            }
            (Type::Record(declared), Json::Object(members)) => {
                let mut fields = Fields::new(declared);
                for (name, item) in members {
                    let (index, field) = fields.find(name)?;
                    let value = self.value(&field.ty, item, below);
                    fields.put(index, value.map_err(|e| e.within(Step::Name(&field.name)))?);
                }
                Value::Record(fields.finish(&mut self.budget)?)
            }
            (Type::Tuple(types), Json::Array(items)) if items.len() == types.len() => {
                let mut values = Vec::with_capacity(items.len());
                for (index, (ty, item)) in types.iter().zip(items).enumerate() {
                    values.push(
                        self.value(ty, item, below)
                            .map_err(|e| e.within(Step::Index(index)))?,
                    );
                }
                Value::Tuple(values)
            }
            (Type::Variant(cases), _) => {
                let (name, carried) = case_of(json).ok_or_else(|| wrong(ty, json))?;
                let (case, declared) = find_case(cases, name)?;
                let payload = self.payload(declared.ty.as_ref(), name, carried, below)?;
                Value::Variant { case, payload }
            }
            (Type::Enum(names), Json::String(name)) => Value::Enum(find_enum(names, name)?),
            (Type::Option(_), Json::Null) => Value::none(),
            (Type::Option(inner), _) if matches!(**inner, Type::Option(_)) => match case_of(json) {
                Some(("some", Some(carried))) => {
                    let value = self.value(inner, carried, below);
                    Value::some(value.map_err(|e| e.within(Step::Name("some")))?)
                }
                _ => return Err(Misfit::new("null or {\"some\": …}", describe(json))),
            },
            (Type::Option(inner), _) => Value::some(self.value(inner, json, below)?),
            (Type::Result(ok, err), Json::Object(members)) => Value::Result(match only(members) {
                Some(("ok", carried)) => Ok(self.payload(ok.as_deref(), "ok", Some(carried), below)?),
                Some(("err", carried)) => Err(self.payload(err.as_deref(), "err", Some(carried), below)?),
                _ => return Err(result_wrong(json)),
            }),
            (Type::Result(..), _) => return Err(result_wrong(json)),
            (Type::Flags(names), Json::Array(items)) => {
                let mut set = vec![false; names.len()];
                for (index, item) in items.iter().enumerate() {
                    let name = item
                        .as_str()
                        .ok_or_else(|| Misfit::new("the name of a flag", describe(item)));
                    name.and_then(|name| set_flag(names, &mut set, name))
                        .map_err(|e| e.within(Step::Index(index)))?;
                }
                Value::Flags(set)
            }
            _ => return Err(wrong(ty, json)),
        })
    }

    fn items(&mut self, ty: &Type, items: &[Json], below: usize) -> Read<Vec<Value>> {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            values.push(
                self.value(ty, item, below)
                    .map_err(|e| e.within(Step::Index(index)))?,
            );
        }
        Ok(values)
    }

    fn pair(&mut self, key: &Type, value: &Type, json: &Json, below: usize) -> Read<(Value, Value)> {
        match json.as_array().map(Vec::as_slice) {
            Some([k, v]) => Ok((
                self.value(key, k, below)
                    .map_err(|e| e.within(Step::Name("key")))?,
                self.value(value, v, below)
                    .map_err(|e| e.within(Step::Name("value")))?,
            )),
            _ => Err(Misfit::new("a pair [key, value]", describe(json))),
        }
    }

    fn payload(
        &mut self,
        ty: Option<&Type>,
        case: &str,
        carried: Option<&Json>,
        below: usize,
    ) -> Read<Option<Box<Value>>> {
        match (ty, carried) {
            (Some(ty), Some(json)) => {
                let value = self
                    .value(ty, json, below)
                    .map_err(|e| e.within(Step::Name(case)))?;
                Ok(Some(Box::new(value)))
            }
            (None, None | Some(Json::Null)) => Ok(None),
            (Some(ty), None) => Err(Misfit::new(
                format!("{{\"{case}\": …}} with {}", in_words(ty)),
                format!("\"{case}\""),
            )),
            (None, Some(json)) => Err(Misfit::new("no payload", describe(json)).within(Step::Name(case))),
        }
    }

    /// Base64, or an array of numbers.
    fn bytes(&mut self, ty: &Type, json: &Json, below: usize) -> Read<Vec<u8>> {
        let bytes = match json {
            Json::String(text) => STANDARD.decode(text).map_err(|_| {
                Misfit::new(
                    "bytes in standard base64 with padding, or an array of numbers",
                    describe(json),
                )
            })?,
            Json::Array(items) => {
                let mut bytes = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    bytes.push(integer(&Type::U8, item).map_err(|e| e.within(Step::Index(index)))?);
                }
                bytes
            }
            _ => {
                return Err(Misfit::new(
                    format!("{}: base64 or an array", in_words(ty)),
                    describe(json),
                ));
            }
        };
        if !bytes.is_empty() {
            self.budget.descend(below)?;
        }
        Ok(bytes)
    }
}

fn wrong(ty: &Type, json: &Json) -> Box<Misfit> {
    Misfit::of(ty, describe(json))
}

fn result_wrong(json: &Json) -> Box<Misfit> {
    Misfit::new("{\"ok\": …} or {\"err\": …}", describe(json))
}

/// The only member of an object that has one.
fn only(members: &Map<String, Json>) -> Option<(&str, &Json)> {
    let mut members = members.iter();
    match (members.next(), members.next()) {
        (Some((name, json)), None) => Some((name, json)),
        _ => None,
    }
}

/// `"case"` or `{"case": payload}`.
fn case_of(json: &Json) -> Option<(&str, Option<&Json>)> {
    match json {
        Json::String(name) => Some((name, None)),
        Json::Object(members) => only(members).map(|(name, carried)| (name, Some(carried))),
        _ => None,
    }
}

fn integer<T: TryFrom<i128>>(ty: &Type, json: &Json) -> Read<T> {
    let wide = matches!(ty, Type::S64 | Type::U64);
    let number = match json {
        Json::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| whole(number.as_f64()?)),
        Json::String(text) if wide => text.parse().ok(),
        _ => None,
    };
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(ty, json))
}

/// A whole number that a program wrote as `1.0` or `1e3`, as far as a float
/// holds every whole number.
fn whole(number: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a whole number below 2^53 is in range"
    )]
    let whole = number as i128;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(whole)
}

fn float(ty: &Type, json: &Json) -> Read<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
    .ok_or_else(|| wrong(ty, json))
}

fn narrow(ty: &Type, json: &Json) -> Read<f32> {
    let wide = float(ty, json)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the nearest f32 is what the text means"
    )]
    let narrow = wide as f32;
    if narrow.is_infinite() && wide.is_finite() {
        Err(wrong(ty, json))
    } else {
        Ok(narrow)
    }
}

fn one_char(json: &Json) -> Option<char> {
    let mut chars = json.as_str()?.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}
