//! Checking a wire without building its value.
//!
//! On the path of every generic call: numbers, and lists of them, are checked
//! by arithmetic; a success allocates nothing.

use super::{reader::Reader, shape::Shape};
use crate::{
    types::Type,
    value::{
        error::{Boxed, Problem},
        path::{Located as _, Step},
    },
};

/// Reads past one value of type `ty`, which may be `depth` levels deep.
pub(super) fn value(reader: &mut Reader<'_>, ty: &Type, depth: usize) -> Result<(), Boxed> {
    let below = reader.budget.descend(depth)?;
    match ty {
        Type::Bool => reader.bit("a bool").map(drop),
        Type::S8 | Type::U8 => reader.array::<1>().map(drop),
        Type::S16 | Type::U16 => reader.array::<2>().map(drop),
        Type::S32 | Type::U32 | Type::F32 => reader.array::<4>().map(drop),
        Type::S64 | Type::U64 | Type::F64 => reader.array::<8>().map(drop),
        Type::Char => reader.char().map(drop),
        Type::Handle(name) => Err(Problem::Handle {
            name: name.to_string(),
        }
        .into()),
        _ => {
            reader.budget.charge(1)?;
            compound(reader, ty, below)
        }
    }
}

fn compound(reader: &mut Reader<'_>, ty: &Type, below: usize) -> Result<(), Boxed> {
    match ty {
        Type::String => reader.text().map(drop),
        Type::List(element) => {
            let count = reader.count()?;
            elements(reader, element, count, below)
        }
        Type::FixedList(element, count) => elements(reader, element, *count, below),
        Type::Map(key, val) => {
            for index in 0..reader.count()? as usize {
                value(reader, key, below)
                    .map_err(|e| e.within(Step::Name("key")).within(Step::Index(index)))?;
                value(reader, val, below)
                    .map_err(|e| e.within(Step::Name("value")).within(Step::Index(index)))?;
            }
            Ok(())
        }
        Type::Record(fields) => fields.iter().try_for_each(|field| {
            value(reader, &field.ty, below).map_err(|e| e.within(Step::Name(&field.name)))
        }),
        Type::Tuple(types) => types
            .iter()
            .enumerate()
            .try_for_each(|(index, ty)| value(reader, ty, below).map_err(|e| e.within(Step::Index(index)))),
        Type::Variant(cases) => {
            let index = reader.case(cases.len())?;
            match cases.get(index as usize) {
                Some(case) => payload(reader, case.ty.as_ref(), &case.name, below),
                None => Ok(()),
            }
        }
        Type::Enum(names) => reader.case(names.len()).map(drop),
        Type::Option(inner) => match reader.bit("an option")? {
            true => payload(reader, Some(inner), "some", below),
            false => Ok(()),
        },
        Type::Result(ok, err) => match reader.bit("a result")? {
            false => payload(reader, ok.as_deref(), "ok", below),
            true => payload(reader, err.as_deref(), "err", below),
        },
        Type::Flags(names) => reader.flags(names.len()).map(drop),
        // `value` has dealt with all the others.
        scalar => value(reader, scalar, below),
    }
}

#[inline]
fn payload(reader: &mut Reader<'_>, ty: Option<&Type>, case: &str, below: usize) -> Result<(), Boxed> {
    match ty {
        Some(ty) => value(reader, ty, below).map_err(|e| e.within(Step::Name(case))),
        None => Ok(()),
    }
}

fn elements(reader: &mut Reader<'_>, ty: &Type, count: u32, depth: usize) -> Result<(), Boxed> {
    match ahead(reader, ty, count, depth)? {
        Some(all) => {
            reader.budget.charge(all.nodes_or_max())?;
            reader.take_wide(all.width).map(drop)
        }
        None if matches!(ty, Type::String) => {
            reader.budget.charge(count as usize)?;
            (0..count as usize)
                .try_for_each(|index| reader.text().map(drop).map_err(|e| e.within(Step::Index(index))))
        }
        None if matches!(ty, Type::Bool) && reader.need(u64::from(count)).is_ok() => {
            let bytes = reader.take(count as usize)?;
            match bytes.iter().zip(0..).find(|(byte, _)| **byte > 1) {
                Some((found, index)) => {
                    let problem = Problem::NotABit {
                        what: "a bool",
                        found: *found,
                    };
                    Err(Boxed::from(problem).within(Step::Index(index)))
                }
                None => Ok(()),
            }
        }
        None => (0..count as usize)
            .try_for_each(|index| value(reader, ty, depth).map_err(|e| e.within(Step::Index(index)))),
    }
}

/// What is known of all elements before the first is read: that they are
/// affordable and there, and their shape if they have one.
pub(super) fn ahead(
    reader: &Reader<'_>,
    ty: &Type,
    count: u32,
    depth: usize,
) -> Result<Option<Shape>, Boxed> {
    // An empty list costs nothing, whatever it is a list of; finding the shape
    // of one element costs no more than the walk over two.
    if count == 0 {
        return Ok(None);
    }
    reader.budget.descend(depth)?;
    if matches!(ty, Type::String) {
        reader.budget.afford(count as usize)?;
    }
    if count == 1 && !matches!(ty, Type::U8) {
        return Ok(None);
    }
    let Some(shape) = Shape::of(ty, depth) else {
        return Ok(None);
    };
    let all = shape.times(u64::from(count));
    reader.budget.afford(all.nodes_or_max())?;
    reader.need(all.width)?;
    Ok(Some(all))
}
