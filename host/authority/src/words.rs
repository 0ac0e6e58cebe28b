//! Somebody else's words, made safe to show.
//!
//! Owns which characters never reach a log, a terminal or an error as they
//! are: those that end a line, move the cursor or turn the direction of
//! writing. With them a component could write lines that look like the host's.

/// Whether a character would do more than be read.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with what is not safe to show written as `\u{…}`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_unsafe(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// What is wrong with a TOML text that somebody else wrote: the parser's words,
/// the place, and the line itself where that is short and safe to show.
pub(crate) fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    const MOST: usize = 200;
    let whole = error.to_string();
    let is_safe = |c: char| matches!(c, '\n' | '\t') || !is_unsafe(c);
    if whole.lines().all(|line| line.len() <= MOST) && whole.chars().all(is_safe) {
        return whole;
    }
    let words: String = escaped(error.message()).chars().take(MOST).collect();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return words;
    };
    let line = before.matches('\n').count().saturating_add(1);
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |rest| rest.chars().count())
        .saturating_add(1);
    format!("line {line}, column {column}: {words}")
}
