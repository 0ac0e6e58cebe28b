//! The CBOR that other programs rely on, byte for byte.

use odeon_protocol::{Type, Value, cbor};

use crate::{boxed, case, function, limits, list, names, option, record, result, text, variant};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap())
        .collect()
}

#[track_caller]
fn same(ty: &Type, value: &Value, hex: &str) {
    assert_eq!(cbor::encode(ty, value, &limits()).unwrap(), bytes(hex));
    read(ty, hex, value);
}

#[track_caller]
fn read(ty: &Type, hex: &str, value: &Value) {
    assert_eq!(cbor::decode(ty, &bytes(hex), &limits()).as_ref(), Ok(value));
}

#[track_caller]
fn refused(ty: &Type, hex: &str, message: &str) {
    assert_eq!(
        cbor::decode(ty, &bytes(hex), &limits()).unwrap_err().to_string(),
        message
    );
}

#[test]
fn lists_of_numbers_are_typed_arrays() {
    same(&list(Type::U8), &Value::Bytes(vec![1, 2]), "42 0102");
    let shorts = Value::List(vec![Value::U16(1), Value::U16(0x0203)]);
    same(&list(Type::U16), &shorts, "d845 44 0100 0302");
    for other in [
        "d841 44 0001 0203",
        "82 01 190203",
        "9f 01 190203 ff",
        "d845 5f 43 010003 41 02 ff",
    ] {
        read(&list(Type::U16), other, &shorts);
    }
    same(&list(Type::S8), &Value::List(vec![Value::S8(-1)]), "d848 41 ff");
    same(
        &list(Type::F64),
        &Value::List(vec![Value::F64(1.0)]),
        "d856 48 000000000000f03f",
    );
    same(
        &list(Type::F32),
        &Value::List(vec![Value::F32(1.0)]),
        "d855 44 0000803f",
    );
    read(
        &list(Type::F32),
        "d851 44 3f800000",
        &Value::List(vec![Value::F32(1.0)]),
    );
    for other in ["d840 42 0102", "82 0102", "5f 41 01 41 02 ff"] {
        read(&list(Type::U8), other, &Value::Bytes(vec![1, 2]));
    }
    refused(
        &list(Type::U16),
        "d845 43 010003",
        "expected a multiple of 2 bytes in a typed array, found 3 bytes",
    );
    refused(
        &list(Type::U16),
        "d846 44 01000300",
        "expected list<u16>: a typed array with tag 69, found tag 70",
    );
    let pair = Type::FixedList(Type::U16.into(), 2);
    read(&pair, "d845 44 0100 0302", &shorts);
    refused(&pair, "d845 42 0100", "expected list<u16, 2>, found 1 elements");
}

#[test]
fn records_are_maps_in_declared_order_and_read_in_any() {
    let ty = record([("b", Type::U8), ("a", option(Type::Bool))]);
    let value = Value::Record(vec![Value::U8(1), Value::some(Value::Bool(true))]);
    same(&ty, &value, "a2 6162 01 6161 f5");
    read(&ty, "a2 6161 f5 6162 01", &value);
    read(&ty, "bf 6161 f5 7f 6162 ff 01 ff", &value);
    read(
        &ty,
        "a1 6162 01",
        &Value::Record(vec![Value::U8(1), Value::none()]),
    );
    refused(
        &ty,
        "a2 6162 01 6162 01",
        "expected the field `b` once, found it twice",
    );
    refused(
        &ty,
        "a1 6163 01",
        "expected the fields `b`, `a`, found an unknown field `c`",
    );
    refused(
        &ty,
        "82 01 f5",
        "expected record { b: u8, a: option<bool> }, found an array at byte 0",
    );
    refused(
        &ty,
        "a1 6162 190100",
        "b: expected u8 (a whole number from 0 to 255), found the number 256",
    );
}

#[test]
fn cases_options_and_results() {
    let ty = variant([("off", None), ("on", Some(Type::U8))]);
    same(&ty, &case(0, None), "63 6f6666");
    same(&ty, &case(1, Some(Value::U8(7))), "a1 62 6f6e 07");
    read(&ty, "a1 63 6f6666 f6", &case(0, None));
    read(&ty, "bf 62 6f6e 07 ff", &case(1, Some(Value::U8(7))));
    for wrong in [
        "62 6f6e",
        "a2 62 6f6e 07 62 6f6e 07",
        "a0",
        "07",
        "a1 63 6f6666 01",
    ] {
        assert!(cbor::decode(&ty, &bytes(wrong), &limits()).is_err(), "{wrong}");
    }
    same(&Type::Enum(names(["red"])), &Value::Enum(0), "63 726564");
    same(
        &Type::Flags(names(["a", "b"])),
        &Value::Flags(vec![false, true]),
        "81 6162",
    );
    let nested = option(option(Type::U8));
    same(&nested, &Value::none(), "f6");
    same(&nested, &Value::some(Value::none()), "a1 64 736f6d65 f6");
    same(
        &result(None, Some(Type::U8)),
        &Value::Result(Ok(None)),
        "a1 62 6f6b f6",
    );
    same(
        &result(None, Some(Type::U8)),
        &Value::Result(Err(boxed(Value::U8(1)))),
        "a1 63 657272 01",
    );
}

#[test]
fn numbers_from_other_writers() {
    read(&Type::F64, "01", &Value::F64(1.0));
    read(&Type::F64, "f93c00", &Value::F64(1.0));
    read(&Type::F32, "fb3ff0000000000000", &Value::F32(1.0));
    same(&Type::F32, &Value::F32(f32::from_bits(0xffff_ffff)), "fa7fc00000");
    same(&Type::U64, &Value::U64(u64::MAX), "1bffffffffffffffff");
    same(&Type::S64, &Value::S64(i64::MIN), "3b7fffffffffffffff");
    assert!(cbor::decode(&Type::F32, &bytes("fb7fe0000000000000"), &limits()).is_err());
    assert!(cbor::decode(&Type::U8, &bytes("f93c00"), &limits()).is_err());
    same(&Type::Char, &Value::Char('é'), "62c3a9");
    refused(
        &Type::Char,
        "626162",
        "expected char (one character in quotes), found \"ab\"",
    );
}

#[test]
fn exactly_one_item() {
    refused(&Type::U8, "01 02", "expected the end, found 1 more bytes");
    refused(
        &Type::U8,
        "18",
        "expected well-formed CBOR, found the end at byte 1",
    );
    assert!(cbor::decode(&Type::String, &bytes("62 ff"), &limits()).is_err());
    assert!(cbor::decode(&Type::String, &bytes("61 ff"), &limits()).is_err());
    assert!(cbor::decode(&list(Type::Bool), &bytes("9f f5"), &limits()).is_err());
}

#[test]
fn maps_keep_order_and_duplicates() {
    let ty = Type::Map(Type::U8.into(), Type::Bool.into());
    let pair = (Value::U8(2), Value::Bool(true));
    same(
        &ty,
        &Value::Map(vec![pair.clone(), (Value::U8(1), Value::Bool(false)), pair]),
        "a3 02f5 01f4 02f5",
    );
}

#[test]
fn arguments_by_order_or_by_name() {
    let f = function([("a", Type::U8), ("b", Type::String)], None);
    let values = vec![Value::U8(1), text("x")];
    for given in ["82 01 6178", "9f 01 6178 ff", "a2 6162 6178 6161 01"] {
        assert_eq!(
            cbor::decode_args(&f, &bytes(given), &limits()).as_ref(),
            Ok(&values)
        );
    }
    for (given, message) in [
        (
            "81 01",
            "expected 2 arguments (`a`: u8, `b`: string), found 1 argument",
        ),
        (
            "83 01 6178 01",
            "expected 2 arguments (`a`: u8, `b`: string), found more arguments",
        ),
        (
            "82 01 02",
            "argument 2 (`b`): expected string (text in double quotes), found an integer at byte 2",
        ),
        (
            "01",
            "expected an array of the arguments, or a map by their names, found an integer at byte 0",
        ),
    ] {
        assert_eq!(
            cbor::decode_args(&f, &bytes(given), &limits())
                .unwrap_err()
                .to_string(),
            message
        );
    }
    assert_eq!(cbor::encode_result(&f, None, &limits()).unwrap(), [0xf6]);
    assert_eq!(cbor::decode_result(&f, &[0xf6], &limits()), Ok(None));
    assert!(cbor::decode_result(&f, &[1], &limits()).is_err());
}
