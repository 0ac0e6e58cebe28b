//! The way to a place inside a value, as people read it.
//!
//! A path is put together while an error travels outwards, so that a
//! conversion which succeeds pays nothing for it.

use std::fmt::Write as _;

/// One step into a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// Into a record's field, a variant's case, or `some`, `ok`, `err`, `key`
    /// and `value`.
    Name(&'a str),
    /// Into a list or a tuple; counted from zero.
    Index(usize),
    /// Into a parameter; counted from zero here and from one in the text.
    Argument(usize, &'a str),
    /// Into a function's result.
    Result,
}

impl Step<'_> {
    /// Puts this step before what was taken after it.
    pub(crate) fn before(self, path: &mut String) {
        let rest = std::mem::take(path);
        // Writing into a `String` cannot fail.
        let written = match self {
            Step::Name(name) => write!(path, ".{name}"),
            Step::Index(index) => write!(path, "[{index}]"),
            Step::Argument(index, name) => write!(path, "argument {} (`{name}`)", index + 1),
            Step::Result => write!(path, "result"),
        };
        debug_assert!(written.is_ok());
        if matches!(self, Step::Argument(..) | Step::Result) && !rest.is_empty() {
            path.push_str(" → ");
            path.push_str(rest.strip_prefix('.').unwrap_or(&rest));
        } else {
            path.push_str(&rest);
        }
    }
}

/// An error that remembers where it happened.
pub(crate) trait Located: Sized {
    fn path_mut(&mut self) -> &mut String;

    /// The same error, seen from one step further out.
    fn within(mut self, step: Step<'_>) -> Self {
        step.before(self.path_mut());
        self
    }
}

impl<E: Located> Located for Box<E> {
    fn path_mut(&mut self) -> &mut String {
        (**self).path_mut()
    }
}

/// Text for the front of a message: the path and a colon, or nothing.
pub(crate) fn at(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("{}: ", path.strip_prefix('.').unwrap_or(path))
    }
}
