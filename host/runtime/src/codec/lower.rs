//! From the wire into the guest.
//!
//! Owns the walk that reads wire bytes and writes slots and guest memory.

use std::mem::MaybeUninit;

use wasmtime::ValRaw;
use wasmtime::component::__internal::wasmtime_environ::component::{
    CanonicalOptionsDataModel, MAX_FLAT_PARAMS, StringEncoding,
};
use wasmtime::component::__internal::{InterfaceType, LowerContext};

use super::shape::{BadValue, canonical, cases, payload, plain, width};

type Slots<'d> = std::slice::IterMut<'d, MaybeUninit<ValRaw>>;
type Result<T> = wasmtime::Result<T>;

/// The rest of the wire.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        match self.0.split_at_checked(count) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => Err(BadValue::Short.into()),
        }
    }

    /// An unsigned number of `size` bytes, 1 to 8.
    #[inline]
    fn number(&mut self, size: usize) -> Result<u64> {
        let mut bytes = [0; 8];
        for (byte, read) in bytes.iter_mut().zip(self.take(size)?) {
            *byte = *read;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    #[inline]
    fn primitive(&mut self, ty: &InterfaceType) -> Result<u64> {
        let bits = self.number(width(ty))?;
        Ok(canonical(ty, bits)?)
    }

    #[inline]
    fn count(&mut self) -> Result<usize> {
        Ok(self.number(4)? as usize)
    }

    #[inline]
    fn counted(&mut self) -> Result<&'a [u8]> {
        let count = self.count()?;
        self.take(count)
    }
}

/// Writes the whole parameter list: into the slots when it fits there, else
/// into one block of guest memory whose address becomes the first slot.
pub(super) fn params<T>(
    cx: &mut LowerContext<'_, T>,
    wire: &[u8],
    ty: InterfaceType,
    dst: &mut [MaybeUninit<ValRaw>; MAX_FLAT_PARAMS],
) -> Result<()> {
    let InterfaceType::Tuple(index) = ty else {
        return Err(BadValue::NotCarriable.into());
    };
    let mut wire = Wire(wire);
    let types = cx.types;
    let params = &types[index];
    let mut slots = dst.iter_mut();
    if params.abi.flat_count(MAX_FLAT_PARAMS).is_some() {
        for ty in params.types.iter() {
            flat(cx, &mut wire, *ty, &mut slots)?;
        }
    } else {
        let at = cx.realloc(0, 0, params.abi.align32, params.abi.size32 as usize)?;
        store(cx, &mut wire, ty, at)?;
        put(&mut slots, ValRaw::i64(at as i64))?;
    }
    if wire.0.is_empty() {
        Ok(())
    } else {
        Err(BadValue::Long.into())
    }
}

/// Writes the whole result of an import into its slots.
pub(super) fn result<T>(
    cx: &mut LowerContext<'_, T>,
    wire: &[u8],
    ty: InterfaceType,
    dst: &mut [MaybeUninit<ValRaw>],
) -> Result<()> {
    let InterfaceType::Tuple(index) = ty else {
        return Err(BadValue::NotCarriable.into());
    };
    let mut wire = Wire(wire);
    let types = cx.types;
    let mut slots = dst.iter_mut();
    for ty in types[index].types.iter() {
        flat(cx, &mut wire, *ty, &mut slots)?;
    }
    match (wire.0.is_empty(), slots.next()) {
        (true, None) => Ok(()),
        (false, _) => Err(BadValue::Long.into()),
        (true, Some(_)) => Err(BadValue::NotCarriable.into()),
    }
}

/// Writes the whole result of an import into guest memory at `at`, where the
/// engine has found room for it.
pub(super) fn result_at<T>(
    cx: &mut LowerContext<'_, T>,
    wire: &[u8],
    ty: InterfaceType,
    at: usize,
) -> Result<()> {
    let mut wire = Wire(wire);
    store(cx, &mut wire, ty, at)?;
    match wire.0.is_empty() {
        true => Ok(()),
        false => Err(BadValue::Long.into()),
    }
}

#[inline]
fn put(slots: &mut Slots<'_>, value: ValRaw) -> Result<()> {
    match slots.next() {
        Some(slot) => {
            slot.write(value);
            Ok(())
        }
        None => Err(BadValue::NotCarriable.into()),
    }
}

/// A primitive as one slot: signed ones are sign-extended to 32 bits.
#[inline]
fn slot(ty: &InterfaceType, bits: u64) -> ValRaw {
    use InterfaceType as I;
    match ty {
        I::S8 => ValRaw::i32(i32::from(bits as i8)),
        I::S16 => ValRaw::i32(i32::from(bits as i16)),
        I::S32 => ValRaw::i32(bits as i32),
        I::U64 | I::S64 => ValRaw::u64(bits),
        I::Float32 => ValRaw::f32(bits as u32),
        I::Float64 => ValRaw::f64(bits),
        _ => ValRaw::u32(bits as u32),
    }
}

fn flat<T>(
    cx: &mut LowerContext<'_, T>,
    wire: &mut Wire<'_>,
    ty: InterfaceType,
    slots: &mut Slots<'_>,
) -> Result<()> {
    use InterfaceType as I;
    let types = cx.types;
    match ty {
        I::String | I::List(_) | I::Map(_) => {
            let (at, count) = sequence(cx, wire, ty)?;
            put(slots, ValRaw::i64(at as i64))?;
            put(slots, ValRaw::i64(count as i64))
        }
        I::Record(i) => types[i]
            .fields
            .iter()
            .try_for_each(|f| flat(cx, wire, f.ty, slots)),
        I::Tuple(i) => types[i]
            .types
            .iter()
            .try_for_each(|ty| flat(cx, wire, *ty, slots)),
        I::FixedLengthList(i) => {
            let list = &types[i];
            (0..list.size).try_for_each(|_| flat(cx, wire, list.element, slots))
        }
        I::Flags(i) => {
            let count = types[i].names.len();
            if count == 0 {
                return Ok(());
            }
            if count <= 16 {
                let bits = wire.number(flag_bytes(count))?;
                return put(slots, ValRaw::u32(bits as u32));
            }
            for _ in 0..count.div_ceil(32) {
                let bits = wire.number(4)?;
                put(slots, ValRaw::u32(bits as u32))?;
            }
            Ok(())
        }
        _ if width(&ty) > 0 => {
            let bits = wire.primitive(&ty)?;
            put(slots, slot(&ty, bits))
        }
        _ => {
            let layout = cases(types, &ty).ok_or(BadValue::NotCarriable)?;
            let case = wire.number(layout.discriminant)? as usize;
            let carried = payload(types, &ty, case)?;
            let total = types
                .canonical_abi(&ty)
                .flat_count
                .ok_or(BadValue::NotCarriable)?;
            put(slots, ValRaw::u32(case as u32))?;
            let mut used = 1;
            if let Some(ty) = carried {
                used += types
                    .canonical_abi(&ty)
                    .flat_count
                    .ok_or(BadValue::NotCarriable)?;
                flat(cx, wire, ty, slots)?;
            }
            (used..total).try_for_each(|_| put(slots, ValRaw::u64(0)))
        }
    }
}

/// Bytes of a set of flags in memory and on the wire.
pub(super) fn flag_bytes(count: usize) -> usize {
    match count {
        0 => 0,
        1..=8 => 1,
        9..=16 => 2,
        _ => count.div_ceil(32) * 4,
    }
}

/// Copies into guest memory, whose bounds `at` was checked against when it was
/// allocated.
#[inline]
fn copy<T>(cx: &mut LowerContext<'_, T>, at: usize, bytes: &[u8]) -> Result<()> {
    match cx
        .as_slice_mut()
        .get_mut(at..)
        .and_then(|memory| memory.get_mut(..bytes.len()))
    {
        Some(memory) => {
            memory.copy_from_slice(bytes);
            Ok(())
        }
        None => Err(BadValue::Pointer.into()),
    }
}

/// New guest memory with these bytes in it.
#[inline]
fn place<T>(cx: &mut LowerContext<'_, T>, bytes: &[u8], align: u32) -> Result<usize> {
    if bytes.is_empty() {
        // The canonical ABI allows any aligned address for nothing.
        return Ok(align as usize);
    }
    let at = cx.realloc(0, 0, align, bytes.len())?;
    copy(cx, at, bytes)?;
    Ok(at)
}

/// A string, list or map: its address and count.
fn sequence<T>(
    cx: &mut LowerContext<'_, T>,
    wire: &mut Wire<'_>,
    ty: InterfaceType,
) -> Result<(usize, usize)> {
    use InterfaceType as I;
    let types = cx.types;
    let element = match ty {
        I::String => {
            let text = wire.counted()?;
            utf8_guest(cx)?;
            if std::str::from_utf8(text).is_err() {
                return Err(BadValue::Utf8.into());
            }
            return Ok((place(cx, text, 1)?, text.len()));
        }
        I::List(i) => types[i].element,
        I::Map(i) => {
            let map = &types[i];
            let (size, align) = (map.entry_abi.size32 as usize, map.entry_abi.align32);
            let value_at = map.value_offset32 as usize;
            let count = wire.count()?;
            let base = block(cx, count, size, align)?;
            for k in 0..count {
                let at = base + k * size;
                store(cx, wire, map.key, at)?;
                store(cx, wire, map.value, at + value_at)?;
            }
            return Ok((base, count));
        }
        _ => return Err(BadValue::NotCarriable.into()),
    };
    let abi = types.canonical_abi(&element);
    let (size, align) = (abi.size32 as usize, abi.align32);
    let count = wire.count()?;
    if plain(&element) {
        let length = count.checked_mul(size).ok_or(BadValue::Length)?;
        let bytes = wire.take(length)?;
        return Ok((place(cx, bytes, align)?, count));
    }
    let base = block(cx, count, size, align)?;
    for k in 0..count {
        store(cx, wire, element, base + k * size)?;
    }
    Ok((base, count))
}

fn block<T>(cx: &mut LowerContext<'_, T>, count: usize, size: usize, align: u32) -> Result<usize> {
    match count
        .checked_mul(size)
        .filter(|length| u32::try_from(*length).is_ok())
    {
        Some(0) => Ok(align as usize),
        Some(length) => cx.realloc(0, 0, align, length),
        None => Err(BadValue::Length.into()),
    }
}

fn utf8_guest<T>(cx: &LowerContext<'_, T>) -> Result<()> {
    let options = cx.options();
    match (&options.string_encoding, &options.data_model) {
        (StringEncoding::Utf8, CanonicalOptionsDataModel::LinearMemory(_)) => Ok(()),
        _ => Err(BadValue::Encoding.into()),
    }
}

/// Writes one value into guest memory at `at`.
fn store<T>(cx: &mut LowerContext<'_, T>, wire: &mut Wire<'_>, ty: InterfaceType, at: usize) -> Result<()> {
    use InterfaceType as I;
    let types = cx.types;
    match ty {
        I::String | I::List(_) | I::Map(_) => {
            let (address, count) = sequence(cx, wire, ty)?;
            let pair = (address as u64) | ((count as u64) << 32);
            copy(cx, at, &pair.to_le_bytes())
        }
        I::Record(i) => {
            let mut offset = at;
            types[i].fields.iter().try_for_each(|field| {
                let at = types.canonical_abi(&field.ty).next_field32_size(&mut offset);
                store(cx, wire, field.ty, at)
            })
        }
        I::Tuple(i) => {
            let mut offset = at;
            types[i].types.iter().try_for_each(|ty| {
                let at = types.canonical_abi(ty).next_field32_size(&mut offset);
                store(cx, wire, *ty, at)
            })
        }
        I::FixedLengthList(i) => {
            let list = &types[i];
            let size = types.canonical_abi(&list.element).size32 as usize;
            (0..list.size as usize).try_for_each(|k| store(cx, wire, list.element, at + k * size))
        }
        I::Flags(i) => {
            let bytes = wire.take(flag_bytes(types[i].names.len()))?;
            copy(cx, at, bytes)
        }
        _ if width(&ty) > 0 => {
            let bits = wire.primitive(&ty)?.to_le_bytes();
            match width(&ty) {
                1 => copy(cx, at, &bits[..1]),
                2 => copy(cx, at, &bits[..2]),
                4 => copy(cx, at, &bits[..4]),
                _ => copy(cx, at, &bits),
            }
        }
        _ => {
            let layout = cases(types, &ty).ok_or(BadValue::NotCarriable)?;
            let case = wire.take(layout.discriminant)?;
            copy(cx, at, case)?;
            let number = Wire(case).number(layout.discriminant)? as usize;
            match payload(types, &ty, number)? {
                Some(ty) => store(cx, wire, ty, at + layout.payload),
                None => Ok(()),
            }
        }
    }
}
