//! What is wrong with a value or with its wire form.

use super::path::{Located, at};

/// A value, or bytes that stand for one, that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", at(.path))]
pub struct ValueError {
    /// Where: ``argument 2 (`items`) → [3].name``; empty for the whole value.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a value at one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The bytes end inside the value.
    #[error("the bytes end too early: {needed} more expected, {left} left")]
    Truncated {
        /// Bytes that the next part takes.
        needed: u64,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes remain after the value.
    #[error("{left} bytes are left after the end of the value; expected none")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A byte that should be 0 or 1 is neither.
    #[error("expected 0 or 1 for {what}, found {found}")]
    NotABit {
        /// `a bool`, `an option`, `a result`.
        what: &'static str,
        /// The byte.
        found: u8,
    },
    /// A number that is no Unicode scalar value.
    #[error("expected a Unicode scalar value, found 0x{found:x}")]
    NotAChar {
        /// The number.
        found: u32,
    },
    /// A string that is not UTF-8.
    #[error("expected UTF-8 text, found a wrong byte at offset {offset} of the string")]
    NotUtf8 {
        /// Offset of the first wrong byte inside the string.
        offset: usize,
    },
    /// A discriminant without a case.
    #[error("expected the number of one of {cases} cases, found {found}")]
    NoSuchCase {
        /// How many cases there are.
        cases: usize,
        /// The number found, counted from zero.
        found: u32,
    },
    /// A bit set that stands for no flag.
    #[error("expected only the bits of {flags} flags, found more")]
    NoSuchFlag {
        /// How many flags there are.
        flags: usize,
    },
    /// The value is of another type.
    #[error("expected {expected}, found {found}")]
    Mismatch {
        /// The type, in WIT syntax.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The type is bound to one store.
    #[error("a value of type {name} cannot be carried outside its instance; use a method without it")]
    Handle {
        /// The type, in WIT syntax.
        name: String,
    },
    /// The wrong number of arguments.
    #[error("expected {expected}, found {found}")]
    Arity {
        /// How many, with names and types.
        expected: String,
        /// How many.
        found: usize,
    },
    /// Longer than the limit.
    #[error("longer than the limit of {limit} bytes")]
    TooLong {
        /// [`ValueLimits::max_bytes`](crate::ValueLimits::max_bytes).
        limit: usize,
    },
    /// Nested more deeply than the limit.
    #[error("nested more deeply than the limit of {limit} levels")]
    TooDeep {
        /// [`ValueLimits::max_depth`](crate::ValueLimits::max_depth).
        limit: usize,
    },
    /// More values inside than the limit.
    #[error("more values inside than the limit of {limit}")]
    TooManyNodes {
        /// [`ValueLimits::max_nodes`](crate::ValueLimits::max_nodes).
        limit: usize,
    },
}

/// Errors travel through every level of a value, so they are one word wide.
pub(crate) type Boxed = Box<ValueError>;

impl From<Problem> for Boxed {
    #[cold]
    fn from(problem: Problem) -> Self {
        Box::new(ValueError {
            path: String::new(),
            problem,
        })
    }
}

impl Located for ValueError {
    fn path_mut(&mut self) -> &mut String {
        &mut self.path
    }
}
