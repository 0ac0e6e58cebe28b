//! Something in a document that does not fit the type it is read as.
//!
//! The one error inside the readers of JSON, CBOR and WAVE; each turns it into
//! its own at its boundary.

use super::{
    error::Problem,
    path::Located,
    wit::{cut, short_name},
};
use crate::types::Type;

/// The most characters of somebody else's text inside a message.
pub(crate) const SHOWN: usize = 60;

/// What was expected somewhere, and what was found.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) path: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Misfit {
    #[cold]
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        Box::new(Misfit {
            path: String::new(),
            expected: expected.into(),
            found: found.into(),
        })
    }

    /// A value of some type was expected.
    #[cold]
    pub(crate) fn of(ty: &Type, found: impl Into<String>) -> Box<Self> {
        Misfit::new(in_words(ty), found)
    }
}

impl Located for Misfit {
    fn path_mut(&mut self) -> &mut String {
        &mut self.path
    }
}

impl From<Problem> for Box<Misfit> {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::TooDeep { limit } => Misfit::new(format!("at most {limit} levels of nesting"), "more"),
            Problem::TooManyNodes { limit } => Misfit::new(format!("at most {limit} values"), "more"),
            Problem::TooLong { limit } => Misfit::new(format!("at most {limit} bytes"), "more"),
            Problem::Handle { name } => Misfit::new(
                "a value that can be carried",
                format!("the type {name}, which is bound to its instance"),
            ),
            other => Misfit::new("a value that fits its type", other.to_string()),
        }
    }
}

/// A type, with what a newcomer needs to write a value of it.
pub(crate) fn in_words(ty: &Type) -> String {
    let hint = match ty {
        Type::Bool => "true or false",
        Type::S8 => "a whole number from -128 to 127",
        Type::U8 => "a whole number from 0 to 255",
        Type::S16 => "a whole number from -32768 to 32767",
        Type::U16 => "a whole number from 0 to 65535",
        Type::S32 => "a whole number from -2147483648 to 2147483647",
        Type::U32 => "a whole number from 0 to 4294967295",
        Type::S64 => "a whole number from -9223372036854775808 to 9223372036854775807",
        Type::U64 => "a whole number from 0 to 18446744073709551615",
        Type::F32 | Type::F64 => "a number",
        Type::Char => "one character in quotes",
        Type::String => "text in double quotes",
        _ => return short_name(ty),
    };
    format!("{} ({hint})", short_name(ty))
}

/// Names from a declaration, for a message.
pub(crate) fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (index, name) in names.enumerate() {
        if text.len() > 2 * SHOWN {
            text.push_str(", …");
            break;
        }
        text.push_str(if index == 0 { "`" } else { ", `" });
        text.push_str(name);
        text.push('`');
    }
    text
}

/// Somebody else's text, quoted and cut.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", cut(text, SHOWN))
}
