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
        (Stream::Log, "") => format!("{lost}{}: {}", level(line.level), line.text),
        (Stream::Log, context) => format!("{lost}{}: {context}: {}", level(line.level), line.text),
    }
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
