//! Values as WAVE, the text that people and scripts see.
//!
//! The grammar, the lexer and the spelling of leaves are `wasm-wave`'s; the
//! check against the type is ours, so that an error points at the innermost
//! place that is wrong and says what belongs there. A `map` is a list of pairs
//! and a fixed-size list is a list.
//!
//! **Invariant:** text is measured before it is parsed, and no text however
//! nested exhausts the stack.

mod invocation;
mod parse;
mod print;

use std::ops::Range;

use super::{
    Value, ValueError,
    path::{Located as _, Step, at},
    wire::{check_arity, pair_result},
};
use crate::{
    limits::ValueLimits,
    types::{FunctionType, Type},
};
pub use invocation::{Invocation, parse_invocation};

/// Text that is not WAVE or does not fit the type it is read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found}", at(.path))]
pub struct WaveError {
    /// The offending bytes of the text that was given; on character
    /// boundaries, empty at the end of the text.
    pub span: Range<usize>,
    /// What belongs there.
    pub expected: String,
    /// What is there, cut to a readable length.
    pub found: String,
    /// Where in the value: ``argument 2 (`items`) → [3].name``; empty for the
    /// whole, and for text that is not WAVE at all.
    pub path: String,
    /// Which of several texts the span is in, counted from zero; `None` where
    /// there is one text.
    pub text: Option<usize>,
}

impl WaveError {
    /// The same error for a text that begins `offset` bytes into another.
    #[must_use]
    pub fn moved(mut self, offset: usize) -> Self {
        self.span = self.span.start + offset..self.span.end + offset;
        self
    }
}

/// Reads one value.
///
/// # Errors
/// The innermost place that is wrong.
pub fn parse_value(ty: &Type, text: &str, limits: &ValueLimits) -> Result<Value, WaveError> {
    parse::value(ty, text, limits).map_err(|e| e.finish(text))
}

/// Reads the arguments of a call from the text between its parentheses:
/// `1, "two"`. Options at the end may be left out.
///
/// # Errors
/// The wrong number of arguments, or the innermost place that is wrong.
pub fn parse_args(
    function: &FunctionType,
    text: &str,
    limits: &ValueLimits,
) -> Result<Vec<Value>, WaveError> {
    parse::args(function, text, limits).map_err(|e| e.finish(text))
}

/// Reads the arguments of a call from one text each. Options at the end may be
/// left out.
///
/// # Errors
/// The wrong number of arguments, or the innermost place that is wrong;
/// [`WaveError::text`] says in which text.
pub fn parse_each<T: AsRef<str>>(
    function: &FunctionType,
    texts: &[T],
    limits: &ValueLimits,
) -> Result<Vec<Value>, WaveError> {
    parse::each(function, texts, limits)
}

/// Writes one value.
///
/// # Errors
/// The first place where the value does not fit the type or passes a limit.
pub fn print(ty: &Type, value: &Value, limits: &ValueLimits) -> Result<String, ValueError> {
    let mut printer = print::Printer::new(limits);
    printer.value(ty, value, limits.max_depth)?;
    Ok(printer.into_text())
}

/// Writes the arguments of a call: `1, "two"`.
///
/// # Errors
/// The wrong number of values, or the first that does not fit its parameter.
pub fn print_args(
    function: &FunctionType,
    values: &[Value],
    limits: &ValueLimits,
) -> Result<String, ValueError> {
    check_arity(function, values.len())?;
    let mut printer = print::Printer::new(limits);
    for (index, (param, value)) in function.params.iter().zip(values).enumerate() {
        printer.comma(index);
        printer
            .value(&param.ty, value, limits.max_depth)
            .map_err(|e| e.within(Step::Argument(index, &param.name)))?;
    }
    Ok(printer.into_text())
}

/// Writes the result of a call; `()` where the function has none.
///
/// # Errors
/// A value that does not fit, is missing, or is one too many.
pub fn print_result(
    function: &FunctionType,
    value: Option<&Value>,
    limits: &ValueLimits,
) -> Result<String, ValueError> {
    match pair_result(function, value)? {
        Some((ty, value)) => {
            let mut printer = print::Printer::new(limits);
            printer
                .value(ty, value, limits.max_depth)
                .map_err(|e| e.within(Step::Result))?;
            Ok(printer.into_text())
        }
        None => Ok("()".into()),
    }
}
