//! Building the value that a wire stands for.

use super::{reader::Reader, validate::ahead};
use crate::{
    types::Type,
    value::{
        Value,
        error::{Boxed, Problem},
        path::{Located as _, Step},
    },
};

/// The most elements that memory is set aside for before they are read.
const AHEAD: usize = 1024;

/// Reads one value of type `ty`, which may be `depth` levels deep.
pub(super) fn value(reader: &mut Reader<'_>, ty: &Type, depth: usize) -> Result<Value, Boxed> {
    let below = reader.budget.descend(depth)?;
    Ok(match ty {
        Type::Bool => Value::Bool(reader.bit("a bool")?),
        Type::S8 => Value::S8(i8::from_le_bytes(reader.array()?)),
        Type::U8 => Value::U8(u8::from_le_bytes(reader.array()?)),
        Type::S16 => Value::S16(i16::from_le_bytes(reader.array()?)),
        Type::U16 => Value::U16(u16::from_le_bytes(reader.array()?)),
        Type::S32 => Value::S32(i32::from_le_bytes(reader.array()?)),
        Type::U32 => Value::U32(u32::from_le_bytes(reader.array()?)),
        Type::S64 => Value::S64(i64::from_le_bytes(reader.array()?)),
        Type::U64 => Value::U64(u64::from_le_bytes(reader.array()?)),
        Type::F32 => Value::F32(f32::from_le_bytes(reader.array()?)),
        Type::F64 => Value::F64(f64::from_le_bytes(reader.array()?)),
        Type::Char => Value::Char(reader.char()?),
        Type::Handle(name) => {
            return Err(Problem::Handle {
                name: name.to_string(),
            }
            .into());
        }
        _ => {
            reader.budget.charge(1)?;
            compound(reader, ty, below)?
        }
    })
}

fn compound(reader: &mut Reader<'_>, ty: &Type, below: usize) -> Result<Value, Boxed> {
    Ok(match ty {
        Type::String => Value::String(reader.text()?.to_owned()),
        Type::List(element) => {
            let count = reader.count()?;
            elements(reader, element, count, below)?
        }
        Type::FixedList(element, count) => elements(reader, element, *count, below)?,
        Type::Map(key, val) => {
            let count = reader.count()? as usize;
            let mut pairs = Vec::with_capacity(count.min(AHEAD));
            for index in 0..count {
                let key = value(reader, key, below)
                    .map_err(|e| e.within(Step::Name("key")).within(Step::Index(index)))?;
                let val = value(reader, val, below)
                    .map_err(|e| e.within(Step::Name("value")).within(Step::Index(index)))?;
                pairs.push((key, val));
            }
            Value::Map(pairs)
        }
        Type::Record(fields) => {
            let mut values = Vec::new();
            for field in fields.iter() {
                let part = value(reader, &field.ty, below);
                values.push(part.map_err(|e| e.within(Step::Name(&field.name)))?);
            }
            Value::Record(values)
        }
        Type::Tuple(types) => {
            let mut values = Vec::new();
            for (index, ty) in types.iter().enumerate() {
                values.push(value(reader, ty, below).map_err(|e| e.within(Step::Index(index)))?);
            }
            Value::Tuple(values)
        }
        Type::Variant(cases) => {
            let index = reader.case(cases.len())?;
            let payload = match cases.get(index as usize) {
                Some(case) => payload(reader, case.ty.as_ref(), &case.name, below)?,
                None => None,
            };
            Value::Variant { case: index, payload }
        }
        Type::Enum(names) => Value::Enum(reader.case(names.len())?),
        Type::Option(inner) => Value::Option(match reader.bit("an option")? {
            true => payload(reader, Some(inner), "some", below)?,
            false => None,
        }),
        Type::Result(ok, err) => Value::Result(match reader.bit("a result")? {
            false => Ok(payload(reader, ok.as_deref(), "ok", below)?),
            true => Err(payload(reader, err.as_deref(), "err", below)?),
        }),
        Type::Flags(names) => {
            let bytes = reader.flags(names.len())?;
            let bits = bytes
                .iter()
                .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
            Value::Flags(bits.take(names.len()).collect())
        }
        // `value` has dealt with all the others.
        scalar => value(reader, scalar, below)?,
    })
}

fn payload(
    reader: &mut Reader<'_>,
    ty: Option<&Type>,
    case: &str,
    below: usize,
) -> Result<Option<Box<Value>>, Boxed> {
    match ty {
        Some(ty) => {
            let carried = value(reader, ty, below).map_err(|e| e.within(Step::Name(case)))?;
            Ok(Some(Box::new(carried)))
        }
        None => Ok(None),
    }
}

fn elements(reader: &mut Reader<'_>, ty: &Type, count: u32, depth: usize) -> Result<Value, Boxed> {
    ahead(reader, ty, count, depth)?;
    let count = count as usize;
    if matches!(ty, Type::U8) {
        return Ok(Value::Bytes(reader.take(count)?.to_vec()));
    }
    let mut items = Vec::with_capacity(count.min(AHEAD));
    for index in 0..count {
        items.push(value(reader, ty, depth).map_err(|e| e.within(Step::Index(index)))?);
    }
    Ok(Value::List(items))
}
