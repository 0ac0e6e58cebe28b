//! Types whose wire form has one length and no wrong bytes.
//!
//! Numbers, and records, tuples and fixed lists of nothing else: any bytes of
//! the right length are a value, so lists of them are checked by arithmetic.

use crate::{limits::ValueLimits, types::Type};

/// What is the same for every value of such a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes on the wire; `u64::MAX` when that or more.
    pub(super) width: u64,
    /// What the values cost of [`ValueLimits::max_nodes`].
    pub(super) nodes: u64,
    /// Levels of nesting.
    pub(super) depth: usize,
}

impl Shape {
    /// The shape of a type, if it has one and at most `depth` levels.
    pub(super) fn of(ty: &Type, depth: usize) -> Option<Shape> {
        let below = depth.checked_sub(1)?;
        let number = |width| {
            Some(Shape {
                width,
                nodes: 0,
                depth: 1,
            })
        };
        match ty {
            Type::S8 | Type::U8 => number(1),
            Type::S16 | Type::U16 => number(2),
            Type::S32 | Type::U32 | Type::F32 => number(4),
            Type::S64 | Type::U64 | Type::F64 => number(8),
            Type::FixedList(element, count) => {
                let element = Shape::of(element, below)?;
                Some(element.times(u64::from(*count)).inside())
            }
            Type::Record(fields) => {
                Shape::sum(fields.iter().map(|field| &field.ty), below).map(Shape::inside)
            }
            Type::Tuple(types) => Shape::sum(types.iter(), below).map(Shape::inside),
            _ => None,
        }
    }

    /// The shape of values one after the other, whatever their depth.
    pub(super) fn of_all<'a>(types: impl Iterator<Item = &'a Type>) -> Option<Shape> {
        Shape::sum(types, ValueLimits::MAX_DEPTH)
    }

    fn sum<'a>(mut types: impl Iterator<Item = &'a Type>, depth: usize) -> Option<Shape> {
        let none = Shape {
            width: 0,
            nodes: 0,
            depth: 0,
        };
        types.try_fold(none, |sum, ty| {
            let next = Shape::of(ty, depth)?;
            Some(Shape {
                width: sum.width.saturating_add(next.width),
                nodes: sum.nodes.saturating_add(next.nodes),
                depth: sum.depth.max(next.depth),
            })
        })
    }

    /// As many of these one after the other.
    pub(super) fn times(self, count: u64) -> Shape {
        Shape {
            width: self.width.saturating_mul(count),
            nodes: self.nodes.saturating_mul(count),
            depth: if count == 0 { 0 } else { self.depth },
        }
    }

    /// The nodes as a count; the largest there is when they are more.
    pub(super) fn nodes_or_max(self) -> usize {
        usize::try_from(self.nodes).unwrap_or(usize::MAX)
    }

    /// These as the parts of one more value.
    fn inside(self) -> Shape {
        Shape {
            nodes: self.nodes.saturating_add(1),
            depth: self.depth + 1,
            ..self
        }
    }

    /// Whether `bytes` are such values, exactly and within `limits`.
    #[inline]
    pub(super) fn is_exactly(&self, bytes: &[u8], limits: &ValueLimits) -> bool {
        bytes.len() as u64 == self.width
            && bytes.len() <= limits.max_bytes
            && self.nodes <= limits.max_nodes as u64
            && self.depth <= limits.max_depth
    }
}
