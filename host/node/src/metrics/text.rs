//! The text format of Prometheus, version 0.0.4.
//!
//! Owns its grammar: the rows of one metric stand together behind its `HELP`
//! and `TYPE`, label values are escaped, each line has an end. Knows nothing of
//! what is counted.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use odeon_runtime::Latencies;

/// What the text is, for whoever asks over HTTP.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only rises.
    Counter,
    /// It is what it is now.
    Gauge,
    /// It is counted in buckets.
    Histogram,
}

/// Metrics, as they are written down.
#[derive(Default)]
pub(crate) struct Text(String);

/// The rows of one metric. One without rows leaves nothing behind.
pub(crate) struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    begun: bool,
}

impl Text {
    /// Begins a metric, which was not there before.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        Family {
            text: &mut self.0,
            name,
            kind,
            help,
            begun: false,
        }
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a row.
    pub(crate) fn row(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// Adds the rows of a histogram that is told apart by this label.
    pub(crate) fn histogram(&mut self, label: (&str, &str), latencies: &Latencies) {
        let mut count = 0;
        for (bound, up_to) in latencies.buckets() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), seconds);
            self.line("_bucket", &[label, ("le", &bound)], up_to);
            count = up_to;
        }
        self.line("_sum", &[label], seconds(latencies.sum()));
        self.line("_count", &[label], count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        if !std::mem::replace(&mut self.begun, true) {
            self.head();
        }
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        // A string takes whatever is written to it.
        writeln!(self.text, " {value}").ok();
    }

    fn head(&mut self) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (name, help) = (self.name, self.help);
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }
}

/// What would end a label's value, or its line, is written as two characters.
fn escape(value: &str, into: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            other => into.push(other),
        }
    }
}

/// A time in seconds, to the nanosecond and without noughts that say nothing.
pub(super) fn seconds(time: Duration) -> String {
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_behind_what_they_are() {
        let mut text = Text::default();
        text.family("nothing", Kind::Gauge, "Without rows.");
        let mut family = text.family("things_total", Kind::Counter, "Things.");
        family.row(&[], 1);
        family.row(&[("a", "x"), ("b", "y")], 2);
        assert_eq!(
            text.finish(),
            "# HELP things_total Things.\n# TYPE things_total counter\nthings_total 1\nthings_total{a=\"x\",b=\"y\"} 2\n"
        );
    }

    #[test]
    fn no_value_of_a_label_ends_it() {
        let mut text = Text::default();
        text.family("m", Kind::Gauge, "H.").row(&[("a", "\\\"\n}")], 1);
        assert!(text.finish().ends_with("m{a=\"\\\\\\\"\\n}\"} 1\n"));
    }

    #[test]
    fn times_are_exact() {
        let rows = [
            (Duration::from_nanos(2_500), "0.0000025"),
            (Duration::from_secs(60), "60"),
            (Duration::from_millis(1_250), "1.25"),
            (Duration::ZERO, "0"),
        ];
        for (time, text) in rows {
            assert_eq!(seconds(time), text);
        }
    }
}
