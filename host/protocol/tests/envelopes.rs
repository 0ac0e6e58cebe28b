//! Envelopes: what is written is read back, and nothing else is taken.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

use minicbor::Encoder;
use odeon_protocol::{
    Code, ENVELOPE_VERSION, Envelope, EnvelopeError, Fault, Fingerprint, FrameDecoder, FrameError,
    Generation, Hello, MAX_BODY, MAX_FAULT, MAX_HOPS, MAX_IDEMPOTENCY_KEY, MAX_PRINCIPAL,
    MAX_PROGRESS_DETAILS, MAX_REPLY_TO, MAX_SOFTWARE, MAX_TARGET, MAX_TRACEPARENT, MAX_UNKNOWN_DEPTH,
    MAX_USER_DATA, MessageKind, ProgressReport, Serial, fault_text, max_frame,
};
use proptest::prelude::*;

const ID: Serial = Serial::from_bytes([9; 16]);

fn bytes(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    envelope.encode(&mut out).unwrap();
    out
}

fn call(target: &str) -> Envelope<'_> {
    Envelope {
        target: Some(target),
        ..Envelope::new(MessageKind::Call, ID)
    }
}

/// A map of these entries, whose values are written by hand.
fn map(entries: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&mut out).map(entries.len() as u64).unwrap();
    for (key, value) in entries {
        Encoder::new(&mut out).u64(*key).unwrap();
        out.extend_from_slice(value);
    }
    out
}

fn cbor(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Encoder::new(&mut out));
    out
}

fn id() -> Vec<u8> {
    cbor(|e| drop(e.bytes(&[9; 16])))
}

/// A started envelope with these entries behind its own.
fn with(extra: &[(u64, &[u8])]) -> Vec<u8> {
    let id = id();
    let mut entries: Vec<(u64, &[u8])> = vec![(0, &[1]), (1, &id), (2, &[3])];
    entries.extend_from_slice(extra);
    map(&entries)
}

fn expected(error: EnvelopeError) -> &'static str {
    match error {
        EnvelopeError::Malformed { expected, .. } => expected,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_bytes_of_an_envelope_are_these() {
    let envelope = Envelope {
        body: b"hi",
        ..call("c/f")
    };
    let mut expected = vec![0xa5, 0x00, 0x01, 0x01, 0x50];
    expected.extend_from_slice(&[9; 16]);
    expected.extend_from_slice(&[0x02, 0x01, 0x03, 0x63, b'c', b'/', b'f', 0x0d, 0x42, b'h', b'i']);
    assert_eq!(bytes(&envelope), expected);
}

#[test]
fn entries_may_come_in_any_order_behind_the_version() {
    let id = id();
    let shuffled = map(&[(0, &[1]), (2, &[3]), (7, &[4]), (1, &id)]);
    let read = Envelope::decode(&shuffled).unwrap();
    assert_eq!(
        read,
        Envelope {
            hops: 4,
            ..Envelope::new(MessageKind::Started, ID)
        }
    );
    let late = map(&[(1, &id), (0, &[1]), (2, &[3])]);
    assert!(expected(Envelope::decode(&late).unwrap_err()).contains("first"));
}

#[test]
fn another_version_is_refused_with_both_versions() {
    for found in [0_u64, 2, 77] {
        let value = cbor(|e| drop(e.u64(found)));
        // What a later version means by its other keys is not looked at.
        let error = Envelope::decode(&map(&[(0, &value), (1, &[0xf6])])).unwrap_err();
        assert_eq!(
            error,
            EnvelopeError::Version {
                expected: ENVELOPE_VERSION,
                found
            }
        );
        let message = error.to_string();
        assert!(
            message.contains("version 1") && message.contains(&found.to_string()),
            "{message}"
        );
    }
}

#[test]
fn unknown_keys_are_passed_over_whatever_they_hold() {
    let values = [
        cbor(|e| drop(e.str("later"))),
        cbor(|e| drop(e.f64(0.5))),
        cbor(|e| drop(e.tag(minicbor::data::Tag::new(64)).and_then(|e| e.bytes(&[1, 2])))),
        cbor(|e| {
            drop(
                e.map(1)
                    .and_then(|e| e.i64(-5))
                    .and_then(|e| e.array(2))
                    .and_then(|e| e.null())
                    .and_then(|e| e.bool(true)),
            )
        }),
    ];
    for value in &values {
        let read = Envelope::decode(&with(&[(21, value), (63, value)])).map(|e| e.kind);
        assert_eq!(read, Ok(MessageKind::Started));
    }
    assert_eq!(
        Envelope::decode(&with(&[(64, &[0])])),
        Err(EnvelopeError::Key { found: 64 })
    );
}

/// Enforced by `skip` in `envelope::decode` (`MAX_UNKNOWN_DEPTH`).
#[test]
fn an_unknown_value_is_nested_up_to_its_limit() {
    let nested = |levels: usize| {
        let mut value = vec![0x81; levels - 1];
        value.push(0);
        value
    };
    assert!(Envelope::decode(&with(&[(40, &nested(MAX_UNKNOWN_DEPTH))])).is_ok());
    assert!(Envelope::decode(&with(&[(40, &nested(MAX_UNKNOWN_DEPTH + 1))])).is_err());
    // A length that lies costs nothing.
    for lie in [
        &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255][..],
        &[0xbb, 255, 255, 255, 255, 255, 255, 255, 255],
    ] {
        assert!(Envelope::decode(&with(&[(40, lie)])).is_err());
    }
    for indefinite in [&[0x9f, 0xff][..], &[0xbf, 0xff], &[0x5f, 0xff], &[0x7f, 0xff]] {
        assert!(Envelope::decode(&with(&[(40, indefinite)])).is_err());
    }
}

#[test]
fn the_same_key_twice_is_refused_known_or_not() {
    for key in [0, 1, 7, 40] {
        let id = id();
        let value: &[u8] = if key == 1 { &id } else { &[1] };
        let error = Envelope::decode(&with(&[(key, value), (key, value)])).unwrap_err();
        assert_eq!(error, EnvelopeError::Duplicate { key });
    }
}

#[test]
fn bytes_behind_the_end_and_an_early_end_are_refused() {
    let whole = bytes(&Envelope {
        body: b"hi",
        ..call("c/f")
    });
    for length in 0..whole.len() {
        assert!(Envelope::decode(&whole[..length]).is_err(), "cut at {length}");
    }
    let longer = [&whole[..], &[0, 0]].concat();
    assert_eq!(
        Envelope::decode(&longer),
        Err(EnvelopeError::Trailing { length: 2 })
    );
    assert!(
        Envelope::decode(&[0xbf, 0xff]).is_err(),
        "a map of unknown length"
    );
}

#[test]
fn every_known_key_has_one_type() {
    let text = cbor(|e| drop(e.str("1")));
    let short = cbor(|e| drop(e.bytes(&[1; 15])));
    let utf8 = [0x61, 0xff];
    let negative = [0x20];
    for (key, value) in [
        (3, &[1][..]),
        (3, &utf8),
        (4, &short),
        (5, &text),
        (6, &negative),
        (7, &text),
        (8, &[1]),
        (9, &[1]),
        (10, &[1]),
        (11, &[1]),
        (12, &[1]),
        (13, &text),
        (14, &text),
        (15, &text),
        (16, &[1]),
        (17, &text),
        (17, &[0x82, 1, 2]),
        (18, &[1]),
        (19, &[1]),
        (20, &[1]),
    ] {
        let error = Envelope::decode(&with(&[(key, value)])).unwrap_err();
        assert!(
            matches!(error, EnvelopeError::Malformed { .. }),
            "key {key}: {error}"
        );
    }
    let id = id();
    assert_eq!(
        Envelope::decode(&map(&[(0, &[1]), (1, &id), (2, &[9])])),
        Err(EnvelopeError::Kind { found: 9 })
    );
    assert!(expected(Envelope::decode(&map(&[(0, &[1]), (2, &[3])])).unwrap_err()).contains("id"));
    assert!(expected(Envelope::decode(&map(&[(0, &[1]), (1, &id)])).unwrap_err()).contains("kind"));
}

#[test]
fn each_kind_needs_what_it_is_for() {
    for kind in MessageKind::ALL {
        let bare = Envelope::new(*kind, ID);
        let written = bare.encode(&mut Vec::new());
        let read = Envelope::decode(&map(&[(0, &[1]), (1, &id()), (2, &[kind.number()])])).map(drop);
        let field = match kind {
            MessageKind::Call => Some("target"),
            MessageKind::Progress => Some("progress"),
            MessageKind::Hello | MessageKind::Admin | MessageKind::AdminReply => Some("body"),
            _ => None,
        };
        let expected = field.map_or(Ok(()), |field| Err(EnvelopeError::Missing { kind: *kind, field }));
        assert_eq!((written, read), (expected.clone(), expected));
    }
}

#[test]
fn every_field_is_taken_at_its_limit_and_refused_one_byte_later() {
    fn check(field: &str, max: usize, set: impl for<'a> Fn(&mut Envelope<'a>, &'a str)) {
        for length in [max, max + 1] {
            // Digits are JSON too, which user data must be.
            let text = "1".repeat(length);
            let mut envelope = call("c/f");
            set(&mut envelope, &text);
            let mut out = Vec::new();
            match envelope.encode(&mut out) {
                Ok(()) => {
                    assert_eq!(length, max, "{field}");
                    assert_eq!(Envelope::decode(&out).unwrap(), envelope, "{field}");
                }
                Err(error) => {
                    let EnvelopeError::TooLong {
                        length: found,
                        max: limit,
                        ..
                    } = error
                    else {
                        panic!("{field}: {error}")
                    };
                    assert_eq!((found, limit), (max + 1, max), "{field}");
                    assert!(out.is_empty(), "{field}");
                    assert_eq!(Fault::from(error).code, Code::MessageTooLarge);
                }
            }
        }
    }
    check("target", MAX_TARGET, |e, text| e.target = Some(text));
    check("principal", MAX_PRINCIPAL, |e, text| e.principal = Some(text));
    check("idempotency-key", MAX_IDEMPOTENCY_KEY, |e, text| {
        e.idempotency_key = Some(text)
    });
    check("traceparent", MAX_TRACEPARENT, |e, text| {
        e.traceparent = Some(text)
    });
    check("reply-to", MAX_REPLY_TO, |e, text| e.reply_to = Some(text));
    check("user-data", MAX_USER_DATA, |e, text| e.user_data = Some(text));
    check("fault", MAX_FAULT, |e, text| e.fault = Some(text));
    check("body", MAX_BODY, |e, text| e.body = text.as_bytes());
    check("progress", MAX_PROGRESS_DETAILS, |e, details| {
        e.progress = Some(ProgressReport {
            completed: 1,
            total: None,
            details,
        });
    });
}

#[test]
fn a_peer_that_does_not_hold_to_the_limits_is_refused() {
    let long = |text: usize| cbor(|e| drop(e.str(&"1".repeat(text))));
    for (key, max) in [
        (3, MAX_TARGET),
        (8, MAX_PRINCIPAL),
        (9, MAX_IDEMPOTENCY_KEY),
        (10, MAX_TRACEPARENT),
        (11, MAX_REPLY_TO),
        (12, MAX_USER_DATA),
        (16, MAX_FAULT),
    ] {
        assert!(Envelope::decode(&with(&[(key, &long(max))])).is_ok(), "key {key}");
        let error = Envelope::decode(&with(&[(key, &long(max + 1))])).unwrap_err();
        assert!(
            matches!(error, EnvelopeError::TooLong { .. }),
            "key {key}: {error}"
        );
    }
    assert!(Envelope::decode(&with(&[(7, &[0x18, MAX_HOPS])])).is_ok());
    assert_eq!(
        Envelope::decode(&with(&[(7, &[0x18, MAX_HOPS + 1])])),
        Err(EnvelopeError::TooManyHops { hops: MAX_HOPS + 1 })
    );
}

#[test]
fn user_data_is_carried_as_it_is_and_judged_by_whoever_accepts() {
    let mut call = Envelope::new(MessageKind::Call, Serial::new());
    call.target = Some("calc/add");
    call.user_data = Some("{not json");
    let mut bytes = Vec::new();
    call.encode(&mut bytes).unwrap();
    assert_eq!(Envelope::decode(&bytes), Ok(call));
}

#[test]
fn the_fullest_envelope_fits_the_frame_that_was_made_for_it() {
    let longest = |length| "1".repeat(length);
    let (target, principal, key) = (
        longest(MAX_TARGET),
        longest(MAX_PRINCIPAL),
        longest(MAX_IDEMPOTENCY_KEY),
    );
    let (trace, reply_to, data) = (
        longest(MAX_TRACEPARENT),
        longest(MAX_REPLY_TO),
        longest(MAX_USER_DATA),
    );
    let (fault, details, body) = (longest(MAX_FAULT), longest(MAX_PROGRESS_DETAILS), vec![7; 4096]);
    let envelope = Envelope {
        id: ID,
        kind: MessageKind::Call,
        target: Some(&target),
        fingerprint: Some(Fingerprint::from_bytes([255; 16])),
        deadline: Some(u64::MAX),
        ttl_ms: Some(u64::MAX),
        hops: MAX_HOPS,
        principal: Some(&principal),
        idempotency_key: Some(&key),
        traceparent: Some(&trace),
        reply_to: Some(&reply_to),
        user_data: Some(&data),
        body: &body,
        generation: Some(Generation(u64::MAX)),
        elapsed_us: Some(u64::MAX),
        fault: Some(&fault),
        progress: Some(ProgressReport {
            completed: u64::MAX,
            total: Some(u64::MAX),
            details: &details,
        }),
        detached: true,
        statuses: true,
        more: true,
    };
    let mut out = Vec::new();
    envelope.encode_frame(&mut out, max_frame(4096)).unwrap();
    let mut decoder = FrameDecoder::new(max_frame(4096));
    let mut input = &out[..];
    assert_eq!(
        Envelope::decode(decoder.next_frame(&mut input).unwrap().unwrap()).unwrap(),
        envelope
    );

    let mut none = Vec::new();
    let error = envelope.encode_frame(&mut none, 1000).unwrap_err();
    assert!(
        matches!(error, EnvelopeError::Frame(FrameError::TooLong { max: 1000, .. })),
        "{error}"
    );
    assert!(none.is_empty());
    let unsendable = Envelope::new(MessageKind::Call, ID).encode_frame(&mut none, 1000);
    assert!(
        matches!(unsendable, Err(EnvelopeError::Missing { .. })),
        "the cause, not the empty frame"
    );
}

#[test]
fn a_fault_travels_as_its_json_and_always_fits() {
    let fault = Fault::new(Code::Trapped, "unreachable").with_backtrace(vec!["add".into()]);
    let text = fault_text(&fault).unwrap();
    let envelope = Envelope {
        fault: Some(&text),
        ..Envelope::new(MessageKind::Reply, ID)
    };
    let written = bytes(&envelope);
    assert_eq!(Envelope::decode(&written).unwrap().read_fault(), Ok(Some(fault)));

    let huge = Fault::new(Code::Trapped, "\u{1}".repeat(MAX_FAULT))
        .with_details(serde_json::json!({ "all": "x".repeat(MAX_FAULT) }))
        .with_backtrace(vec!["\u{1}".repeat(MAX_FAULT); 100]);
    let text = fault_text(&huge).unwrap();
    assert!(text.len() <= MAX_FAULT, "{}", text.len());
    let cut: Fault = serde_json::from_str(&text).unwrap();
    assert_eq!(cut.code, Code::Trapped);
    assert!(cut.message.starts_with('\u{1}') && cut.details == Some(serde_json::json!({ "cut": true })));

    let none = Envelope {
        fault: Some("{}"),
        ..Envelope::new(MessageKind::Reply, ID)
    };
    assert_eq!(none.read_fault(), Err(EnvelopeError::NoFault));
}

#[test]
fn both_sides_greet_and_agree_on_a_version() {
    let hello = Hello::new("odeon 0.1.0");
    let body = hello.encode().unwrap();
    let envelope = Envelope {
        body: &body,
        ..Envelope::new(MessageKind::Hello, ID)
    };
    let written = bytes(&envelope);
    let read = Hello::decode(Envelope::decode(&written).unwrap().body).unwrap();
    assert_eq!((read, read.agreed()), (hello, ENVELOPE_VERSION));
    assert_eq!(
        Hello {
            protocol: 7,
            software: "later"
        }
        .agreed(),
        ENVELOPE_VERSION
    );

    let later = map(&[(0, &[7]), (1, &cbor(|e| drop(e.str("later")))), (2, &[0x80])]);
    assert_eq!(
        Hello::decode(&later).unwrap(),
        Hello {
            protocol: 7,
            software: "later"
        }
    );
    let zero = map(&[(0, &[0]), (1, &[0x60])]);
    assert!(matches!(
        Hello::decode(&zero),
        Err(EnvelopeError::Version { found: 0, .. })
    ));
    for bad in [
        &b""[..],
        &[0xa0],
        &[0xa1, 0, 1],
        &[0xa1, 1, 0x60],
        &[0xa3, 0, 1, 1, 0x60, 1, 0x60],
    ] {
        assert!(Hello::decode(bad).is_err(), "{bad:?}");
    }
    let name = "o".repeat(MAX_SOFTWARE);
    assert!(Hello::decode(&Hello::new(&name).encode().unwrap()).is_ok());
    let name = "o".repeat(MAX_SOFTWARE + 1);
    assert!(Hello::new(&name).encode().is_err());
    assert!(Hello::decode(&map(&[(0, &[1]), (1, &cbor(|e| drop(e.str(&name))))])).is_err());
}

fn text(max: usize) -> impl Strategy<Value = Option<String>> {
    prop::option::of(
        prop::collection::vec(any::<char>(), 0..max.min(40)).prop_map(|c| c.into_iter().collect()),
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        (kind, id, hops) in (0..MessageKind::ALL.len(), any::<[u8; 16]>(), 0..=MAX_HOPS),
        (target, principal, key, trace, reply_to, fault) in
            (text(40), text(40), text(40), text(20), text(40), text(40)),
        data in prop::option::of(any::<i64>().prop_map(|n| format!("{{\"n\":[{n}]}}"))),
        (deadline, ttl_ms, generation, elapsed_us) in any::<(Option<u64>, Option<u64>, Option<u64>, Option<u64>)>(),
        (fingerprint, body) in any::<(Option<[u8; 16]>, Vec<u8>)>(),
        progress in prop::option::of((any::<(u64, Option<u64>)>(), "\\PC{0,20}")),
        (detached, statuses, more) in any::<(bool, bool, bool)>(),
    ) {
        let kind = MessageKind::ALL[kind];
        let envelope = Envelope {
            id: Serial::from_bytes(id),
            kind,
            target: target.as_deref().or((kind == MessageKind::Call).then_some("c/f")),
            fingerprint: fingerprint.map(Fingerprint::from_bytes),
            deadline,
            ttl_ms,
            hops,
            principal: principal.as_deref(),
            idempotency_key: key.as_deref(),
            traceparent: trace.as_deref(),
            reply_to: reply_to.as_deref(),
            user_data: data.as_deref(),
            body: if body.is_empty() { b"b" } else { &body },
            generation: generation.map(Generation),
            elapsed_us,
            fault: fault.as_deref(),
            progress: progress
                .as_ref()
                .map(|((completed, total), details)| ProgressReport { completed: *completed, total: *total, details })
                .or((kind == MessageKind::Progress).then_some(ProgressReport::default())),
            detached,
            statuses,
            more,
        };
        let written = bytes(&envelope);
        prop_assert_eq!(Envelope::decode(&written).unwrap(), envelope);
        // Any one byte changed gives another envelope or none, never a panic.
        for at in 0..written.len() {
            let mut changed = written.clone();
            changed[at] ^= 0x41;
            if let Ok(read) = Envelope::decode(&changed) {
                prop_assert_ne!(read, envelope);
            }
        }
    }
}
