//! What is wrong, and at which bytes of the text.
//!
//! Owns where that is in the text a caller gave; what belongs there is said by
//! whoever reads.

use std::ops::Range;

use crate::value::{
    Value,
    misfit::{Misfit, SHOWN},
    path::Located,
    wave::WaveError,
    wit::cut,
};

/// Something wrong at some bytes of the text.
#[derive(Debug)]
pub(in super::super) struct Off {
    pub(super) span: Range<usize>,
    pub(super) misfit: Misfit,
    /// Whether `misfit.found` says more than the text at the span would.
    pub(super) explained: bool,
}

pub(super) type Read<T = Value> = Result<T, Box<Off>>;

impl Located for Off {
    fn path_mut(&mut self) -> &mut String {
        &mut self.misfit.path
    }
}

impl Off {
    #[cold]
    pub(super) fn new(span: Range<usize>, expected: impl Into<String>) -> Box<Self> {
        let misfit = Misfit {
            path: String::new(),
            expected: expected.into(),
            found: String::new(),
        };
        Box::new(Off {
            span,
            misfit,
            explained: false,
        })
    }

    #[cold]
    pub(super) fn explained(span: Range<usize>, misfit: impl Into<Box<Misfit>>) -> Box<Self> {
        Box::new(Off {
            span,
            misfit: *misfit.into(),
            explained: true,
        })
    }

    /// The error as a caller sees it, for the text that it gave.
    pub(in super::super) fn finish(self, text: &str) -> WaveError {
        let Off {
            span,
            misfit:
                Misfit {
                    path,
                    expected,
                    found,
                },
            explained,
        } = self;
        let start = floor(text, span.start);
        let end = ceil(text, span.end).max(start);
        let shown = match text.get(start..end) {
            None | Some("") => "the end of the text".into(),
            Some(part) => format!("`{}`", cut(part, SHOWN)),
        };
        let found = if explained { found } else { shown };
        WaveError {
            span: start..end,
            expected,
            found,
            path,
            text: None,
        }
    }
}

pub(super) fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

pub(super) fn ceil(text: &str, at: usize) -> usize {
    text.ceil_char_boundary(at.min(text.len()))
}
