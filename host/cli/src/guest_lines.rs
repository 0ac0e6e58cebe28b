//! What a guest of a one-shot writes, on standard error.
//!
//! Its standard output and error appear as they are, line by line; lines of
//! the logging interface say how important they are. A guest never waits for
//! whoever reads them.

use odeon::{Level, LogLine, LogSink, Stream};

use crate::output::note;

/// Writes the lines of a guest to standard error.
pub(crate) struct GuestLines;

impl LogSink for GuestLines {
    fn line(&self, line: LogLine<'_>) {
        note(&text(&line));
    }
}

fn text(line: &LogLine<'_>) -> String {
    let lost = match line.dropped {
        0 => String::new(),
        n => format!("({n} lines before this one were dropped)\n"),
    };
    match (line.stream, line.context) {
        (Stream::Stdout | Stream::Stderr, _) => format!("{lost}{}", line.text),
        // One line stays one: what begins a line is this program's word.
        (Stream::Log, "") => format!("{lost}{}: {}", level(line.level), one_line(line.text)),
        (Stream::Log, context) => {
            let (context, text) = (one_line(context), one_line(line.text));
            format!("{lost}{}: {context}: {text}", level(line.level))
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}
