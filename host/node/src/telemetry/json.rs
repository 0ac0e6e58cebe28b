//! OTLP in JSON: the mapping of its messages that their specification gives.
//!
//! Owns the form alone: ids are hexadecimal, 64-bit numbers are text,
//! enumerations are numbers, and what has no value is left out.

use odeon_protocol::LogSource;
use serde_json::{Map, Value, json};

use super::record::{Attribute, Clock, Hop, LogRecord, Span, shown};

/// Spans of something inside, and of what comes from outside.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
/// The longest words of a collector's that are shown, in bytes.
const MAX_SAID: usize = 256;
/// It ended with a fault.
const ERROR: u8 = 2;

/// The message with these spans.
pub(super) fn spans(instance: &str, spans: &[Span]) -> Value {
    let clock = Clock::read();
    let spans: Vec<Value> = spans.iter().map(|one| span(one, &clock)).collect();
    json!({ "resourceSpans": [{
        "resource": resource(instance),
        "scopeSpans": [{ "scope": scope(), "spans": spans }],
    }] })
}

/// The message with these lines.
pub(super) fn logs(instance: &str, records: &[LogRecord]) -> Value {
    let records: Vec<Value> = records.iter().map(record).collect();
    json!({ "resourceLogs": [{
        "resource": resource(instance),
        "scopeLogs": [{ "scope": scope(), "logRecords": records }],
    }] })
}

/// What the collector has against a message that it took.
pub(super) struct Partial {
    /// How many things in it it has not taken.
    pub(super) rejected: u64,
    /// Its own words, safe to show; empty when there are none.
    pub(super) said: String,
}

impl Partial {
    /// Whether it has nothing against it.
    pub(super) fn is_nothing(&self) -> bool {
        self.rejected == 0 && self.said.is_empty()
    }
}

/// What this answer says; `field` is where it counts.
pub(super) fn partial(answer: &[u8], field: &str) -> Partial {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let part = |field: &str| answer.get("partialSuccess").and_then(|part| part.get(field));
    let rejected = match part(field) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        _ => 0,
    };
    let said = part("errorMessage").and_then(Value::as_str).unwrap_or_default();
    Partial {
        rejected,
        said: shown(said, MAX_SAID),
    }
}

fn resource(instance: &str) -> Value {
    json!({ "attributes": [
        text("service.name", "odeon"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", instance),
    ] })
}

fn scope() -> Value {
    json!({ "name": "odeon", "version": env!("CARGO_PKG_VERSION") })
}

fn span(span: &Span, clock: &Clock) -> Value {
    let began = clock.tell(span.began);
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    let mut attributes = vec![text("odeon.hop", span.hop.word())];
    attributes.extend(span.attributes.iter().map(|(key, value)| match value {
        Attribute::Text(value) => text(key, value),
        Attribute::Number(value) => number(key, *value),
    }));
    let mut written = Map::new();
    let mut put = |key: &str, value: Value| written.insert(key.to_owned(), value);
    put("traceId", json!(span.at.trace.to_string()));
    put("spanId", json!(span.at.span.to_string()));
    if let Some(parent) = span.parent {
        put("parentSpanId", json!(parent.to_string()));
    }
    let kind = match span.hop {
        Hop::Request | Hop::Http => SERVER,
        Hop::Call => INTERNAL,
    };
    put("name", json!(span.name));
    put("kind", json!(kind));
    put("startTimeUnixNano", json!(began.to_string()));
    put("endTimeUnixNano", json!(began.saturating_add(took).to_string()));
    if let Some(code) = span.code {
        attributes.push(text("odeon.code", code.as_str()));
        attributes.push(text("error.type", code.kind().as_str()));
        put("status", json!({ "code": ERROR, "message": code.as_str() }));
    }
    put("attributes", Value::Array(attributes));
    Value::Object(written)
}

fn record(record: &LogRecord) -> Value {
    let source = match record.source {
        LogSource::Host => "host",
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Log => "log",
        LogSource::Unknown => "unknown",
    };
    let mut attributes = vec![text("odeon.source", source)];
    if let Some((plugin, generation)) = &record.plugin {
        attributes.push(text("odeon.plugin", plugin.as_str()));
        attributes.push(number("odeon.generation", generation.0));
    }
    if let Some(serial) = record.serial {
        attributes.push(text("odeon.serial", &serial.to_string()));
    }
    if record.dropped > 0 {
        attributes.push(number("odeon.dropped", record.dropped));
    }
    let at = record.at.to_string();
    let mut written = Map::new();
    let mut put = |key: &str, value: Value| written.insert(key.to_owned(), value);
    put("timeUnixNano", json!(at));
    put("observedTimeUnixNano", json!(at));
    put("severityNumber", json!(record.severity.number));
    put("severityText", json!(record.severity.word.to_uppercase()));
    put("body", json!({ "stringValue": record.text }));
    put("attributes", Value::Array(attributes));
    if let Some(span) = record.span {
        put("traceId", json!(span.trace.to_string()));
        put("spanId", json!(span.span.to_string()));
        // Lines of what is not recorded name no span.
        put("flags", json!(1));
    }
    Value::Object(written)
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}
