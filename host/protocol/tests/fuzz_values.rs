//! A short, bounded fuzz of everything that reads values from outside.
//!
//! What is checked is that nothing panics, that the check and the decoder
//! agree, and that what was accepted can be written again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bolero::check;
use odeon_protocol::test_util::arb_typed;
use odeon_protocol::{Case, Field, FunctionType, Type, ValueLimits, cbor, json, wave, wire};
use proptest::{
    arbitrary::any,
    collection::vec,
    prop_assert, prop_assert_eq,
    test_runner::{Config, TestRunner},
};
use serde_json::Value as Json;

const ITERATIONS: usize = 2000;

fn limits() -> ValueLimits {
    ValueLimits {
        max_nodes: 10_000,
        ..ValueLimits::default()
    }
}

fn names(names: &[&str]) -> Arc<[Arc<str>]> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

/// One type of every kind, and some that are hostile.
fn types() -> &'static [Type] {
    static TYPES: OnceLock<Vec<Type>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let field = |name: &str, ty| Field {
            name: name.into(),
            ty,
        };
        let record: Arc<[Field]> = Arc::new([
            field("a", Type::Option(Arc::new(Type::Option(Arc::new(Type::U8))))),
            field("b", Type::List(Arc::new(Type::String))),
            field("c", Type::Char),
        ]);
        let shape: Arc<[Case]> = Arc::new([
            Case {
                name: "x".into(),
                ty: None,
            },
            Case {
                name: "some".into(),
                ty: Some(Type::Record(record.clone())),
            },
        ]);
        let result = |ty: Type| Type::Result(Some(Arc::new(ty)), Some(Arc::new(Type::String)));
        vec![
            Type::Bool,
            Type::U64,
            Type::F32,
            Type::Char,
            Type::String,
            Type::List(Arc::new(Type::U8)),
            Type::List(Arc::new(Type::F64)),
            Type::List(Arc::new(Type::Record(record.clone()))),
            Type::List(Arc::new(Type::Tuple(Arc::new([])))),
            Type::FixedList(Arc::new(Type::S16), 3),
            Type::FixedList(
                Arc::new(Type::FixedList(Arc::new(Type::Record(Arc::new([]))), u32::MAX)),
                u32::MAX,
            ),
            Type::Map(Arc::new(Type::String), Arc::new(Type::List(Arc::new(Type::U16)))),
            Type::Record(record),
            Type::List(Arc::new(Type::Variant(shape))),
            Type::Enum(names(&["red", "true"])),
            Type::Flags(names(&["a", "b", "c", "d", "e", "f", "g", "h", "i"])),
            result(Type::List(Arc::new(Type::Option(Arc::new(Type::S32))))),
            Type::List(Arc::new(Type::Handle("own<x>".into()))),
        ]
    })
}

/// The type that the first byte chooses, and the other bytes.
fn choose(input: &[u8]) -> Option<(&'static Type, &[u8])> {
    let (first, rest) = input.split_first()?;
    Some((&types()[usize::from(*first) % types().len()], rest))
}

#[test]
fn wire_bytes() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let Some((ty, bytes)) = choose(input) else { return };
        let decoded = wire::decode(ty, bytes, &limits());
        assert_eq!(
            wire::validate(ty, bytes, &limits()).err(),
            decoded.as_ref().err().cloned()
        );
        if let Ok(value) = decoded {
            let again = wire::encode(ty, &value, &limits()).unwrap();
            assert_eq!(wire::decode(ty, &again, &limits()), Ok(value));
        }
    });
}

#[test]
fn cbor_bytes() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let Some((ty, bytes)) = choose(input) else { return };
        if let Ok(value) = cbor::decode(ty, bytes, &limits()) {
            let again = cbor::encode(ty, &value, &limits()).unwrap();
            assert_eq!(cbor::decode(ty, &again, &limits()), Ok(value));
        }
        let params = [Field {
            name: "a".into(),
            ty: ty.clone(),
        }]
        .into();
        let function = FunctionType {
            params,
            result: None,
            is_async: false,
        };
        let _ignored = cbor::decode_args(&function, bytes, &limits());
    });
}

#[test]
fn json_documents() {
    let (accepted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    check!().with_iterations(4 * ITERATIONS).for_each(|input: &[u8]| {
        let Some((ty, bytes)) = choose(input) else { return };
        let built = document(&mut bytes.iter().copied(), 5);
        let read = serde_json::from_slice(bytes).ok();
        for document in [Some(built), read].into_iter().flatten() {
            match json::decode(ty, &document, &limits()) {
                Ok(value) => {
                    accepted.fetch_add(1, Relaxed);
                    let again = json::encode(ty, &value, &limits()).unwrap();
                    assert_eq!(json::decode(ty, &again, &limits()), Ok(value));
                }
                Err(_) => {
                    refused.fetch_add(1, Relaxed);
                }
            }
        }
    });
    let seen = (accepted.into_inner(), refused.into_inner());
    assert!(seen.0 > 0 && seen.1 > 0, "expected some of both: {seen:?}");
}

/// What is nearly right: a document that was written, with up to two of its
/// places changed.
#[test]
fn almost_valid_json_documents() {
    let (accepted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut runner = TestRunner::new(Config {
        cases: ITERATIONS as u32,
        failure_persistence: None,
        ..Config::default()
    });
    let cases = (arb_typed(), vec((any::<u16>(), vec(any::<u8>(), 1..6)), 1..3));
    let outcome = runner.run(&cases, |((ty, value), changes)| {
        let mut document = json::encode(&ty, &value, &limits()).unwrap();
        for (at, bytes) in changes {
            let most = places(&document);
            change(&mut document, usize::from(at) % most, &bytes);
        }
        match json::decode(&ty, &document, &limits()) {
            Ok(value) => {
                accepted.fetch_add(1, Relaxed);
                let again = json::encode(&ty, &value, &limits()).unwrap();
                prop_assert_eq!(json::decode(&ty, &again, &limits()), Ok(value));
            }
            Err(error) => {
                refused.fetch_add(1, Relaxed);
                prop_assert!(!error.expected.is_empty() && !error.found.is_empty());
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let seen = (accepted.into_inner(), refused.into_inner());
    assert!(seen.0 > 0 && seen.1 > 0, "expected some of both: {seen:?}");
}

/// Words that the types have, and some that they do not.
const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "x",
    "some",
    "red",
    "true",
    "d",
    "i",
    "ok",
    "err",
    "AQID",
    "AQ==",
    "NaN",
    "-Infinity",
    "é",
    "18446744073709551615",
    "none",
    "",
    "A",
];

/// A document that these bytes decide about, with at most so many levels.
fn document(bytes: &mut impl Iterator<Item = u8>, levels: usize) -> Json {
    let (kind, detail) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
    let word = WORDS[usize::from(detail) % WORDS.len()];
    match kind % 9 {
        0 => Json::Null,
        1 => (detail % 2 == 0).into(),
        2 => detail.into(),
        3 => (-i64::from(detail) << (detail % 56)).into(),
        4 => (f64::from(detail) / 7.0).into(),
        5 | 6 => word.into(),
        _ if levels == 0 => Json::Null,
        7 => (0..detail % 4).map(|_| document(bytes, levels - 1)).collect(),
        _ => (0..detail % 4)
            .map(|index| {
                let name = WORDS[usize::from(detail / 4 + index) % WORDS.len()];
                (name.to_owned(), document(bytes, levels - 1))
            })
            .collect(),
    }
}

/// How many documents there are in a document, itself among them.
fn places(document: &Json) -> usize {
    1 + match document {
        Json::Array(items) => items.iter().map(places).sum(),
        Json::Object(members) => members.values().map(places).sum::<usize>(),
        _ => 0,
    }
}

/// Puts another document in this place, counted from the outermost.
fn change(document: &mut Json, at: usize, bytes: &[u8]) {
    if at == 0 {
        *document = self::document(&mut bytes.iter().copied(), 2);
        return;
    }
    let below: Vec<&mut Json> = match document {
        Json::Array(items) => items.iter_mut().collect(),
        Json::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    let mut left = at - 1;
    for inner in below {
        let here = places(inner);
        if left < here {
            return change(inner, left, bytes);
        }
        left -= here;
    }
}

/// Characters that WAVE's grammar is made of, so that more than the lexer is
/// reached.
const ALPHABET: &[&str] = &[
    "[", "]", "(", ")", "{", "}", ":", ",", " ", "\n", "\"", "'", "\\", "\"\"\"", "//", "%", "-", "1", "0.5",
    "e9", "inf", "nan", "true", "some", "none", "ok", "err", "a", "b", "c", "x", "red", "é", "\\u{301}",
    "\\n", "\r",
];

#[test]
fn wave_text() {
    check!().with_iterations(4 * ITERATIONS).for_each(|input: &[u8]| {
        let Some((ty, bytes)) = choose(input) else { return };
        let spelled: String = bytes
            .iter()
            .map(|b| ALPHABET[usize::from(*b) % ALPHABET.len()])
            .collect();
        for text in [spelled.as_str(), &String::from_utf8_lossy(bytes)] {
            match wave::parse_value(ty, text, &limits()) {
                Ok(value) => {
                    let again = wave::print(ty, &value, &limits()).unwrap();
                    assert_eq!(wave::parse_value(ty, &again, &limits()), Ok(value));
                }
                Err(error) => assert!(
                    text.get(error.span.clone()).is_some(),
                    "{:?} of {text:?}",
                    error.span
                ),
            }
            let params = [Field {
                name: "a".into(),
                ty: ty.clone(),
            }]
            .into();
            let function = FunctionType {
                params,
                result: None,
                is_async: false,
            };
            match wave::parse_invocation(text).and_then(|call| call.parse_args(&function, &limits())) {
                Ok(_) => {}
                Err(error) => assert!(
                    text.get(error.span.clone()).is_some(),
                    "{:?} of {text:?}",
                    error.span
                ),
            }
        }
    });
}
