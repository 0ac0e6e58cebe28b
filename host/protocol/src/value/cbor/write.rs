//! Writing CBOR.

use std::convert::Infallible;

use minicbor::{Encoder, data::Tag, encode};

use super::typed::{Layout, append, canonical32, canonical64};
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

pub(super) struct Writer {
    out: Encoder<Vec<u8>>,
    budget: Budget,
}

/// Writing into memory cannot fail; the type of the error says so.
fn sure<T>(written: Result<T, encode::Error<Infallible>>) {
    debug_assert!(written.is_ok());
}

impl Writer {
    pub(super) fn new(limits: &ValueLimits) -> Self {
        Writer {
            out: Encoder::new(Vec::new()),
            budget: Budget::new(limits),
        }
    }

    pub(super) fn into_bytes(self) -> Result<Vec<u8>, Boxed> {
        self.room(0)?;
        Ok(self.out.into_writer())
    }

    pub(super) fn array(&mut self, length: usize) {
        sure(self.out.array(length as u64));
    }

    pub(super) fn null(&mut self) {
        sure(self.out.null());
    }

    fn str(&mut self, text: &str) {
        sure(self.out.str(text));
    }

    fn map(&mut self, length: usize) {
        sure(self.out.map(length as u64));
    }

    /// That `more` bytes still fit; called before anything whose size the
    /// value decides, so that the output never runs far past the limit.
    fn room(&self, more: usize) -> Result<(), Boxed> {
        let limit = self.budget.limits().max_bytes;
        if self.out.writer().len().saturating_add(more) > limit {
            return Err(Problem::TooLong { limit }.into());
        }
        Ok(())
    }

    pub(super) fn value(&mut self, ty: &Type, value: &Value, depth: usize) -> Result<(), Boxed> {
        let below = self.budget.descend(depth)?;
        self.room(0)?;
        let view = view(ty, value)?;
        if let View::Scalar(scalar) = view {
            return self.scalar(scalar);
        }
        self.budget.charge(1)?;
        match view {
            View::Scalar(scalar) => self.scalar(scalar)?,
            View::String(text) => {
                self.room(text.len())?;
                self.str(text);
            }
            View::Bytes { bytes, .. } => {
                if !bytes.is_empty() {
                    self.budget.descend(below)?;
                }
                self.room(bytes.len())?;
                sure(self.out.bytes(bytes));
            }
            View::List { element, items, .. } => self.list(element, items, below)?,
            View::Map { key, value, pairs } => {
                self.map(pairs.len());
                for (index, (k, v)) in pairs.iter().enumerate() {
                    self.value(key, k, below)
                        .map_err(|e| e.within(Step::Name("key")).within(Step::Index(index)))?;
                    self.value(value, v, below)
                        .map_err(|e| e.within(Step::Name("value")).within(Step::Index(index)))?;
                }
            }
            View::Record(fields, values) => {
                self.map(fields.len());
                for (field, value) in fields.iter().zip(values) {
                    self.str(&field.name);
                    self.value(&field.ty, value, below)
                        .map_err(|e| e.within(Step::Name(&field.name)))?;
                }
            }
            View::Tuple(types, values) => {
                self.array(values.len());
                for (index, (ty, value)) in types.iter().zip(values).enumerate() {
                    self.value(ty, value, below)
                        .map_err(|e| e.within(Step::Index(index)))?;
                }
            }
            View::Case {
                name, payload: None, ..
            } => self.str(name),
            View::Case { name, payload, .. } => self.member(name, payload, below)?,
            View::Option(_, None) => self.null(),
            View::Option(inner, Some(value)) if matches!(inner, Type::Option(_)) => {
                self.member("some", Some((inner, value)), below)?;
            }
            View::Option(inner, Some(value)) => {
                self.value(inner, value, below)
                    .map_err(|e| e.within(Step::Name("some")))?;
            }
            View::Result(Ok(payload)) => self.member("ok", payload, below)?,
            View::Result(Err(payload)) => self.member("err", payload, below)?,
            View::Flags(names, set) => {
                self.array(set.iter().filter(|on| **on).count());
                for (name, _) in names.iter().zip(set).filter(|(_, on)| **on) {
                    self.str(name);
                }
            }
        }
        Ok(())
    }

    /// `{"name": payload}`
    fn member(&mut self, name: &str, payload: Option<Typed<'_>>, below: usize) -> Result<(), Boxed> {
        self.map(1);
        self.str(name);
        match payload {
            Some((ty, value)) => self
                .value(ty, value, below)
                .map_err(|e| e.within(Step::Name(name))),
            None => {
                self.null();
                Ok(())
            }
        }
    }

    fn list(&mut self, element: &Type, items: &[Value], below: usize) -> Result<(), Boxed> {
        let Some(layout) = Layout::of(element) else {
            self.array(items.len());
            return items.iter().enumerate().try_for_each(|(index, item)| {
                self.value(element, item, below)
                    .map_err(|e| e.within(Step::Index(index)))
            });
        };
        let length = items.len().saturating_mul(layout.width);
        self.room(length)?;
        let mut bytes = Vec::with_capacity(length);
        for (index, item) in items.iter().enumerate() {
            self.budget.descend(below)?;
            view(element, item).map_err(|e| Boxed::from(e).within(Step::Index(index)))?;
            append(&mut bytes, item);
        }
        sure(self.out.tag(Tag::new(layout.little)));
        sure(self.out.bytes(&bytes));
        Ok(())
    }

    fn scalar(&mut self, value: &Value) -> Result<(), Boxed> {
        match value {
            Value::Bool(v) => sure(self.out.bool(*v)),
            Value::S8(v) => sure(self.out.i8(*v)),
            Value::U8(v) => sure(self.out.u8(*v)),
            Value::S16(v) => sure(self.out.i16(*v)),
            Value::U16(v) => sure(self.out.u16(*v)),
            Value::S32(v) => sure(self.out.i32(*v)),
            Value::U32(v) => sure(self.out.u32(*v)),
            Value::S64(v) => sure(self.out.i64(*v)),
            Value::U64(v) => sure(self.out.u64(*v)),
            Value::F32(v) => sure(self.out.f32(canonical32(*v))),
            Value::F64(v) => sure(self.out.f64(canonical64(*v))),
            Value::Char(v) => self.str(v.encode_utf8(&mut [0; 4])),
            other => {
                let expected = "a bool, a number or a char".to_owned();
                return Err(Problem::Mismatch {
                    expected,
                    found: other.sort().to_owned(),
                }
                .into());
            }
        }
        Ok(())
    }
}
