//! What is in a message, as the specification says it: nothing else passes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Record, Span};

/// What is in a message, whose resource has this attribute.
pub(super) fn parts(message: &Value, [resources, scopes, parts]: [&str; 3], attribute: &str) -> Vec<Value> {
    let list = |value: &Value, key: &str| -> Vec<Value> {
        let list = value[key].as_array();
        list.unwrap_or_else(|| panic!("no {key} in {value}")).clone()
    };
    let of_resources = list(message, resources);
    let all = of_resources.iter().flat_map(|resource| {
        let about = attributes(&resource["resource"]["attributes"]);
        assert!(!about[attribute].is_empty(), "{resource}");
        list(resource, scopes)
    });
    all.flat_map(|scope| {
        assert_eq!(scope["scope"]["name"], "odeon");
        list(&scope, parts)
    })
    .collect()
}

pub(super) fn read_span(span: &Value) -> Span {
    keys(
        span,
        &[
            "traceId",
            "spanId",
            "parentSpanId",
            "name",
            "kind",
            "startTimeUnixNano",
            "endTimeUnixNano",
            "attributes",
            "status",
        ],
    );
    let error = span.get("status").map(|status| {
        keys(status, &["code", "message"]);
        assert_eq!(status["code"], 2, "{status}");
        text(status, "message")
    });
    let read = Span {
        trace: id(span, "traceId", 32),
        id: id(span, "spanId", 16),
        parent: span.get("parentSpanId").map(|_| id(span, "parentSpanId", 16)),
        name: text(span, "name"),
        kind: span["kind"].as_u64().expect("an enumeration is a number"),
        began: time(span, "startTimeUnixNano"),
        ended: time(span, "endTimeUnixNano"),
        attributes: attributes(&span["attributes"]),
        error,
    };
    assert!(read.began <= read.ended, "{read:?}");
    assert!(!read.name.is_empty(), "{read:?}");
    read
}

pub(super) fn read_record(record: &Value) -> Record {
    keys(
        record,
        &[
            "timeUnixNano",
            "observedTimeUnixNano",
            "severityNumber",
            "severityText",
            "body",
            "attributes",
            "traceId",
            "spanId",
            "flags",
        ],
    );
    time(record, "timeUnixNano");
    time(record, "observedTimeUnixNano");
    keys(&record["body"], &["stringValue"]);
    let during = record
        .get("traceId")
        .map(|_| (id(record, "traceId", 32), id(record, "spanId", 16)));
    assert_eq!(record.get("flags").is_some(), during.is_some(), "{record}");
    Record {
        severity: (
            record["severityNumber"]
                .as_u64()
                .expect("an enumeration is a number"),
            text(record, "severityText"),
        ),
        body: text(&record["body"], "stringValue"),
        attributes: attributes(&record["attributes"]),
        during,
    }
}

/// It has no others.
fn keys(value: &Value, known: &[&str]) {
    for key in value.as_object().expect("an object").keys() {
        assert!(known.contains(&key.as_str()), "{key} in {value}");
    }
}

fn text(value: &Value, key: &str) -> String {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("no text {key} in {value}"))
        .to_owned()
}

/// Hexadecimal digits, so many and not all nought.
fn id(value: &Value, key: &str, digits: usize) -> String {
    let id = text(value, key);
    let is_hex = id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    assert!(
        id.len() == digits && is_hex && id.bytes().any(|digit| digit != b'0'),
        "{id}"
    );
    id
}

/// Nanoseconds since 1970, as text; of this century.
fn time(value: &Value, key: &str) -> u64 {
    let time: u64 = text(value, key).parse().expect("a number as text");
    assert!(
        (1_700_000_000_000_000_000..4_100_000_000_000_000_000).contains(&time),
        "{time}"
    );
    time
}

fn attributes(list: &Value) -> BTreeMap<String, String> {
    let list = list.as_array().expect("a list of attributes");
    let mut read = BTreeMap::new();
    for one in list {
        keys(one, &["key", "value"]);
        keys(&one["value"], &["stringValue", "intValue"]);
        let value = match one["value"].get("intValue") {
            Some(number) => {
                let number = number.as_str().expect("a number of 64 bits is text");
                assert!(number.parse::<i64>().is_ok(), "{number}");
                number.to_owned()
            }
            None => text(&one["value"], "stringValue"),
        };
        let before = read.insert(text(one, "key"), value);
        assert_eq!(before, None, "twice: {one}");
    }
    read
}
