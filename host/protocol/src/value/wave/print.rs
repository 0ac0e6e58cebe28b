//! Writing WAVE, spelled as `wasm-wave` spells it.

use std::fmt::Write as _;

use wasm_wave::{
    lex::Keyword,
    value::Value as Leaf,
    wasm::{DisplayValue, WasmValue as _},
};

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

pub(super) struct Printer {
    out: String,
    budget: Budget,
}

impl Printer {
    pub(super) fn new(limits: &ValueLimits) -> Self {
        Printer {
            out: String::new(),
            budget: Budget::new(limits),
        }
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }

    /// A comma before every item but the first.
    pub(super) fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push_str(", ");
        }
    }

    pub(super) fn value(&mut self, ty: &Type, value: &Value, depth: usize) -> Result<(), Boxed> {
        let below = self.budget.descend(depth)?;
        let limit = self.budget.limits().max_text;
        if self.out.len() > limit {
            return Err(Problem::TooLong { limit }.into());
        }
        let view = view(ty, value)?;
        if let View::Scalar(scalar) = view {
            return self.scalar(scalar);
        }
        self.budget.charge(1)?;
        match view {
            View::Scalar(scalar) => self.scalar(scalar)?,
            View::String(text) => self.leaf(&Leaf::make_string(text.into())),
            View::Bytes { bytes, .. } => {
                if !bytes.is_empty() {
                    self.budget.descend(below)?;
                }
                self.between('[', ']', bytes, |p, byte| {
                    p.display(byte);
                    Ok(())
                })?;
            }
            View::List { element, items, .. } => {
                let mut index = 0..;
                self.between('[', ']', items, |p, item| {
                    let index = Step::Index(index.next().unwrap_or_default());
                    p.value(element, item, below).map_err(|e| e.within(index))
                })?;
            }
            View::Map { key, value, pairs } => {
                let mut index = 0..;
                self.between('[', ']', pairs, |p, (k, v)| {
                    let index = Step::Index(index.next().unwrap_or_default());
                    p.out.push('(');
                    p.value(key, k, below)
                        .map_err(|e| e.within(Step::Name("key")).within(index))?;
                    p.out.push_str(", ");
                    p.value(value, v, below)
                        .map_err(|e| e.within(Step::Name("value")).within(index))?;
                    p.out.push(')');
                    Ok(())
                })?;
            }
            View::Record(fields, values) => {
                let present = |value: &Value| !matches!(value, Value::Option(None));
                if !values.iter().any(present) {
                    self.out.push_str("{:}");
                    return Ok(());
                }
                let there = fields.iter().zip(values).filter(|(_, value)| present(value));
                self.between('{', '}', there, |p, (field, value)| {
                    p.out.push_str(&field.name);
                    p.out.push_str(": ");
                    p.value(&field.ty, value, below)
                        .map_err(|e| e.within(Step::Name(&field.name)))
                })?;
            }
            View::Tuple(types, values) => {
                let mut index = 0..;
                self.between('(', ')', types.iter().zip(values), |p, (ty, value)| {
                    let index = Step::Index(index.next().unwrap_or_default());
                    p.value(ty, value, below).map_err(|e| e.within(index))
                })?;
            }
            View::Case { name, payload, .. } => {
                if Keyword::decode(name).is_some() {
                    self.out.push('%');
                }
                self.case(name, payload, below)?;
            }
            View::Option(_, None) => self.out.push_str("none"),
            View::Option(inner, Some(value)) => self.case("some", Some((inner, value)), below)?,
            View::Result(Ok(payload)) => self.case("ok", payload, below)?,
            View::Result(Err(payload)) => self.case("err", payload, below)?,
            View::Flags(names, set) => {
                let there = names.iter().zip(set).filter(|(_, on)| **on);
                self.between('{', '}', there, |p, (name, _)| {
                    p.out.push_str(name);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn case(&mut self, name: &str, payload: Option<Typed<'_>>, below: usize) -> Result<(), Boxed> {
        self.out.push_str(name);
        if let Some((ty, value)) = payload {
            self.out.push('(');
            self.value(ty, value, below)
                .map_err(|e| e.within(Step::Name(name)))?;
            self.out.push(')');
        }
        Ok(())
    }

    fn between<T>(
        &mut self,
        open: char,
        close: char,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Result<(), Boxed>,
    ) -> Result<(), Boxed> {
        self.out.push(open);
        for (index, item) in items.into_iter().enumerate() {
            self.comma(index);
            each(self, item)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn scalar(&mut self, value: &Value) -> Result<(), Boxed> {
        match value {
            Value::Bool(v) => self.display(v),
            Value::S8(v) => self.display(v),
            Value::U8(v) => self.display(v),
            Value::S16(v) => self.display(v),
            Value::U16(v) => self.display(v),
            Value::S32(v) => self.display(v),
            Value::U32(v) => self.display(v),
            Value::S64(v) => self.display(v),
            Value::U64(v) => self.display(v),
            Value::F32(v) => self.leaf(&Leaf::make_f32(*v)),
            Value::F64(v) => self.leaf(&Leaf::make_f64(*v)),
            Value::Char(v) => self.leaf(&Leaf::make_char(*v)),
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

    fn leaf(&mut self, leaf: &Leaf) {
        self.display(DisplayValue(leaf));
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        // Writing into a `String` cannot fail.
        let written = write!(self.out, "{value}");
        debug_assert!(written.is_ok());
    }
}
