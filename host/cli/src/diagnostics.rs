//! How a failure looks to a person.
//!
//! Owns the rendering: the code, the message, the user's own text with the
//! wrong part underlined, the guest's frames, and what to do. Colours only
//! where standard error is a terminal. Decides nothing about exit statuses.

use std::{fmt, ops::RangeInclusive};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use odeon_protocol::Code;

use crate::{
    failure::Failure,
    output::{clean, is_lively, turns_text},
};

/// The widest a message is drawn, and the narrowest.
const WIDTH: RangeInclusive<usize> = 40..=110;
/// The longest text of the user's that is shown around a wrong part.
const SHOWN: usize = 400;

/// The failure as text for standard error.
pub(crate) fn render(failure: &Failure) -> String {
    let theme = if is_lively() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    draw(failure, theme)
}

fn draw(failure: &Failure, theme: GraphicalTheme) -> String {
    let report = Report::new(failure);
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width())
        .with_break_words(false)
        // What is written with a dash may be meant to be typed.
        .with_word_splitter(textwrap::WordSplitter::NoHyphenation);
    let mut text = String::new();
    if handler.render_report(&mut text, &report).is_err() {
        text = format!("{}: {}", failure.fault.code, report.message);
    }
    let mut text = text.trim_end().to_owned();
    // Not wrapped: a command of it is copied, as one line.
    for (index, line) in failure.help.iter().flat_map(|help| help.lines()).enumerate() {
        let head = if index == 0 { "  help: " } else { "        " };
        text.push_str(&format!("\n{head}{}", clean(line)));
    }
    text
}

/// As wide as the terminal, within reason.
fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr())
        .map_or(*WIDTH.end(), |size| usize::from(size.ws_col));
    match columns {
        // A terminal that does not know.
        0 => *WIDTH.end(),
        columns => columns.clamp(*WIDTH.start(), *WIDTH.end()),
    }
}

#[derive(Debug)]
struct Report {
    code: Code,
    message: String,
    source: Option<String>,
    label: Option<LabeledSpan>,
}

impl Report {
    fn new(failure: &Failure) -> Self {
        let fault = &failure.fault;
        let mut message = clean(&fault.message);
        if let Some(frames) = fault.backtrace.as_ref().filter(|frames| !frames.is_empty()) {
            message.push_str("\nthe guest was in");
            for frame in frames {
                message.push_str("\n  ");
                message.push_str(&clean(frame));
            }
        }
        // An empty text has nothing to point at.
        let shown = failure.place.as_ref().filter(|place| !place.text.is_empty());
        let place = shown.map(|place| {
            let (text, start, end) = window(&place.text, place.span.start, place.span.end);
            (
                text,
                LabeledSpan::new_with_span(Some(clean(&place.label)), start..end),
            )
        });
        let (source, label) = place.unzip();
        Report {
            code: fault.code,
            message,
            source,
            label,
        }
    }
}

/// The part of a long text around the wrong bytes, with what is left of them.
fn window(text: &str, start: usize, end: usize) -> (String, usize, usize) {
    let from = text.floor_char_boundary(start.saturating_sub(SHOWN / 2));
    let to = text.ceil_char_boundary(
        end.min(start.saturating_add(SHOWN))
            .saturating_add(SHOWN / 2)
            .min(text.len()),
    );
    let part = text.get(from..to).unwrap_or_default();
    // A character that would move the cursor takes one cell, not none; its
    // place in bytes has to stay.
    let mut shown: String = part
        .chars()
        .map(|c| match (c.is_control() || turns_text(c), c.len_utf8()) {
            (true, 1) if c != '\n' => ' ',
            (true, 2) => '\u{b7}',
            (true, 3) => '\u{fffd}',
            _ => c,
        })
        .collect();
    if start.saturating_sub(from) >= shown.len() {
        // Something to point at where the text ends too early.
        shown.push(' ');
    }
    let (start, end) = (
        start.saturating_sub(from).min(shown.len()),
        end.saturating_sub(from).min(shown.len()),
    );
    (shown, start, end.max(start))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.label
            .clone()
            .map(|label| Box::new(std::iter::once(label)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Place;

    fn drawn(failure: &Failure) -> String {
        draw(failure, GraphicalTheme::unicode_nocolor())
    }

    #[test]
    fn the_wrong_part_of_a_call_is_underlined() {
        let mut failure = Failure::usage("argument 2 (`b`): expected u32, found `\"two\"`");
        failure.place = Some(Place {
            text: "add(1, \"two\")".into(),
            span: 7..12,
            label: "expected u32".into(),
        });
        let text = drawn(&failure.helped("add: func(a: u32, b: u32) -> u32"));
        for part in [
            "ODN-1004",
            "argument 2 (`b`)",
            "add(1, \"two\")",
            "╰── expected u32",
            "add: func(",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[test]
    fn a_place_at_the_end_of_the_text_and_one_in_a_long_text_are_drawn() {
        for (text, span) in [
            ("add(1", 5..5),
            (&*"x".repeat(100_000), 70_000..70_001),
            ("ä\u{1b}ö", 3..5),
        ] {
            let mut failure = Failure::usage("expected more");
            failure.place = Some(Place {
                text: text.into(),
                span,
                label: "here".into(),
            });
            let text = drawn(&failure);
            assert!(
                text.contains("here") && text.len() < 4000 && !text.contains('\u{1b}'),
                "{text}"
            );
        }
    }
}
