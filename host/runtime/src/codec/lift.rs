//! From the guest onto the wire.
//!
//! Owns the walk that reads a result, or the parameters of an import, out of
//! slots and guest memory. Nothing
//! the guest says is believed: pointers, lengths, discriminants, UTF-8 and
//! chars are checked, and the engine's per-call data allowance is consumed for
//! every byte, so that a guest cannot make the host copy without bound.

use wasmtime::ValRaw;
use wasmtime::component::__internal::wasmtime_environ::component::{
    CanonicalOptionsDataModel, MAX_FLAT_RESULTS, StringEncoding,
};
use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LiftContext};

use super::lower::flag_bytes;
use super::shape::{BadValue, canonical, cases, payload, plain, width};

type Result<T> = wasmtime::Result<T>;

/// Room for the small parts of a result.
const SOME: usize = 64;

/// Reads the whole result.
pub(super) fn result(cx: &mut LiftContext<'_>, ty: InterfaceType, src: ValRaw) -> Result<Vec<u8>> {
    let InterfaceType::Tuple(index) = ty else {
        return Err(BadValue::NotCarriable.into());
    };
    let mut out = Vec::new();
    let types = cx.types;
    let results = &types[index];
    match results.abi.flat_count(MAX_FLAT_RESULTS) {
        Some(0) => {}
        Some(_) => {
            let mut slot = Some(src);
            for ty in results.types.iter() {
                flat(cx, &mut out, *ty, &mut slot)?;
            }
        }
        None => {
            let at = src.get_u32() as usize;
            let length = results.abi.size32 as usize;
            let bytes = memory(cx, at, length, results.abi.align32 as usize)?;
            charge(cx, length)?;
            // One that is a list alone is written at once; whatever has parts
            // grows, and not from nothing.
            if results.abi.size32 > 8 {
                out.reserve(SOME);
            }
            load(cx, &mut out, ty, bytes)?;
        }
    }
    Ok(out)
}

/// Reads a whole parameter list that came in slots.
pub(super) fn params(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw]) -> Result<Vec<u8>> {
    let InterfaceType::Tuple(index) = ty else {
        return Err(BadValue::NotCarriable.into());
    };
    let mut out = Vec::new();
    let mut slots = src.iter();
    for ty in cx.types[index].types.iter() {
        flat_many(cx, &mut out, *ty, &mut slots)?;
    }
    match slots.next() {
        None => Ok(out),
        Some(_) => Err(BadValue::NotCarriable.into()),
    }
}

/// Reads a whole parameter list that lies in memory at `at`.
pub(super) fn spilled(cx: &mut LiftContext<'_>, ty: InterfaceType, at: usize) -> Result<Vec<u8>> {
    let InterfaceType::Tuple(index) = ty else {
        return Err(BadValue::NotCarriable.into());
    };
    let abi = &cx.types[index].abi;
    let length = abi.size32 as usize;
    let bytes = memory(cx, at, length, abi.align32 as usize)?;
    charge(cx, length)?;
    let mut out = Vec::with_capacity(SOME);
    load(cx, &mut out, ty, bytes)?;
    Ok(out)
}

/// `count` bytes of guest memory at `at`.
fn memory<'m>(cx: &LiftContext<'m>, at: usize, count: usize, align: usize) -> Result<&'m [u8]> {
    if align > 1 && !at.is_multiple_of(align) {
        return Err(BadValue::Aligned.into());
    }
    match cx.memory().get(at..).and_then(|memory| memory.get(..count)) {
        Some(bytes) => Ok(bytes),
        None => Err(BadValue::Pointer.into()),
    }
}

fn charge(cx: &mut LiftContext<'_>, amount: usize) -> Result<()> {
    cx.consume_fuel(amount).map_err(|_| BadValue::TooLarge.into())
}

fn write_primitive(out: &mut Vec<u8>, ty: &InterfaceType, bits: u64) -> Result<()> {
    let bytes = canonical(ty, bits)?.to_le_bytes();
    out.extend(bytes.iter().take(width(ty)));
    Ok(())
}

/// A value whose flat form is at most one slot: a primitive, or something that
/// wraps one.
fn flat(
    cx: &mut LiftContext<'_>,
    out: &mut Vec<u8>,
    ty: InterfaceType,
    slot: &mut Option<ValRaw>,
) -> Result<()> {
    use InterfaceType as I;
    let types = cx.types;
    match ty {
        I::Record(i) => types[i].fields.iter().try_for_each(|f| flat(cx, out, f.ty, slot)),
        I::Tuple(i) => types[i].types.iter().try_for_each(|ty| flat(cx, out, *ty, slot)),
        I::FixedLengthList(i) => {
            let list = &types[i];
            charge(cx, list.size as usize)?;
            (0..list.size).try_for_each(|_| flat(cx, out, list.element, slot))
        }
        I::Flags(i) if types[i].names.is_empty() => Ok(()),
        _ => {
            let raw = slot.take().ok_or(BadValue::NotCarriable)?;
            if width(&ty) > 0 {
                let bits = match ty {
                    I::U64 | I::S64 | I::Float64 => raw.get_u64(),
                    I::Float32 => u64::from(raw.get_f32()),
                    I::Bool | I::Char => u64::from(raw.get_u32()),
                    // Narrow integers: the engine ignores the bits above.
                    _ => u64::from(raw.get_u32()) & (u64::MAX >> (64 - 8 * width(&ty))),
                };
                return write_primitive(out, &ty, bits);
            }
            if let I::Flags(i) = ty {
                let count = types[i].names.len();
                return flags(out, count, &raw.get_u32().to_le_bytes());
            }
            let layout = cases(types, &ty).ok_or(BadValue::NotCarriable)?;
            let case = raw.get_u32();
            match payload(types, &ty, case as usize)? {
                // A payload without flat form, as in option<tuple<>>.
                Some(ty) => {
                    out.extend(case.to_le_bytes().iter().take(layout.discriminant));
                    flat(cx, out, ty, slot)
                }
                None => {
                    out.extend(case.to_le_bytes().iter().take(layout.discriminant));
                    Ok(())
                }
            }
        }
    }
}

/// A value in as many slots as its type takes. Each slot is read as what the
/// case that is there says, whatever other cases would have in it: narrow
/// values are in the low bits of wide slots.
fn flat_many(
    cx: &mut LiftContext<'_>,
    out: &mut Vec<u8>,
    ty: InterfaceType,
    slots: &mut std::slice::Iter<'_, ValRaw>,
) -> Result<()> {
    use InterfaceType as I;
    let types = cx.types;
    match ty {
        I::String | I::List(_) | I::Map(_) => {
            let (at, count) = (next(slots)?.get_u32(), next(slots)?.get_u32());
            sequence(cx, out, ty, at as usize, count as usize)
        }
        I::Record(i) => types[i]
            .fields
            .iter()
            .try_for_each(|f| flat_many(cx, out, f.ty, slots)),
        I::Tuple(i) => types[i]
            .types
            .iter()
            .try_for_each(|ty| flat_many(cx, out, *ty, slots)),
        I::FixedLengthList(i) => {
            let list = &types[i];
            charge(cx, list.size as usize)?;
            (0..list.size).try_for_each(|_| flat_many(cx, out, list.element, slots))
        }
        I::Flags(i) => {
            let count = types[i].names.len();
            let mut bytes = Vec::with_capacity(flag_bytes(count));
            for _ in 0..count.div_ceil(32) {
                bytes.extend_from_slice(&next(slots)?.get_u32().to_le_bytes());
            }
            flags(out, count, &bytes)
        }
        _ if width(&ty) > 0 => {
            let mut slot = Some(next(slots)?);
            flat(cx, out, ty, &mut slot)
        }
        _ => {
            let layout = cases(types, &ty).ok_or(BadValue::NotCarriable)?;
            let case = next(slots)?.get_u32();
            let carried = payload(types, &ty, case as usize)?;
            out.extend(case.to_le_bytes().iter().take(layout.discriminant));
            // Beside the discriminant, which is one of them.
            let all = slots_of(types, &ty)?.saturating_sub(1);
            let used = match carried {
                Some(ty) => {
                    flat_many(cx, out, ty, slots)?;
                    slots_of(types, &ty)?
                }
                None => 0,
            };
            (used..all).try_for_each(|_| next(slots).map(drop))
        }
    }
}

fn next(slots: &mut std::slice::Iter<'_, ValRaw>) -> Result<ValRaw> {
    slots.next().copied().ok_or_else(|| BadValue::NotCarriable.into())
}

fn slots_of(types: &ComponentTypes, ty: &InterfaceType) -> Result<usize> {
    let count = types.canonical_abi(ty).flat_count;
    count
        .map(usize::from)
        .ok_or_else(|| BadValue::NotCarriable.into())
}

/// Flags with the bits that name none cleared, as the engine reads them.
fn flags(out: &mut Vec<u8>, count: usize, bytes: &[u8]) -> Result<()> {
    let mut left = count;
    for byte in bytes.iter().take(flag_bytes(count)) {
        let mask = if left >= 8 { 0xff } else { (1u16 << left) as u8 - 1 };
        out.push(byte & mask);
        left = left.saturating_sub(8);
    }
    Ok(())
}

/// A value that lies in guest memory as `bytes`.
fn load(cx: &mut LiftContext<'_>, out: &mut Vec<u8>, ty: InterfaceType, bytes: &[u8]) -> Result<()> {
    use InterfaceType as I;
    if width(&ty) > 0 {
        return write_primitive(out, &ty, number(bytes, width(&ty))?);
    }
    match ty {
        I::String | I::List(_) | I::Map(_) => {
            let pair = number(bytes, 8)?;
            let (at, count) = (pair as u32 as usize, (pair >> 32) as usize);
            return sequence(cx, out, ty, at, count);
        }
        _ => {}
    }
    let types = cx.types;
    match ty {
        I::Record(i) => {
            let mut offset = 0;
            types[i].fields.iter().try_for_each(|field| {
                let abi = types.canonical_abi(&field.ty);
                let at = abi.next_field32_size(&mut offset);
                load(cx, out, field.ty, part(bytes, at, abi.size32 as usize)?)
            })
        }
        I::Tuple(i) => {
            let mut offset = 0;
            types[i].types.iter().try_for_each(|ty| {
                let abi = types.canonical_abi(ty);
                let at = abi.next_field32_size(&mut offset);
                load(cx, out, *ty, part(bytes, at, abi.size32 as usize)?)
            })
        }
        I::FixedLengthList(i) => {
            let list = &types[i];
            let size = types.canonical_abi(&list.element).size32 as usize;
            let count = list.size as usize;
            let length = count.checked_mul(size).ok_or(BadValue::Length)?;
            if size == 0 {
                // What has a size is part of what was charged already.
                charge(cx, count)?;
            }
            if plain(&list.element) {
                out.extend_from_slice(part(bytes, 0, length)?);
                return Ok(());
            }
            (0..count).try_for_each(|k| load(cx, out, list.element, part(bytes, k * size, size)?))
        }
        I::Flags(i) => flags(out, types[i].names.len(), bytes),
        _ => {
            let layout = cases(types, &ty).ok_or(BadValue::NotCarriable)?;
            let case = number(bytes, layout.discriminant)?;
            let carried = payload(types, &ty, case as usize)?;
            out.extend(case.to_le_bytes().iter().take(layout.discriminant));
            match carried {
                Some(ty) => {
                    let size = types.canonical_abi(&ty).size32 as usize;
                    load(cx, out, ty, part(bytes, layout.payload, size)?)
                }
                None => Ok(()),
            }
        }
    }
}

#[inline]
fn part(bytes: &[u8], at: usize, count: usize) -> Result<&[u8]> {
    bytes
        .get(at..)
        .and_then(|rest| rest.get(..count))
        .ok_or_else(|| BadValue::Pointer.into())
}

#[inline]
fn number(bytes: &[u8], size: usize) -> Result<u64> {
    let mut read = [0; 8];
    for (byte, found) in read.iter_mut().zip(part(bytes, 0, size)?) {
        *byte = *found;
    }
    Ok(u64::from_le_bytes(read))
}

fn write_count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    let count = u32::try_from(count).map_err(|_| BadValue::Length)?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

fn bulk(out: &mut Vec<u8>, count: usize, bytes: &[u8]) -> Result<()> {
    // The common case is a result that is one list: exactly one allocation.
    match out.is_empty() {
        true => out.reserve_exact(bytes.len() + 4),
        false => out.reserve(bytes.len() + 4),
    }
    write_count(out, count)?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// A string, list or map of `count` elements at `at`.
fn sequence(
    cx: &mut LiftContext<'_>,
    out: &mut Vec<u8>,
    ty: InterfaceType,
    at: usize,
    count: usize,
) -> Result<()> {
    use InterfaceType as I;
    let element = match ty {
        I::String => {
            utf8_guest(cx)?;
            let text = memory(cx, at, count, 1)?;
            charge(cx, count)?;
            if std::str::from_utf8(text).is_err() {
                return Err(BadValue::Utf8.into());
            }
            return bulk(out, count, text);
        }
        I::List(i) => cx.types[i].element,
        I::Map(i) => return entries(cx, out, i, at, count),
        _ => return Err(BadValue::NotCarriable.into()),
    };
    let abi = cx.types.canonical_abi(&element);
    let (size, align) = (abi.size32 as usize, abi.align32 as usize);
    let length = count.checked_mul(size).ok_or(BadValue::Length)?;
    let bytes = memory(cx, at, length, align)?;
    // Elements without size still cost: a count is all it takes to write them.
    charge(cx, length.max(count))?;
    if plain(&element) {
        return bulk(out, count, bytes);
    }
    write_count(out, count)?;
    for k in 0..count {
        load(cx, out, element, part(bytes, k * size, size)?)?;
    }
    Ok(())
}

fn entries(
    cx: &mut LiftContext<'_>,
    out: &mut Vec<u8>,
    map: wasmtime::component::__internal::wasmtime_environ::component::TypeMapIndex,
    at: usize,
    count: usize,
) -> Result<()> {
    let types = cx.types;
    let map = &types[map];
    let size = map.entry_abi.size32 as usize;
    let length = count.checked_mul(size).ok_or(BadValue::Length)?;
    let bytes = memory(cx, at, length, map.entry_abi.align32 as usize)?;
    charge(cx, length.max(count))?;
    let key_size = types.canonical_abi(&map.key).size32 as usize;
    let value_size = types.canonical_abi(&map.value).size32 as usize;
    write_count(out, count)?;
    for k in 0..count {
        load(cx, out, map.key, part(bytes, k * size, key_size)?)?;
        load(
            cx,
            out,
            map.value,
            part(bytes, k * size + map.value_offset32 as usize, value_size)?,
        )?;
    }
    Ok(())
}

fn utf8_guest(cx: &LiftContext<'_>) -> Result<()> {
    let options = cx.options();
    match (&options.string_encoding, &options.data_model) {
        (StringEncoding::Utf8, CanonicalOptionsDataModel::LinearMemory(_)) => Ok(()),
        _ => Err(BadValue::Encoding.into()),
    }
}
