//! What goes to standard output, and in which of its two forms.
//!
//! Owns the choice between JSON and text for people. With `--json` every
//! command writes one document, or one per line where it streams, and nothing
//! else; without it, results go to standard output and words to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    failure::Failure,
    stderr::{self, Waiting},
};

/// Result of a command.
pub(crate) type Done<T = ()> = Result<T, Box<Failure>>;

/// Where a command's results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Output { json }
    }

    /// Whether programs read the output.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Writes one JSON document as one line.
    pub(crate) fn document(self, document: &impl Serialize) -> Done {
        let text = serde_json::to_string(document).map_err(|error| {
            Failure::new(
                odeon_protocol::Code::Internal,
                format!("the answer is no JSON: {error}"),
            )
        })?;
        self.line(&text)
    }

    /// Writes one line as it is.
    pub(crate) fn line(self, text: &str) -> Done {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Writes the document for programs, or what `text` makes of it for people.
    pub(crate) fn either(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Done {
        if self.json {
            self.document(document)
        } else {
            self.line(&text())
        }
    }

    /// Says on a terminal what is being waited for; nothing to a program.
    pub(crate) fn waiting(self, text: impl FnOnce() -> String) -> Waiting {
        Waiting::begin(text, !self.json)
    }

    /// Says something to a person; nothing to a program.
    pub(crate) fn say(self, text: &str) {
        if !self.json {
            note(text);
        }
    }
}

/// Writes a line to standard error. Nobody is told if that fails.
pub(crate) fn note(text: &str) {
    stderr::line(&clean(text));
}

/// Whether colours and moving bars belong on standard error.
pub(crate) fn is_lively() -> bool {
    io::stderr().is_terminal() && !no_color()
}

/// Whether the user asked for no colours (<https://no-color.org>).
#[allow(
    clippy::disallowed_methods,
    reason = "the command line is where the environment is read"
)]
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// A table with these headings, as wide as the terminal.
pub(crate) fn table(headings: &[&str]) -> Table {
    let is_terminal = io::stdout().is_terminal();
    let heading = |text: &&str| {
        let cell = Cell::new(text.to_uppercase());
        match is_terminal && !no_color() {
            true => cell.add_attribute(Attribute::Bold),
            false => cell,
        }
    };
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(headings.iter().map(heading));
    if is_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// The text of a table, without spaces at either end of its lines.
pub(crate) fn lines(table: &Table) -> String {
    table
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Somebody else's text without what would move a terminal's cursor, or show
/// the rest of a line in another order than it has.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() || turns_text(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Whether a character changes the direction in which text runs, or ends a
/// line for some readers only.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_a_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\tc\nd\r"), "a\u{fffd}[2Jb\tc\nd\u{fffd}");
        assert_eq!(
            clean("a\u{202e}b\u{2066}c\u{2028}ü"),
            "a\u{fffd}b\u{fffd}c\u{fffd}ü"
        );
    }

    #[test]
    fn a_table_has_no_spaces_around_its_lines() {
        let mut table = table(&["name", "calls"]);
        table.add_row(["calculator", "3"]);
        assert!(lines(&table).lines().all(|line| line == line.trim()));
        assert!(lines(&table).contains("NAME"));
    }
}
