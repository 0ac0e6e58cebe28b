//! A call as people type it: `math.add(1, 2)`.

use super::{WaveError, parse_args};
use crate::{
    limits::ValueLimits,
    types::FunctionType,
    value::{Value, misfit::quoted},
};

/// A function's name and the text of its arguments.
///
/// The name is everything before the first parenthesis, so that
/// `iface/with:colons@0.1.0.add(1)` is as good as `add(1)`; whether such a
/// function exists is not decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invocation<'t> {
    /// The name, without the spaces around it.
    pub name: &'t str,
    /// The text between the parentheses; empty where there are none.
    pub args: &'t str,
    /// Where `args` begins in the whole text, in bytes.
    pub args_start: usize,
}

impl Invocation<'_> {
    /// Reads the arguments; errors point into the whole text.
    ///
    /// # Errors
    /// As [`parse_args`].
    pub fn parse_args(&self, function: &FunctionType, limits: &ValueLimits) -> Result<Vec<Value>, WaveError> {
        parse_args(function, self.args, limits).map_err(|error| error.moved(self.args_start))
    }
}

/// Splits a call into its name and its arguments; a name alone is a call
/// without arguments.
///
/// # Errors
/// An empty name, or a parenthesis that is not closed at the end of the text.
pub fn parse_invocation(text: &str) -> Result<Invocation<'_>, WaveError> {
    let (before, args, args_start) = match text.split_once('(') {
        None => (text, "", text.len()),
        Some((before, after)) => {
            let end = text.trim_end().len();
            let args = after.trim_end().strip_suffix(')').ok_or_else(|| {
                let last = text.trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
                WaveError {
                    found: "the end of the text".into(),
                    ..error(text, last..end, "`)` at the end of the call")
                }
            })?;
            (before, args, before.len() + 1)
        }
    };
    let name = before.trim();
    if name.is_empty() {
        return Err(error(
            text,
            0..before.len(),
            "the name of a function, as in `add(1, 2)`",
        ));
    }
    Ok(Invocation {
        name,
        args,
        args_start,
    })
}

fn error(text: &str, span: std::ops::Range<usize>, expected: &str) -> WaveError {
    let found = match text.get(span.clone()).unwrap_or_default() {
        "" => "nothing".into(),
        part => quoted(part),
    };
    WaveError {
        span,
        expected: expected.into(),
        found,
        path: String::new(),
        text: None,
    }
}
