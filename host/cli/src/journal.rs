//! What the host itself logs while it serves.
//!
//! Owns the subscriber: lines on standard error, the same lines in the host's
//! memory for `odeon logs`, and the setting that says which, which can be
//! changed while the host runs. What guests write is in that memory already
//! and is not put there twice.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use odeon::{GUEST_TARGET, Logs};
use odeon_authority::escaped;
use odeon_protocol::{Code, Fault};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    field::MakeExt as _,
    filter::LevelFilter,
    fmt::format,
    layer::{Context, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use crate::{
    failure::Failure,
    output::{Done, is_lively},
    stderr::Writer,
};

/// The longest line that is kept of one event, in bytes.
const MAX_LINE: usize = 4096;

/// The log of a host that serves. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal {
    filter: reload::Handle<EnvFilter, Registry>,
    directive: Arc<Mutex<String>>,
    logs: Arc<OnceLock<Logs>>,
}

impl Journal {
    /// Begins to log, for the whole process.
    pub(crate) fn start(directive: &str) -> Done<Self> {
        let (filter, handle) = reload::Layer::new(parse(directive)?);
        let logs = Arc::new(OnceLock::new());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(|| Writer)
            .fmt_fields(format::debug_fn(one_line).delimited(" "))
            .with_ansi(is_lively());
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(Keeper { logs: logs.clone() })
            .try_init()
            .map_err(|error| Failure::new(Code::Internal, format!("logging cannot begin: {error}")))?;
        Ok(Journal {
            filter: handle,
            directive: Arc::new(Mutex::new(directive.to_owned())),
            logs,
        })
    }

    /// From now on lines are kept there too.
    pub(crate) fn keep_in(&self, logs: Logs) {
        // The first one stays; one process serves one host.
        drop(self.logs.set(logs));
    }

    /// The setting, after putting another in its place if one is given.
    pub(crate) fn level(&self, directive: Option<&str>) -> Result<String, Fault> {
        let mut current = self.directive.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directive) = directive {
            let filter = parse(directive).map_err(|failure| failure.fault)?;
            self.filter.reload(filter).map_err(|error| {
                Fault::new(Code::Internal, format!("the setting cannot be changed: {error}"))
            })?;
            directive.clone_into(&mut current);
        }
        Ok(current.clone())
    }
}

/// Writes one field so that it stays on its line: some hold words of a
/// component, which could look like lines of the host.
fn one_line(writer: &mut format::Writer<'_>, field: &Field, value: &dyn std::fmt::Debug) -> std::fmt::Result {
    let value = escaped(&format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{value}"),
        name => write!(writer, "{name}={value}"),
    }
}

/// The parts that say something of every request a guest makes, which is as
/// often as it likes. They are heard only when they are asked for by name.
const OF_GUESTS: &str = "wasmtime_wasi";

/// Reads a setting; an error names the part that is wrong.
fn parse(directive: &str) -> Done<EnvFilter> {
    // A bare word that is no level would be taken as a part's name, and
    // silence all the others.
    let is_no_level = |part: &str| {
        let part = part.trim();
        part.is_empty() || (!part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err())
    };
    let read = |text: &str| match text.split(',').any(is_no_level) {
        true => Err("expected a level".to_owned()),
        false => EnvFilter::builder()
            .parse(text)
            .map_err(|error| error.to_string()),
    };
    let quiet = if directive.contains(OF_GUESTS) {
        directive.to_owned()
    } else {
        format!("{directive},{OF_GUESTS}=off")
    };
    read(&quiet).map_err(|error| {
        let wrong = directive.split(',').find(|part| read(part).is_err());
        let message = match wrong {
            Some(part) => format!(
                "log setting: expected a level (off, error, warn, info, debug, trace) or PART=LEVEL, found {:?}",
                part.trim()
            ),
            None => format!("log setting: {error}"),
        };
        Failure::usage(message)
    })
}

/// Puts the host's own lines into its memory.
struct Keeper {
    logs: Arc<OnceLock<Logs>>,
}

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let Some(logs) = self.logs.get().filter(|_| metadata.target() != GUEST_TARGET) else {
            return;
        };
        let mut line = Line::default();
        event.record(&mut line);
        logs.host_line(word(*metadata.level()), &line.finish());
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// An event as one line: its message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        self.message = escaped(&self.message);
        let end = self.message.floor_char_boundary(MAX_LINE);
        self.message.truncate(end);
        self.message
    }

    fn put(&mut self, field: &Field, value: std::fmt::Arguments<'_>) {
        // Writing into a `String` cannot fail.
        let written = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
        debug_assert!(written.is_ok());
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Enforced by `one_line`.
    #[test]
    fn a_components_words_make_no_lines_of_their_own() {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(format::debug_fn(one_line).delimited(" "));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let forged = "x\n2026-01-01T00:00:00Z  INFO odeon::load: loaded \u{1b}[2J\u{202e}";
            tracing::error!(fault = %forged, plugin = "a\nb", "said {forged}");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(text.contains("\\u{1b}[2J"), "{text:?}");
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused() {
        assert!(parse("info,odeon=debug").is_ok());
        for wrong in ["nonsense", "wat,info", ""] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let failure = parse("info,==").unwrap_err();
        assert_eq!(failure.fault.code, Code::InvalidArguments);
        assert!(
            failure.fault.message.contains("\"==\""),
            "{}",
            failure.fault.message
        );
    }

    #[test]
    fn what_the_engine_says_of_guests_is_heard_when_it_is_named() {
        let heard = |directive| parse(directive).unwrap().to_string();
        assert!(heard("info").contains("wasmtime_wasi=off"), "{}", heard("info"));
        assert!(heard("debug,odeon=trace").contains("wasmtime_wasi=off"));
        assert!(!heard("info,wasmtime_wasi_http=warn").contains("=off"));
    }
}
