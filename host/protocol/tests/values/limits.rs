//! Every limit at its edge: reached is good, passed is refused.

use std::sync::Arc;

use odeon_protocol::{Problem, Type, Value, ValueLimits, cbor, json, wave, wire};
use serde_json::json;

use crate::{function, limits, list, option, record, tuple};

fn nested(levels: usize) -> (Type, Value) {
    (1..levels).fold((Type::U16, Value::U16(1)), |(ty, value), _| {
        (list(ty), Value::List(vec![value]))
    })
}

/// Enforced by `Budget::descend`.
#[test]
fn depth() {
    for levels in [64, 65] {
        let (ty, value) = nested(levels);
        let roomy = ValueLimits {
            max_depth: 65,
            ..limits()
        };
        let bytes = wire::encode(&ty, &value, &roomy).unwrap();
        let cbor = cbor::encode(&ty, &value, &roomy).unwrap();
        let json = json::encode(&ty, &value, &roomy).unwrap();
        let wave = wave::print(&ty, &value, &roomy).unwrap();
        let fits = levels == 64;
        assert_eq!(wire::validate(&ty, &bytes, &limits()).is_ok(), fits);
        assert_eq!(wire::decode(&ty, &bytes, &limits()).is_ok(), fits);
        assert_eq!(wire::encode(&ty, &value, &limits()).is_ok(), fits);
        assert_eq!(cbor::decode(&ty, &cbor, &limits()).is_ok(), fits);
        assert_eq!(cbor::encode(&ty, &value, &limits()).is_ok(), fits);
        assert_eq!(json::decode(&ty, &json, &limits()).is_ok(), fits);
        assert_eq!(json::encode(&ty, &value, &limits()).is_ok(), fits);
        assert_eq!(wave::parse_value(&ty, &wave, &limits()).is_ok(), fits);
        assert_eq!(wave::print(&ty, &value, &limits()).is_ok(), fits);
    }
}

/// Enforced by `Budget::descend`, where no value is looked at one by one.
#[test]
fn depth_of_types_that_need_only_arithmetic() {
    let ty = tuple([tuple([Type::U8]), Type::U8]);
    let two = ValueLimits {
        max_depth: 2,
        ..limits()
    };
    let three = ValueLimits {
        max_depth: 3,
        ..limits()
    };
    let f = function([("a", ty.clone())], None);
    for (limits, fits) in [(two, false), (three, true)] {
        assert_eq!(
            wire::Validator::new(&f).check_args(&[1, 2], &limits).is_ok(),
            fits
        );
        assert_eq!(wire::validate(&ty, &[1, 2], &limits).is_ok(), fits);
    }
}

/// Enforced by the comparisons with `max_bytes` in `wire` and `cbor`.
#[test]
fn bytes() {
    let ty = list(Type::U8);
    let value = Value::Bytes(vec![7; 12]);
    for (max, fits) in [(16, true), (15, false)] {
        let tight = ValueLimits {
            max_bytes: max,
            ..limits()
        };
        assert_eq!(wire::encode(&ty, &value, &tight).is_ok(), fits);
        let bytes = wire::encode(&ty, &value, &limits()).unwrap();
        assert_eq!(wire::decode(&ty, &bytes, &tight).is_ok(), fits);
        let error = wire::validate(&ty, &bytes, &tight);
        assert_eq!(
            error.map_err(|e| e.problem).err(),
            (!fits).then_some(Problem::TooLong { limit: 15 })
        );
    }
    let cbor = cbor::encode(&ty, &value, &limits()).unwrap();
    for (max, fits) in [(cbor.len(), true), (cbor.len() - 1, false)] {
        let tight = ValueLimits {
            max_bytes: max,
            ..limits()
        };
        assert_eq!(cbor::encode(&ty, &value, &tight).is_ok(), fits);
        assert_eq!(cbor::decode(&ty, &cbor, &tight).is_ok(), fits);
    }
}

/// Enforced by the comparisons with `max_text` in `wave`.
#[test]
fn text() {
    let ty = list(Type::U8);
    for (max, fits) in [(6, true), (5, false)] {
        let tight = ValueLimits {
            max_text: max,
            ..limits()
        };
        assert_eq!(wave::parse_value(&ty, "[1, 2]", &tight).is_ok(), fits);
        let f = function([("a", Type::U8), ("b", Type::U8)], None);
        assert_eq!(wave::parse_args(&f, " 1, 2 ", &tight).is_ok(), fits);
    }
}

/// Elements without width cost no bytes; their number is what stops them.
/// Enforced by `Budget::afford`.
#[test]
fn four_bytes_cannot_stand_for_four_thousand_million_values() {
    let claim = u32::MAX.to_le_bytes();
    for element in [
        tuple([]),
        record([]),
        Type::Flags(Arc::new([])),
        Type::FixedList(Arc::new(Type::U8), 0),
    ] {
        let ty = list(element);
        for error in [
            wire::validate(&ty, &claim, &limits()).unwrap_err(),
            wire::decode(
                &ty,
                &claim,
                &ValueLimits {
                    max_nodes: 1000,
                    ..limits()
                },
            )
            .unwrap_err(),
        ] {
            assert!(matches!(error.problem, Problem::TooManyNodes { .. }), "{error}");
        }
    }
    let huge = Type::FixedList(Arc::new(Type::FixedList(Arc::new(tuple([])), u32::MAX)), u32::MAX);
    assert!(wire::validate(&huge, &[], &limits()).is_err());
    let huge = Type::FixedList(Arc::new(Type::FixedList(Arc::new(Type::U64), u32::MAX)), u32::MAX);
    assert!(wire::validate(&huge, &[], &limits()).is_err());
}

/// Enforced by `Budget::charge`.
#[test]
fn nodes() {
    // A list of three strings is four values; numbers are free.
    let strings = (
        list(Type::String),
        Value::List(vec![Value::String(String::new()); 3]),
    );
    let numbers = (list(Type::U16), Value::List(vec![Value::U16(1); 300]));
    for ((ty, value), cost) in [(strings, 4), (numbers, 1)] {
        let bytes = wire::encode(&ty, &value, &limits()).unwrap();
        let json = json::encode(&ty, &value, &limits()).unwrap();
        let cbor = cbor::encode(&ty, &value, &limits()).unwrap();
        let wave = wave::print(&ty, &value, &limits()).unwrap();
        for (max, fits) in [(cost, true), (cost - 1, false)] {
            let tight = ValueLimits {
                max_nodes: max,
                ..limits()
            };
            assert_eq!(wire::validate(&ty, &bytes, &tight).is_ok(), fits);
            assert_eq!(wire::decode(&ty, &bytes, &tight).is_ok(), fits);
            assert_eq!(wire::encode(&ty, &value, &tight).is_ok(), fits);
            assert_eq!(json::decode(&ty, &json, &tight).is_ok(), fits);
            assert_eq!(json::encode(&ty, &value, &tight).is_ok(), fits);
            assert_eq!(cbor::decode(&ty, &cbor, &tight).is_ok(), fits);
            assert_eq!(cbor::encode(&ty, &value, &tight).is_ok(), fits);
            assert_eq!(wave::parse_value(&ty, &wave, &tight).is_ok(), fits);
            assert_eq!(wave::print(&ty, &value, &tight).is_ok(), fits);
        }
    }
}

/// Fields that may be left out cost when they are filled in.
/// Enforced by `Budget::charge`.
#[test]
fn absent_options_are_not_free() {
    let wide: Vec<_> = (0..50)
        .map(|n| crate::field(&format!("f{n}"), option(Type::U8)))
        .collect();
    let ty = list(Type::Record(wide.into()));
    let tight = ValueLimits {
        max_nodes: 102,
        ..limits()
    };
    assert!(json::decode(&ty, &json!([{}, {}]), &tight).is_err());
    assert!(
        json::decode(
            &ty,
            &json!([{}, {}]),
            &ValueLimits {
                max_nodes: 103,
                ..limits()
            }
        )
        .is_ok()
    );
    assert!(wave::parse_value(&ty, "[{:}, {:}]", &tight).is_err());
    assert!(cbor::decode(&ty, &[0x82, 0xa0, 0xa0], &tight).is_err());
}

/// Enforced by the readers, which take memory as elements come.
#[test]
fn a_claimed_length_sets_no_memory_aside() {
    // With memory for each claimed element these would not end well.
    let claim = [0xff, 0xff, 0xff, 0xff, 0, 0];
    for element in [Type::U8, Type::U64, Type::String, list(Type::Bool), Type::Char] {
        assert!(wire::decode(&list(element.clone()), &claim, &limits()).is_err());
        for head in [0x9b_u8, 0x5b, 0xbb, 0x7b] {
            let cbor = [&[head][..], &[0xff; 8]].concat();
            assert!(cbor::decode(&list(element.clone()), &cbor, &limits()).is_err());
        }
    }
}

/// Enforced by `Budget::descend` in the parser.
#[test]
fn brackets_without_end_exhaust_no_stack() {
    let many = 1_000_000;
    for open in ["[", "(", "some(", "{a:", "ok(", "x("] {
        let text = open.repeat(many);
        let roomy = ValueLimits {
            max_text: usize::MAX,
            ..limits()
        };
        let error = wave::parse_value(&list(Type::U8), &text, &roomy).unwrap_err();
        assert!(error.span.end <= text.len());
        assert!(wave::parse_args(&function([("a", Type::U8)], None), &text, &roomy).is_err());
    }
    let (ty, _) = nested(64);
    for head in [0x81_u8, 0x9f] {
        assert!(cbor::decode(&ty, &vec![head; many], &limits()).is_err());
    }
}
