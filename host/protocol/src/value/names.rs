//! Fields, cases and flags found by their names.
//!
//! Shared by the readers of WAVE, JSON and CBOR, which all let people name
//! what the wire only numbers.

use std::sync::Arc;

use super::{
    Value,
    budget::Budget,
    misfit::{Misfit, one_of},
};
use crate::types::{Case, Field, Type};

/// A record being put together from fields in any order.
pub(crate) struct Fields<'t> {
    fields: &'t [Field],
    values: Vec<Option<Value>>,
    /// Where the next field is, if they come in declared order.
    next: usize,
}

impl<'t> Fields<'t> {
    pub(crate) fn new(fields: &'t [Field]) -> Self {
        Fields {
            fields,
            values: fields.iter().map(|_| None).collect(),
            next: 0,
        }
    }

    /// The field of this name, which must be declared and not yet be there.
    pub(crate) fn find(&mut self, name: &str) -> Result<(usize, &'t Field), Box<Misfit>> {
        let expected_next = self.fields.get(self.next).filter(|field| *field.name == *name);
        let found = match expected_next {
            Some(field) => Some((self.next, field)),
            None => self
                .fields
                .iter()
                .enumerate()
                .find(|(_, field)| *field.name == *name),
        };
        let Some((index, field)) = found else {
            let names = one_of(self.fields.iter().map(|field| &*field.name));
            let expected = if names.is_empty() {
                "no field".into()
            } else {
                format!("the fields {names}")
            };
            return Err(Misfit::new(
                expected,
                format!("an unknown field `{}`", super::wit::cut(name, 60)),
            ));
        };
        if self.values.get(index).is_some_and(Option::is_some) {
            return Err(Misfit::new(format!("the field `{name}` once"), "it twice"));
        }
        self.next = index + 1;
        Ok((index, field))
    }

    /// Puts a value where [`Fields::find`] said.
    pub(crate) fn put(&mut self, index: usize, value: Value) {
        if let Some(place) = self.values.get_mut(index) {
            *place = Some(value);
        }
    }

    /// The values in declared order; an `option` that is not there is `none`.
    pub(crate) fn finish(self, budget: &mut Budget) -> Result<Vec<Value>, Box<Misfit>> {
        let mut values = Vec::with_capacity(self.values.len());
        for (field, value) in self.fields.iter().zip(self.values) {
            values.push(match value {
                Some(value) => value,
                None if matches!(field.ty, Type::Option(_)) => {
                    budget.charge(1)?;
                    Value::none()
                }
                None => {
                    let expected = format!(
                        "the field `{}`: {}",
                        field.name,
                        super::misfit::in_words(&field.ty)
                    );
                    return Err(Misfit::new(expected, "nothing"));
                }
            });
        }
        Ok(values)
    }
}

/// The case of this name and its number.
pub(crate) fn find_case<'t>(cases: &'t [Case], name: &str) -> Result<(u32, &'t Case), Box<Misfit>> {
    (0..)
        .zip(cases)
        .find(|(_, case)| *case.name == *name)
        .ok_or_else(|| unknown("case", cases.iter().map(|case| &*case.name), name))
}

/// The number of the enum's case of this name.
pub(crate) fn find_enum(names: &[Arc<str>], name: &str) -> Result<u32, Box<Misfit>> {
    (0..)
        .zip(names)
        .find_map(|(index, case)| (**case == *name).then_some(index))
        .ok_or_else(|| unknown("case", names.iter().map(|case| &**case), name))
}

/// Sets the flag of this name, which must not be set yet.
pub(crate) fn set_flag(names: &[Arc<str>], set: &mut [bool], name: &str) -> Result<(), Box<Misfit>> {
    let place = names
        .iter()
        .zip(set)
        .find_map(|(flag, on)| (**flag == *name).then_some(on));
    match place {
        Some(on) if !*on => {
            *on = true;
            Ok(())
        }
        Some(_) => Err(Misfit::new(format!("the flag `{name}` once"), "it twice")),
        None => Err(unknown("flag", names.iter().map(|flag| &**flag), name)),
    }
}

fn unknown<'a>(what: &str, names: impl Iterator<Item = &'a str>, found: &str) -> Box<Misfit> {
    let found = format!(
        "an unknown {what} `{}`",
        super::wit::cut(found, super::misfit::SHOWN)
    );
    Misfit::new(format!("one of {}", one_of(names)), found)
}
