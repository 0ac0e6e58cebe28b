//! Spans and log records, as they wait to be sent.
//!
//! Owns what is in them and how long it may be.

use std::time::{Duration, Instant};

use odeon_authority::escaped;
use odeon_protocol::{Code, Generation, LogSource, PluginName, Serial, SpanId, SpanRef};
use odeon_runtime::{LogLine, MOST_SPANS};

use super::queue::{MOST, Owned};

/// The longest text of a log record, in bytes.
pub(super) const MAX_TEXT: usize = 4096;
/// The longest name of a method, in bytes.
const MAX_METHOD: usize = 256;

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// A request, from when it was taken to its end.
    Request,
    /// One plugin's part in it.
    Call,
    /// A request over HTTP.
    Http,
}

impl Hop {
    pub(super) fn word(self) -> &'static str {
        match self {
            Hop::Request => "request",
            Hop::Call => "call",
            Hop::Http => "http",
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Text(String),
    Number(u64),
}

/// Something that had a beginning and an end.
pub(super) struct Span {
    pub(super) hop: Hop,
    /// Whose room it takes: the outermost plugin of the request, however many
    /// others that calls; none for the span of the request itself.
    pub(super) owner: Option<PluginName>,
    pub(super) at: SpanRef,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) began: Instant,
    pub(super) took: Duration,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
    /// The fault that it ended with.
    pub(super) code: Option<Code>,
}

impl Span {
    /// From then on, for no time yet.
    pub(super) fn new(hop: Hop, at: SpanRef, parent: Option<SpanId>, name: &str, began: Instant) -> Self {
        Span {
            hop,
            owner: None,
            at,
            parent,
            name: cut(name, MAX_METHOD).to_owned(),
            began,
            took: Duration::ZERO,
            attributes: Vec::new(),
            code: None,
        }
    }

    pub(super) fn put(&mut self, key: &'static str, value: &str) {
        self.attributes.push((key, Attribute::Text(value.to_owned())));
    }

    pub(super) fn put_number(&mut self, key: &'static str, value: u64) {
        self.attributes.push((key, Attribute::Number(value)));
    }

    /// The name of a method, which a component's author chose.
    pub(super) fn put_method(&mut self, method: &str) {
        self.put("odeon.method", cut(method, MAX_METHOD));
    }
}

impl Owned for Span {
    const SHARE: usize = MOST / 4;

    fn owner(&self) -> Option<&PluginName> {
        self.owner.as_ref()
    }
}

/// All that one request can have fits into a share.
const _: () = assert!(Span::SHARE as u64 >= MOST_SPANS);

/// What the clock says at one moment. Spans that are sent together are told by
/// one, so that those of one request fit together.
pub(super) struct Clock {
    at: Instant,
    /// In nanoseconds since 1970.
    says: u64,
}

impl Clock {
    pub(super) fn read() -> Self {
        Clock {
            at: Instant::now(),
            says: now(),
        }
    }

    /// When something was, in nanoseconds since 1970.
    pub(super) fn tell(&self, then: Instant) -> u64 {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.at.saturating_duration_since(then);
        let after = then.saturating_duration_since(self.at);
        self.says
            .saturating_sub(nanos(before))
            .saturating_add(nanos(after))
    }
}

/// A line of a log.
pub(crate) struct LogRecord {
    /// In nanoseconds since 1970.
    pub(super) at: u64,
    pub(super) severity: Severity,
    pub(super) text: String,
    pub(super) source: LogSource,
    /// Whose line it is; none for the host's own.
    pub(super) plugin: Option<(PluginName, Generation)>,
    pub(super) serial: Option<Serial>,
    pub(super) span: Option<SpanRef>,
    /// Lines of the plugin's that were lost before this one, because it wrote too
    /// much.
    pub(super) dropped: u64,
}

/// How important a line is: its word, and its number in the data model of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Severity {
    pub(super) word: &'static str,
    pub(super) number: u8,
}

impl Severity {
    fn of(word: &str) -> Self {
        const ALL: [Severity; 6] = [
            Severity::new("trace", 1),
            Severity::new("debug", 5),
            Severity::new("info", 9),
            Severity::new("warn", 13),
            Severity::new("error", 17),
            Severity::new("critical", 21),
        ];
        let known = ALL.into_iter().find(|severity| severity.word == word);
        known.unwrap_or(Severity::new("info", 9))
    }

    const fn new(word: &'static str, number: u8) -> Self {
        Severity { word, number }
    }
}

impl LogRecord {
    /// A line of now, safe to show. What is too long of it is left out.
    pub(crate) fn new(severity: &str, text: &str, source: LogSource) -> Self {
        LogRecord {
            at: now(),
            severity: Severity::of(severity),
            text: shown(text, MAX_TEXT),
            source,
            plugin: None,
            serial: None,
            span: None,
            dropped: 0,
        }
    }

    /// A plugin's, written as this line was.
    pub(crate) fn of(mut self, line: &LogLine<'_>) -> Self {
        self.plugin = Some((line.plugin.clone(), line.generation));
        (self.serial, self.span) = (line.serial, line.span);
        self.dropped = line.dropped;
        self
    }
}

impl Owned for LogRecord {
    const SHARE: usize = MOST / 8;

    fn owner(&self) -> Option<&PluginName> {
        self.plugin.as_ref().map(|(plugin, _)| plugin)
    }
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0)
}

/// The text on one line, without what moves or turns the text beside it, up to
/// `most` bytes: whoever reads it takes it for what it is.
pub(super) fn shown(text: &str, most: usize) -> String {
    let mut shown = escaped(cut(text, most));
    shown.truncate(shown.floor_char_boundary(most));
    shown
}

/// The text up to `most` bytes, cut between characters.
fn cut(text: &str, most: usize) -> &str {
    let end = text.floor_char_boundary(most);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use odeon_protocol::{SpanId, TraceId};

    use super::*;

    /// Enforced by `cut`.
    #[test]
    fn a_text_is_cut_between_characters() {
        let text = "é".repeat(MAX_TEXT);
        let record = LogRecord::new("info", &text, LogSource::Log);
        assert_eq!(record.text.len(), MAX_TEXT);
        let odd = format!("x{text}");
        let record = LogRecord::new("info", &odd, LogSource::Log);
        assert_eq!(record.text.len(), MAX_TEXT - 1);
        let at = SpanRef {
            trace: TraceId::random(),
            span: SpanId::random(),
        };
        let mut span = Span::new(Hop::Call, at, None, &text, Instant::now());
        span.put_method(&text);
        assert_eq!(span.name.len(), MAX_METHOD);
        assert_eq!(
            span.attributes,
            [("odeon.method", Attribute::Text("é".repeat(MAX_METHOD / 2)))]
        );
    }

    /// Enforced by `shown`.
    #[test]
    fn a_line_is_one_line_that_moves_nothing_beside_it() {
        let of = |text: &str| LogRecord::new("info", text, LogSource::Log).text;
        assert_eq!(of("one\ntwo\r\tü"), "one\\ntwo\\r\\tü");
        assert_eq!(
            of("a\u{1b}[2Jb\u{202e}c\u{2028}"),
            "a\\u{1b}[2Jb\\u{202e}c\\u{2028}"
        );
        assert_eq!(of(&"\u{202e}".repeat(MAX_TEXT)).len(), MAX_TEXT);
    }

    #[test]
    fn levels_have_the_numbers_of_the_data_model() {
        let of = |word| Severity::of(word).number;
        assert_eq!(
            ["trace", "debug", "info", "warn", "error", "critical"].map(of),
            [1, 5, 9, 13, 17, 21]
        );
    }
}
