//! What the wire refuses, and where it says the fault is.

use odeon_protocol::{Problem, Type, Value, wire};

use crate::{boxed, function, limits, list, names, option, record, result, text, tuple, variant};

#[track_caller]
fn refused(ty: &Type, bytes: &[u8], path: &str, problem: Problem) {
    for error in [
        wire::validate(ty, bytes, &limits()).unwrap_err(),
        wire::decode(ty, bytes, &limits()).unwrap_err(),
    ] {
        assert_eq!((error.path.as_str(), &error.problem), (path, &problem), "{error}");
    }
}

#[test]
fn wrong_bits_chars_and_text() {
    refused(
        &Type::Bool,
        &[2],
        "",
        Problem::NotABit {
            what: "a bool",
            found: 2,
        },
    );
    refused(
        &option(Type::U8),
        &[7, 1],
        "",
        Problem::NotABit {
            what: "an option",
            found: 7,
        },
    );
    refused(
        &result(None, None),
        &[9],
        "",
        Problem::NotABit {
            what: "a result",
            found: 9,
        },
    );
    refused(
        &Type::Char,
        &[0, 0xd8, 0, 0],
        "",
        Problem::NotAChar { found: 0xd800 },
    );
    refused(
        &Type::Char,
        &[0, 0, 0x11, 0],
        "",
        Problem::NotAChar { found: 0x11_0000 },
    );
    refused(
        &Type::String,
        &[2, 0, 0, 0, b'a', 0xff],
        "",
        Problem::NotUtf8 { offset: 1 },
    );
}

#[test]
fn the_place_is_named() {
    let ty = list(record([("id", Type::U32), ("name", option(Type::String))]));
    let bytes = [
        &[2, 0, 0, 0][..],
        &[1, 0, 0, 0, 0],
        &[2, 0, 0, 0, 1, 1, 0, 0, 0, 0xc0],
    ]
    .concat();
    refused(&ty, &bytes, "[1].name.some", Problem::NotUtf8 { offset: 0 });

    let bytes = [1, 0, 0, 0, 2];
    let error = wire::validate_args(
        &function([("flag", Type::Bool), ("items", list(Type::Bool))], None),
        &[&[1][..], &bytes].concat(),
        &limits(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 2 (`items`) → [0]: expected 0 or 1 for a bool, found 2"
    );
}

#[test]
fn exactly_the_bytes_and_no_others() {
    refused(&Type::U64, &[0; 7], "", Problem::Truncated { needed: 8, left: 7 });
    refused(&Type::U64, &[0; 9], "", Problem::Trailing { left: 1 });
    refused(
        &list(Type::U32),
        &[3, 0, 0, 0, 1],
        "",
        Problem::Truncated { needed: 12, left: 1 },
    );
    let f = function([("a", Type::U32), ("b", Type::U32)], Some(Type::U32));
    let validator = wire::Validator::new(&f);
    assert!(validator.check_args(&[0; 8], &limits()).is_ok());
    let error = validator.check_args(&[0; 7], &limits()).unwrap_err();
    assert_eq!(error.path, "argument 2 (`b`)");
    assert_eq!(
        validator.check_args(&[0; 9], &limits()).unwrap_err().problem,
        Problem::Trailing { left: 1 }
    );
    assert!(validator.check_result(&[0; 4], &limits()).is_ok());
    assert_eq!(
        validator.check_result(&[0; 3], &limits()).unwrap_err().path,
        "result"
    );
    let silent = function([], None);
    assert!(wire::validate_result(&silent, &[], &limits()).is_ok());
    assert!(wire::validate_result(&silent, &[0], &limits()).is_err());
}

#[test]
fn discriminants_are_as_wide_as_in_the_canonical_abi() {
    for (cases, width) in [(1, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 4)] {
        let ty = Type::Enum((0..cases).map(|n| format!("c{n}").into()).collect());
        let last = Value::Enum(cases - 1);
        let bytes = wire::encode(&ty, &last, &limits()).unwrap();
        assert_eq!(bytes.len(), width, "{cases} cases");
        assert_eq!(wire::decode(&ty, &bytes, &limits()), Ok(last));
        if cases < 256 || (257..65_536).contains(&cases) {
            let mut next = bytes;
            next[0] += 1;
            refused(
                &ty,
                &next,
                "",
                Problem::NoSuchCase {
                    cases: cases as usize,
                    found: cases,
                },
            );
        }
    }
    refused(&variant([]), &[0], "", Problem::NoSuchCase { cases: 0, found: 0 });
}

#[test]
fn flags_are_as_wide_as_in_the_canonical_abi_and_have_no_stray_bits() {
    for (flags, width) in [
        (1, 1),
        (8, 1),
        (9, 2),
        (16, 2),
        (17, 4),
        (32, 4),
        (33, 8),
        (65, 12),
    ] {
        let ty = Type::Flags((0..flags).map(|n| format!("f{n}").into()).collect());
        let all = Value::Flags(vec![true; flags]);
        let bytes = wire::encode(&ty, &all, &limits()).unwrap();
        assert_eq!(bytes.len(), width, "{flags} flags");
        assert_eq!(wire::decode(&ty, &bytes, &limits()), Ok(all));
        if flags < width * 8 {
            let mut stray = bytes;
            stray[flags / 8] |= 1 << (flags % 8);
            refused(&ty, &stray, "", Problem::NoSuchFlag { flags });
        }
    }
}

#[test]
fn handles_are_named() {
    let ty = tuple([Type::U8, Type::Handle("own<counter>".into())]);
    refused(
        &ty,
        &[1, 0, 0, 0, 0],
        "[1]",
        Problem::Handle {
            name: "own<counter>".into(),
        },
    );
    let error = wire::encode(&ty, &Value::Tuple(vec![Value::U8(1), Value::U32(0)]), &limits()).unwrap_err();
    assert!(error.to_string().contains("own<counter>"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_is_refused_where_it_does_not() {
    let ty = record([("a", list(option(Type::U8)))]);
    let value = Value::Record(vec![Value::List(vec![Value::none(), Value::some(text("no"))])]);
    let error = wire::encode(&ty, &value, &limits()).unwrap_err();
    assert_eq!(error.to_string(), "a[1].some: expected u8, found a string");

    let ty = variant([("x", None), ("y", Some(Type::U8))]);
    for value in [
        crate::case(0, Some(Value::U8(1))),
        crate::case(1, None),
        crate::case(2, None),
    ] {
        assert!(wire::encode(&ty, &value, &limits()).is_err(), "{value:?}");
    }
    let side = Value::Result(Ok(boxed(Value::U8(1))));
    assert!(wire::encode(&result(None, None), &side, &limits()).is_err());
    assert!(wire::encode(&Type::Flags(names(["a"])), &Value::Flags(vec![]), &limits()).is_err());

    let f = function([("a", Type::U32), ("b", Type::String)], None);
    let error = wire::encode_args(&f, &[Value::U32(1)], &limits()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected 2 arguments (`a`: u32, `b`: string), found 1"
    );
}
