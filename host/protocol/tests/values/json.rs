//! The JSON that other programs rely on.

use odeon_protocol::{Type, Value, json};
use serde_json::{Value as Json, json};

use crate::{boxed, case, function, limits, list, names, option, record, result, text, tuple, variant};

/// Written like this, and read back from it.
#[track_caller]
fn same(ty: &Type, value: &Value, expected: &Json) {
    assert_eq!(&json::encode(ty, value, &limits()).unwrap(), expected);
    assert_eq!(json::decode(ty, expected, &limits()).as_ref(), Ok(value));
}

/// Not written like this, but read.
#[track_caller]
fn read(ty: &Type, from: &Json, value: &Value) {
    assert_eq!(json::decode(ty, from, &limits()).as_ref(), Ok(value));
}

#[track_caller]
fn refused(ty: &Type, from: &Json, message: &str) {
    assert_eq!(
        json::decode(ty, from, &limits()).unwrap_err().to_string(),
        message
    );
}

#[test]
fn records_are_objects_in_declared_order() {
    let ty = record([("z", Type::U8), ("a", option(Type::String))]);
    same(
        &ty,
        &Value::Record(vec![Value::U8(1), Value::some(text("x"))]),
        &json!({"z": 1, "a": "x"}),
    );
    let none = Value::Record(vec![Value::U8(1), Value::none()]);
    same(&ty, &none, &json!({"z": 1, "a": null}));
    read(&ty, &json!({"z": 1}), &none);
    assert_eq!(
        json::encode(&ty, &none, &limits()).unwrap().to_string(),
        r#"{"z":1,"a":null}"#
    );
    refused(
        &ty,
        &json!({"z": 1, "b": 2}),
        "expected the fields `z`, `a`, found an unknown field `b`",
    );
    refused(
        &ty,
        &json!({}),
        "expected the field `z`: u8 (a whole number from 0 to 255), found nothing",
    );
    refused(
        &ty,
        &json!({"z": 300}),
        "z: expected u8 (a whole number from 0 to 255), found the number 300",
    );
}

#[test]
fn cases() {
    let ty = variant([
        ("empty", None),
        ("circle", Some(Type::F32)),
        ("maybe", Some(option(Type::U8))),
    ]);
    same(&ty, &case(0, None), &json!("empty"));
    read(&ty, &json!({"empty": null}), &case(0, None));
    same(&ty, &case(1, Some(Value::F32(0.1))), &json!({"circle": 0.1}));
    same(&ty, &case(2, Some(Value::none())), &json!({"maybe": null}));
    refused(
        &ty,
        &json!("square"),
        "expected one of `empty`, `circle`, `maybe`, found an unknown case `square`",
    );
    refused(
        &ty,
        &json!("circle"),
        "expected {\"circle\": …} with f32 (a number), found \"circle\"",
    );
    refused(
        &ty,
        &json!({"empty": 1}),
        "empty: expected no payload, found the number 1",
    );
    assert!(json::decode(&ty, &json!({"circle": 1, "empty": null}), &limits()).is_err());
    same(
        &Type::Enum(names(["red", "green"])),
        &Value::Enum(1),
        &json!("green"),
    );
    let flags = Type::Flags(names(["read", "write", "exec"]));
    same(
        &flags,
        &Value::Flags(vec![true, false, true]),
        &json!(["read", "exec"]),
    );
    refused(
        &flags,
        &json!(["read", "read"]),
        "[1]: expected the flag `read` once, found it twice",
    );
}

#[test]
fn options_and_results() {
    same(&option(Type::U8), &Value::none(), &json!(null));
    same(&option(Type::U8), &Value::some(Value::U8(1)), &json!(1));
    let nested = option(option(Type::U8));
    same(&nested, &Value::none(), &json!(null));
    same(&nested, &Value::some(Value::none()), &json!({"some": null}));
    same(
        &nested,
        &Value::some(Value::some(Value::U8(1))),
        &json!({"some": 1}),
    );
    let deeper = option(nested);
    same(
        &deeper,
        &Value::some(Value::some(Value::none())),
        &json!({"some": {"some": null}}),
    );
    let ty = result(Some(Type::U8), None);
    same(&ty, &Value::Result(Ok(boxed(Value::U8(1)))), &json!({"ok": 1}));
    same(&ty, &Value::Result(Err(None)), &json!({"err": null}));
    refused(
        &ty,
        &json!("ok"),
        "expected {\"ok\": …} or {\"err\": …}, found the string \"ok\"",
    );
}

#[test]
fn wide_integers_are_exact_in_every_reader() {
    same(
        &Type::U64,
        &Value::U64(1 << 53),
        &json!(9_007_199_254_740_992_u64),
    );
    same(&Type::U64, &Value::U64((1 << 53) + 1), &json!("9007199254740993"));
    same(&Type::S64, &Value::S64(i64::MIN), &json!("-9223372036854775808"));
    read(&Type::U64, &json!(u64::MAX), &Value::U64(u64::MAX));
    read(&Type::S64, &json!("-5"), &Value::S64(-5));
    refused(
        &Type::U32,
        &json!("5"),
        "expected u32 (a whole number from 0 to 4294967295), found the string \"5\"",
    );
    assert!(json::decode(&Type::U64, &json!("18446744073709551616"), &limits()).is_err());
    assert!(json::decode(&Type::U8, &json!(256.0), &limits()).is_err());
}

#[test]
fn floats() {
    same(&Type::F64, &Value::F64(f64::NAN), &json!("NaN"));
    same(&Type::F32, &Value::F32(f32::INFINITY), &json!("Infinity"));
    same(&Type::F64, &Value::F64(f64::NEG_INFINITY), &json!("-Infinity"));
    same(&Type::F64, &Value::F64(-0.0), &json!(-0.0));
    same(&Type::F32, &Value::F32(16_777_216.0), &json!(16_777_216.0));
    read(&Type::F64, &json!(3), &Value::F64(3.0));
    assert!(json::decode(&Type::F32, &json!(1e39), &limits()).is_err());
}

#[test]
fn bytes_are_base64() {
    let ty = list(Type::U8);
    same(&ty, &Value::Bytes(vec![0, 255, 1, 2]), &json!("AP8BAg=="));
    read(&ty, &json!([0, 255, 1, 2]), &Value::Bytes(vec![0, 255, 1, 2]));
    assert!(json::decode(&ty, &json!("AP8BAg"), &limits()).is_err());
    refused(
        &ty,
        &json!([1, 256]),
        "[1]: expected u8 (a whole number from 0 to 255), found the number 256",
    );
    let three = Type::FixedList(Type::U8.into(), 3);
    assert!(json::decode(&three, &json!("AP8BAg=="), &limits()).is_err());
}

#[test]
fn tuples_chars_and_maps() {
    let ty = tuple([Type::Char, Type::Bool]);
    same(
        &ty,
        &Value::Tuple(vec![Value::Char('é'), Value::Bool(true)]),
        &json!(["é", true]),
    );
    assert!(json::decode(&ty, &json!(["ab", true]), &limits()).is_err());
    assert!(json::decode(&ty, &json!(["a"]), &limits()).is_err());
    let map = Type::Map(Type::String.into(), Type::U8.into());
    let value = Value::Map(vec![(text("b"), Value::U8(1)), (text("a"), Value::U8(2))]);
    same(&map, &value, &json!([["b", 1], ["a", 2]]));
    read(&map, &json!({"b": 1, "a": 2}), &value);
    let numbered = Type::Map(Type::U8.into(), Type::U8.into());
    assert!(json::decode(&numbered, &json!({"1": 1}), &limits()).is_err());
}

#[test]
fn arguments_by_order_or_by_name() {
    let f = function(
        [
            ("id", Type::U32),
            ("items", list(Type::String)),
            ("note", option(Type::Char)),
        ],
        None,
    );
    let values = vec![Value::U32(1), Value::List(vec![text("a")]), Value::none()];
    for given in [json!([1, ["a"], null]), json!({"items": ["a"], "id": 1})] {
        assert_eq!(
            json::args_from(&f, &given, &limits()).as_ref(),
            Ok(&values),
            "{given}"
        );
    }
    for (given, message) in [
        (
            json!([1]),
            "expected 3 arguments (`id`: u32, `items`: list<string>, `note`: option<char>), found 1 argument",
        ),
        (
            json!([1, ["a", 2], null]),
            "argument 2 (`items`) → [1]: expected string (text in double quotes), found the number 2",
        ),
        (
            json!({"id": 1}),
            "expected the field `items`: list<string>, found nothing",
        ),
        (
            json!({"id": 1, "item": []}),
            "expected the fields `id`, `items`, `note`, found an unknown field `item`",
        ),
        (
            json!("x"),
            "expected an array of the arguments, or an object by their names, found the string \"x\"",
        ),
    ] {
        assert_eq!(
            json::args_from(&f, &given, &limits()).unwrap_err().to_string(),
            message
        );
    }
    assert_eq!(json::encode_result(&f, None, &limits()), Ok(Json::Null));
}

#[test]
fn a_whole_number_may_be_written_as_a_float_as_far_as_floats_are_exact() {
    read(&Type::U64, &json!(1.0), &Value::U64(1));
    read(&Type::S32, &json!(-3e2), &Value::S32(-300));
    read(&Type::U64, &json!(9_007_199_254_740_992.0), &Value::U64(1 << 53));
    for wrong in [
        json!(1.5),
        json!(1e300),
        json!(18_014_398_509_481_984.0),
        json!(-1.0),
    ] {
        assert!(json::decode(&Type::U64, &wrong, &limits()).is_err(), "{wrong}");
    }
}

#[test]
fn a_name_twice_is_no_document() {
    for text in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
        let error = json::parse(text).unwrap_err().to_string();
        assert!(
            error.contains("\"a\" twice") && error.contains("line 1"),
            "{error}"
        );
    }
    let text = r#"{"b":[1,-2,3.5,"x",true,null],"a":{}}"#;
    assert_eq!(
        json::parse(text).unwrap(),
        serde_json::from_str::<Json>(text).unwrap()
    );
}

#[test]
fn what_is_wrong_is_found_in_the_text() {
    let point = record([("x", Type::U8), ("y", list(option(Type::String)))]);
    let f = function(
        [
            ("at", point),
            ("m", Type::Map(Type::String.into(), Type::U8.into())),
        ],
        None,
    );
    for (text, wrong) in [
        (r#" [ {"y": ["a", null , 7 ], "x": 1}, {} ]"#, "7"),
        (
            r#"{"m": {"a.b": 1, "a": "no, [\"{"}, "at": {"x": 1, "y": []}}"#,
            r#""no, [\"{""#,
        ),
        (r#"[{"x": 1, "y": []}, [["k", 1], ["l", true]]]"#, "true"),
        (r#"[{"x":300,"y":[]},{}]"#, "300"),
        (r#"[{"x": 1}, {}]"#, r#"{"x": 1}"#),
        (r#"[1]"#, "[1]"),
    ] {
        let document = json::parse(text).unwrap();
        let error = json::args_from(&f, &document, &limits()).unwrap_err();
        assert_eq!(&text[json::locate(text, &error.path)], wrong, "{error}");
    }
}
