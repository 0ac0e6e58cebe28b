//! Lists of numbers as the typed arrays of RFC 8746.
//!
//! Little-endian arrays are written; both byte orders are read.

use crate::{types::Type, value::Value};

/// How the numbers of one type are laid out in a typed array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The tag of the little-endian array.
    pub(super) little: u64,
    /// The tag of the big-endian array; the same where a number is one byte.
    pub(super) big: u64,
    /// Bytes of one number.
    pub(super) width: usize,
}

impl Layout {
    /// The layout for lists of `ty`, if they are typed arrays.
    pub(super) fn of(ty: &Type) -> Option<Layout> {
        let layout = |little, big, width| Some(Layout { little, big, width });
        match ty {
            Type::U8 => layout(64, 64, 1),
            Type::U16 => layout(69, 65, 2),
            Type::U32 => layout(70, 66, 4),
            Type::U64 => layout(71, 67, 8),
            Type::S8 => layout(72, 72, 1),
            Type::S16 => layout(77, 73, 2),
            Type::S32 => layout(78, 74, 4),
            Type::S64 => layout(79, 75, 8),
            Type::F32 => layout(85, 81, 4),
            Type::F64 => layout(86, 82, 8),
            _ => None,
        }
    }
}

/// The number of type `ty` in these bytes, in the order given by `big`.
pub(super) fn number(ty: &Type, bytes: &[u8], big: bool) -> Option<Value> {
    macro_rules! read {
        ($number:ty) => {{
            let bytes = bytes.try_into().ok()?;
            if big {
                <$number>::from_be_bytes(bytes)
            } else {
                <$number>::from_le_bytes(bytes)
            }
        }};
    }
    Some(match ty {
        Type::U8 => Value::U8(read!(u8)),
        Type::U16 => Value::U16(read!(u16)),
        Type::U32 => Value::U32(read!(u32)),
        Type::U64 => Value::U64(read!(u64)),
        Type::S8 => Value::S8(read!(i8)),
        Type::S16 => Value::S16(read!(i16)),
        Type::S32 => Value::S32(read!(i32)),
        Type::S64 => Value::S64(read!(i64)),
        Type::F32 => Value::F32(read!(f32)),
        Type::F64 => Value::F64(read!(f64)),
        _ => return None,
    })
}

/// Appends a number in little-endian order; `None` if it is no number.
pub(super) fn append(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    match value {
        Value::U8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::S8(v) => out.extend(v.to_le_bytes()),
        Value::S16(v) => out.extend(v.to_le_bytes()),
        Value::S32(v) => out.extend(v.to_le_bytes()),
        Value::S64(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(canonical32(*v).to_le_bytes()),
        Value::F64(v) => out.extend(canonical64(*v).to_le_bytes()),
        _ => return None,
    }
    Some(())
}

/// The same number; of NaNs, the one that the component model knows.
pub(super) fn canonical32(value: f32) -> f32 {
    if value.is_nan() {
        f32::from_bits(0x7fc0_0000)
    } else {
        value
    }
}

/// As [`canonical32`].
pub(super) fn canonical64(value: f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(0x7ff8_0000_0000_0000)
    } else {
        value
    }
}
