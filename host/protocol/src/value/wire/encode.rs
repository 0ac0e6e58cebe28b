//! Writing the wire form of a value.

use super::reader::{discriminant_width, flags_width};
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

/// The bits of the one NaN, as in the component model.
const NAN32: u32 = 0x7fc0_0000;
/// The same for `f64`.
const NAN64: u64 = 0x7ff8_0000_0000_0000;

/// The wire written so far, and what is left of the limits.
pub(super) struct Writer {
    out: Vec<u8>,
    budget: Budget,
}

impl Writer {
    pub(super) fn new(limits: &ValueLimits) -> Self {
        Writer {
            out: Vec::new(),
            budget: Budget::new(limits),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Boxed> {
        let limit = self.budget.limits().max_bytes;
        if bytes.len() > limit.saturating_sub(self.out.len()) {
            return Err(Problem::TooLong { limit }.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<(), Boxed> {
        let limit = self.budget.limits().max_bytes;
        let count = u32::try_from(count).map_err(|_| Problem::TooLong { limit })?;
        self.put(&count.to_le_bytes())
    }

    fn case(&mut self, index: u32, cases: usize) -> Result<(), Boxed> {
        let [a, b, c, d] = index.to_le_bytes();
        match discriminant_width(cases) {
            1 => self.put(&[a]),
            2 => self.put(&[a, b]),
            _ => self.put(&[a, b, c, d]),
        }
    }

    /// Writes one value of type `ty`, which may be `depth` levels deep.
    pub(super) fn value(&mut self, ty: &Type, value: &Value, depth: usize) -> Result<(), Boxed> {
        let below = self.budget.descend(depth)?;
        let view = view(ty, value)?;
        if let View::Scalar(scalar) = view {
            return self.scalar(scalar);
        }
        self.budget.charge(1)?;
        match view {
            View::Scalar(scalar) => self.scalar(scalar),
            View::String(text) => {
                self.count(text.len())?;
                self.put(text.as_bytes())
            }
            View::Bytes { bytes, fixed } => {
                if !bytes.is_empty() {
                    self.budget.descend(below)?;
                }
                if !fixed {
                    self.count(bytes.len())?;
                }
                self.put(bytes)
            }
            View::List {
                element,
                items,
                fixed,
            } => {
                if !fixed {
                    self.count(items.len())?;
                }
                items.iter().enumerate().try_for_each(|(index, item)| {
                    self.value(element, item, below)
                        .map_err(|e| e.within(Step::Index(index)))
                })
            }
            View::Map { key, value, pairs } => {
                self.count(pairs.len())?;
                pairs.iter().enumerate().try_for_each(|(index, (k, v))| {
                    self.value(key, k, below)
                        .map_err(|e| e.within(Step::Name("key")).within(Step::Index(index)))?;
                    self.value(value, v, below)
                        .map_err(|e| e.within(Step::Name("value")).within(Step::Index(index)))
                })
            }
            View::Record(fields, values) => fields.iter().zip(values).try_for_each(|(field, value)| {
                self.value(&field.ty, value, below)
                    .map_err(|e| e.within(Step::Name(&field.name)))
            }),
            View::Tuple(types, values) => {
                types
                    .iter()
                    .zip(values)
                    .enumerate()
                    .try_for_each(|(index, (ty, value))| {
                        self.value(ty, value, below)
                            .map_err(|e| e.within(Step::Index(index)))
                    })
            }
            View::Case {
                index,
                cases,
                name,
                payload,
            } => {
                self.case(index, cases)?;
                self.payload(payload, name, below)
            }
            View::Option(inner, carried) => {
                self.put(&[u8::from(carried.is_some())])?;
                self.payload(carried.map(|value| (inner, value)), "some", below)
            }
            View::Result(result) => match result {
                Ok(payload) => {
                    self.put(&[0])?;
                    self.payload(payload, "ok", below)
                }
                Err(payload) => {
                    self.put(&[1])?;
                    self.payload(payload, "err", below)
                }
            },
            View::Flags(names, set) => {
                let mut bits = set.chunks(8).map(|byte| {
                    byte.iter()
                        .enumerate()
                        .fold(0, |bits, (bit, on)| bits | u8::from(*on) << bit)
                });
                (0..flags_width(names.len())).try_for_each(|_| self.put(&[bits.next().unwrap_or(0)]))
            }
        }
    }

    fn payload(&mut self, payload: Option<Typed<'_>>, case: &str, below: usize) -> Result<(), Boxed> {
        match payload {
            Some((ty, value)) => self
                .value(ty, value, below)
                .map_err(|e| e.within(Step::Name(case))),
            None => Ok(()),
        }
    }

    fn scalar(&mut self, value: &Value) -> Result<(), Boxed> {
        match value {
            Value::Bool(v) => self.put(&[u8::from(*v)]),
            Value::S8(v) => self.put(&v.to_le_bytes()),
            Value::U8(v) => self.put(&v.to_le_bytes()),
            Value::S16(v) => self.put(&v.to_le_bytes()),
            Value::U16(v) => self.put(&v.to_le_bytes()),
            Value::S32(v) => self.put(&v.to_le_bytes()),
            Value::U32(v) => self.put(&v.to_le_bytes()),
            Value::S64(v) => self.put(&v.to_le_bytes()),
            Value::U64(v) => self.put(&v.to_le_bytes()),
            Value::F32(v) if v.is_nan() => self.put(&NAN32.to_le_bytes()),
            Value::F64(v) if v.is_nan() => self.put(&NAN64.to_le_bytes()),
            Value::F32(v) => self.put(&v.to_le_bytes()),
            Value::F64(v) => self.put(&v.to_le_bytes()),
            Value::Char(v) => self.put(&u32::from(*v).to_le_bytes()),
            other => {
                let expected = "a bool, a number or a char".to_owned();
                Err(Problem::Mismatch {
                    expected,
                    found: other.sort().to_owned(),
                }
                .into())
            }
        }
    }
}
