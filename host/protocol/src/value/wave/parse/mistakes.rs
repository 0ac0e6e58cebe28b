//! Text that the grammar refuses, where no type is known yet.
//!
//! Owns the words for it, and the mistakes that people make who write other
//! languages. Reads no values.

use std::ops::Range;

use wasm_wave::parser::{ParserError, ParserErrorKind};

use super::off::{Off, ceil, floor};

/// An error of the grammar, where no type is known yet.
pub(super) fn syntax(error: &ParserError, source: &str) -> Box<Off> {
    let span = error.span();
    if let Some(mistake) = familiar(source, &span) {
        return mistake;
    }
    let expected = match error.kind() {
        ParserErrorKind::UnexpectedEnd => {
            return Off::new(usize::MAX..usize::MAX, "a value or a closing bracket");
        }
        ParserErrorKind::UnexpectedToken => "a value, a comma or a closing bracket",
        ParserErrorKind::TrailingCharacters => "the end of the text",
        ParserErrorKind::InvalidEscape => ESCAPES,
        ParserErrorKind::EmptyTuple => "at least one value in a tuple",
        ParserErrorKind::MultipleChars => "one character",
        ParserErrorKind::DuplicateField => "each field once",
        ParserErrorKind::DuplicateFlag => "each flag once",
        ParserErrorKind::NestingTooDeep => "at most 100 levels of nesting",
        ParserErrorKind::InvalidMultilineString => {
            return Off::new(
                span,
                error
                    .detail()
                    .unwrap_or("a well-formed text in three double quotes"),
            );
        }
        _ => "a WAVE value: a number, a name, \"text\", 'c', [list], (tuple) or {record}",
    };
    Off::new(span, expected)
}

const ESCAPES: &str = r#"one of the escapes \n \t \r \\ \' \" \u{…}, the last with a character's number"#;

/// A mistake that people make who write other languages, where the grammar
/// alone would name the token that it did not understand.
fn familiar(source: &str, span: &Range<usize>) -> Option<Box<Off>> {
    let start = floor(source, span.start);
    let (before, rest) = source.split_at(start);
    let mut letters = rest.chars();
    match letters.next()? {
        '"' if !rest.starts_with("\"\"\"") => {
            let end = start + 1 + closing(rest.get(1..)?, '"');
            let text = source.get(start + 1..end).unwrap_or_default();
            if let Some(at) = unknown_escape(text) {
                let at = start + 1 + at;
                return Some(Off::new(at..ceil(source, at + 2), ESCAPES));
            }
            if source.get(end..).is_none_or(|rest| !rest.starts_with('"')) {
                return Some(Off::new(start..end, "a closing quotation mark behind the text"));
            }
            let opens = before.trim_end().ends_with(['{', ',']);
            let is_field = source.get(end + 1..)?.trim_start().starts_with(':');
            (opens && is_field).then(|| {
                let expected = format!("the field's name without quotation marks: {text}");
                Off::new(start..end + 1, expected)
            })
        }
        '\'' => {
            let end = start + 1 + closing(rest.get(1..)?, '\'');
            let text = source.get(start + 1..end).unwrap_or_default();
            if let Some(at) = unknown_escape(text) {
                let at = start + 1 + at;
                return Some(Off::new(at..ceil(source, at + 2), ESCAPES));
            }
            let is_closed = source.get(end..).is_some_and(|rest| rest.starts_with('\''));
            // A well-formed one is only in the wrong place.
            (!is_closed || !is_one_character(text)).then(|| {
                let expected = "one character between single quotes; texts have double ones";
                Off::new(start..ceil(source, end + 1), expected)
            })
        }
        letter if letter.is_alphanumeric() => {
            let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            let from = before.rfind(|c| !is_part(c)).map_or(0, |at| ceil(source, at + 1));
            let word = source.get(from..)?.split(|c| !is_part(c)).next()?;
            let small = word.to_lowercase();
            // A part in capital letters alone is part of a name, too.
            let is_mixed =
                |part: &str| part.contains(char::is_uppercase) && part.contains(char::is_lowercase);
            let is_wrong = word.starts_with(char::is_alphabetic) && word.split('-').any(is_mixed);
            is_wrong.then(|| {
                let expected = format!(
                    "`{small}`: names are in small letters, or words of them in capital ones, with dashes \
                     between words"
                );
                Off::new(from..from + word.len(), expected)
            })
        }
        _ => None,
    }
}

/// Where the text ends that stands in these quotation marks: at the one that
/// closes it, at the end of its line, or where there is no more.
fn closing(text: &str, mark: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let ends = (*c == mark && !escaped) || *c == '\n';
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at)
}

/// Whether this is what stands between the quotation marks of a character.
fn is_one_character(text: &str) -> bool {
    match text.strip_prefix('\\') {
        Some(escape) if escape.starts_with('u') => escape.ends_with('}'),
        Some(escape) => escape.chars().count() == 1,
        None => text.chars().count() == 1,
    }
}

/// Where a backslash stands that begins no escape.
fn unknown_escape(text: &str) -> Option<usize> {
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        if c == '\\' && !rest.next().is_some_and(|(_, c)| "ntr\\'\"u".contains(c)) {
            return Some(at);
        }
    }
    None
}
