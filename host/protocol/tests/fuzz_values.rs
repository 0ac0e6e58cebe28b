//! A short, bounded fuzz of everything that reads values from outside.
//!
//! What is checked is that nothing panics, that the check and the decoder
//! agree, and that what was accepted can be written again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, OnceLock};

use bolero::check;
use odeon_protocol::{Case, Field, FunctionType, Type, ValueLimits, cbor, json, wave, wire};

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
fn json_text() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let Some((ty, bytes)) = choose(input) else { return };
        let Ok(document) = serde_json::from_slice(bytes) else {
            return;
        };
        if let Ok(value) = json::decode(ty, &document, &limits()) {
            let again = json::encode(ty, &value, &limits()).unwrap();
            assert_eq!(json::decode(ty, &again, &limits()), Ok(value));
        }
    });
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
