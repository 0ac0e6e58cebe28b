//! `docs/wire.md` says what the codecs do.

use odeon_protocol::{Type, Value, ValueLimits, cbor, json, wave, wire, wit_name};

use crate::{boxed, case, limits, list, names, option, record, result, text, tuple, variant};

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn examples() -> Vec<(Type, Value)> {
    let shape = variant([("empty", None), ("circle", Some(Type::F32))]);
    vec![
        (Type::Bool, Value::Bool(true)),
        (Type::U32, Value::U32(258)),
        (Type::S16, Value::S16(-2)),
        (Type::F64, Value::F64(1.5)),
        (Type::Char, Value::Char('é')),
        (Type::String, text("hé")),
        (list(Type::U8), Value::Bytes(vec![1, 2, 3])),
        (list(Type::U16), Value::List(vec![Value::U16(1), Value::U16(2)])),
        (
            Type::FixedList(Type::U16.into(), 2),
            Value::List(vec![Value::U16(1), Value::U16(2)]),
        ),
        (
            record([("x", Type::U8), ("y", Type::U16)]),
            Value::Record(vec![Value::U8(1), Value::U16(2)]),
        ),
        (
            tuple([Type::U8, Type::String]),
            Value::Tuple(vec![Value::U8(7), text("a")]),
        ),
        (shape.clone(), case(0, None)),
        (shape, case(1, Some(Value::F32(2.0)))),
        (Type::Enum(names(["red", "green"])), Value::Enum(1)),
        (option(Type::U8), Value::none()),
        (option(Type::U8), Value::some(Value::U8(5))),
        (option(option(Type::U8)), Value::some(Value::none())),
        (
            result(Some(Type::U8), Some(Type::String)),
            Value::Result(Ok(boxed(Value::U8(1)))),
        ),
        (
            result(None, Some(Type::String)),
            Value::Result(Err(boxed(text("no")))),
        ),
        (
            Type::Flags(names(["read", "write", "exec"])),
            Value::Flags(vec![true, false, true]),
        ),
        (
            Type::Map(Type::String.into(), Type::U8.into()),
            Value::Map(vec![(text("a"), Value::U8(1))]),
        ),
        (Type::U64, Value::U64(9_007_199_254_740_993)),
        (Type::F32, Value::F32(f32::NAN)),
    ]
}

#[test]
fn every_example_in_the_document_is_true_and_none_is_missing() {
    let document = include_str!("../../../../docs/wire.md");
    let table = document
        .split("<!-- examples -->")
        .nth(1)
        .expect("a table between two marks");
    let written: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = examples()
        .iter()
        .map(|(ty, value)| {
            format!(
                "| `{}` | `{}` | `{}` | `{}` | `{}` |",
                wit_name(ty),
                wave::print(ty, value, &limits()).unwrap(),
                hex(&wire::encode(ty, value, &limits()).unwrap()),
                json::encode(ty, value, &limits()).unwrap(),
                hex(&cbor::encode(ty, value, &limits()).unwrap()),
            )
        })
        .collect();
    assert_eq!(written, expected, "\n{}\n", expected.join("\n"));
}

#[test]
fn the_limits_in_the_document_are_the_defaults() {
    let document = include_str!("../../../../docs/wire.md");
    let ValueLimits {
        max_bytes,
        max_depth,
        max_nodes,
        max_text,
    } = ValueLimits::default();
    for (name, value) in [
        ("max_bytes", max_bytes),
        ("max_depth", max_depth),
        ("max_nodes", max_nodes),
        ("max_text", max_text),
    ] {
        let row = format!("| `{name}` | {value} |");
        assert!(document.contains(&row), "{row}");
    }
}
