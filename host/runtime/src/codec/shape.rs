//! What both directions of the codec ask about a type.
//!
//! Owns the reading of the engine's type tables: widths, discriminants, cases.

use wasmtime::component::__internal::{ComponentTypes, InterfaceType};

/// Why a value cannot pass between the wire and a guest. From the guest's side
/// it ends as a fault that blames the guest; from the wire's side it cannot
/// happen after the wire was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadValue {
    #[error(
        "the method takes or returns a resource, a stream, a future, or text that is not UTF-8, which cannot leave its \
         instance; its author has to give it a plain type"
    )]
    NotCarriable,
    #[error("the bytes end before the value does")]
    Short,
    #[error("bytes are left over after the last value")]
    Long,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("a char is not a Unicode scalar value")]
    Char,
    #[error("a discriminant names no case")]
    Case,
    #[error("a pointer does not lie in the guest's memory")]
    Pointer,
    #[error("a pointer is not aligned")]
    Aligned,
    #[error("a list is too long")]
    Length,
    #[error("more data than one message may hold")]
    TooLarge,
    #[error("values inside values, more levels deep than they may be")]
    TooDeep,
    #[error("strings of this guest are not UTF-8")]
    Encoding,
}

/// Bytes of a primitive in memory and on the wire; 0 for anything else.
#[inline]
pub(super) fn width(ty: &InterfaceType) -> usize {
    use InterfaceType as I;
    match ty {
        I::Bool | I::U8 | I::S8 => 1,
        I::U16 | I::S16 => 2,
        I::U32 | I::S32 | I::Float32 | I::Char => 4,
        I::U64 | I::S64 | I::Float64 => 8,
        _ => 0,
    }
}

/// Whether any bit pattern of the width is a value, so that lists of it are
/// copied in bulk.
#[inline]
pub(super) fn plain(ty: &InterfaceType) -> bool {
    width(ty) > 0 && !matches!(ty, InterfaceType::Bool | InterfaceType::Char)
}

/// A primitive as the engine would read it: any nonzero bool is true, a char
/// must be a scalar value.
#[inline]
pub(super) fn canonical(ty: &InterfaceType, bits: u64) -> Result<u64, BadValue> {
    match ty {
        InterfaceType::Bool => Ok(u64::from(bits != 0)),
        InterfaceType::Char => match u32::try_from(bits).ok().and_then(char::from_u32) {
            Some(_) => Ok(bits),
            None => Err(BadValue::Char),
        },
        _ => Ok(bits),
    }
}

/// How a type with cases is laid out.
pub(super) struct Cases {
    /// Bytes of the discriminant in memory and on the wire.
    pub(super) discriminant: usize,
    /// Where the payload is in memory.
    pub(super) payload: usize,
}

/// What the case carries, or that there is no such case. The outer `None` is
/// for a type that has no cases.
#[inline]
pub(super) fn cases(types: &ComponentTypes, ty: &InterfaceType) -> Option<Cases> {
    use InterfaceType as I;
    let info = match *ty {
        I::Option(i) => &types[i].info,
        I::Result(i) => &types[i].info,
        I::Variant(i) => &types[i].info,
        I::Enum(i) => &types[i].info,
        _ => return None,
    };
    Some(Cases {
        discriminant: info.size.byte_size() as usize,
        payload: info.payload_offset32 as usize,
    })
}

/// The payload type of case number `case`.
#[inline]
pub(super) fn payload(
    types: &ComponentTypes,
    ty: &InterfaceType,
    case: usize,
) -> Result<Option<InterfaceType>, BadValue> {
    use InterfaceType as I;
    let found = match *ty {
        I::Option(i) => match case {
            0 => Some(None),
            1 => Some(Some(types[i].ty)),
            _ => None,
        },
        I::Result(i) => match case {
            0 => Some(types[i].ok),
            1 => Some(types[i].err),
            _ => None,
        },
        I::Variant(i) => types[i].cases.get_index(case).map(|(_, ty)| *ty),
        I::Enum(i) => (case < types[i].names.len()).then_some(None),
        _ => None,
    };
    found.ok_or(BadValue::Case)
}

/// Whether every part of the type can be carried by value.
pub(super) fn carriable(types: &ComponentTypes, ty: &InterfaceType) -> bool {
    use InterfaceType as I;
    let all = |ty: &I| carriable(types, ty);
    match *ty {
        I::List(i) => all(&types[i].element),
        I::FixedLengthList(i) => all(&types[i].element),
        I::Map(i) => all(&types[i].key) && all(&types[i].value),
        I::Record(i) => types[i].fields.iter().all(|f| all(&f.ty)),
        I::Tuple(i) => types[i].types.iter().all(all),
        I::Option(i) => all(&types[i].ty),
        I::Result(i) => types[i].ok.iter().chain(types[i].err.iter()).all(all),
        I::Variant(i) => types[i].cases.values().flatten().all(all),
        I::String | I::Enum(_) | I::Flags(_) => true,
        I::Own(_) | I::Borrow(_) | I::Future(_) | I::Stream(_) | I::ErrorContext(_) => false,
        _ => width(ty) > 0,
    }
}
