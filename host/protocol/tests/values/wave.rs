//! What people see when they type something wrong, and what is accepted.

use odeon_protocol::{FunctionType, Type, Value, signature, wave, wit_name};

use crate::{boxed, case, function, limits, list, names, option, record, result, text, tuple, variant};

fn order() -> FunctionType {
    let item = record([("name", Type::String), ("count", Type::U8)]);
    function([("id", Type::U32), ("items", list(item))], None)
}

/// Parses arguments and shows the error as a compiler would.
#[track_caller]
fn args_error(function: &FunctionType, source: &str) -> (String, String) {
    let error = wave::parse_args(function, source, &limits()).unwrap_err();
    (source[error.span.clone()].to_owned(), error.to_string())
}

#[track_caller]
fn value_error(ty: &Type, source: &str) -> (String, String) {
    let error = wave::parse_value(ty, source, &limits()).unwrap_err();
    (source[error.span.clone()].to_owned(), error.to_string())
}

#[test]
fn the_innermost_place_is_named_and_pointed_at() {
    let (at, message) = args_error(&order(), r#"1, [{name: "a", count: 1}, {name: "b", count: 256}]"#);
    assert_eq!(at, "256");
    assert_eq!(
        message,
        "argument 2 (`items`) → [1].count: expected u8 (a whole number from 0 to 255), found `256`"
    );
    let (at, message) = args_error(&order(), r"1, [{name: bob, count: 1}]");
    assert_eq!(at, "bob");
    assert!(
        message.starts_with("argument 2 (`items`) → [0].name: expected string"),
        "{message}"
    );
    assert!(message.contains("the quotes are missing"), "{message}");
    let (at, message) = args_error(&order(), r"1, [{nam: 1, count: 1}]");
    assert_eq!(at, "nam");
    assert!(
        message.ends_with("expected the fields `name`, `count`, found an unknown field `nam`"),
        "{message}"
    );
    let (at, message) = args_error(&order(), r"1, [{count: 1}]");
    assert_eq!(at, "{count: 1}");
    assert!(message.contains("the field `name`: string"), "{message}");
}

#[test]
fn mistakes_from_other_languages_are_named() {
    let takes = |ty| function([("a", ty)], None);
    let point = record([("name", Type::String)]);
    let style = Type::Enum(vec!["solid".into(), "add".into()].into());
    for (ty, source, at, part) in [
        (Type::String, r#""abc"#, r#""abc"#, "a closing quotation mark"),
        (Type::String, r#""a\qb""#, r"\q", "one of the escapes"),
        (Type::String, r#""\u{110000}""#, r"\", "a character's number"),
        (Type::Char, "'xy'", "'xy'", "one character between single quotes"),
        (Type::Char, "''", "''", "one character between single quotes"),
        (Type::F64, "NaN", "NaN", "`nan`: names are in small letters"),
        (Type::Bool, "True", "True", "`true`: names"),
        (style.clone(), "Solid", "Solid", "`solid`: names"),
        (style, "add(1)", "add(1)", "expected `add` without a payload"),
        (
            point,
            r#"{"name": 1}"#,
            r#""name""#,
            "without quotation marks: name",
        ),
        (Type::F32, "3.5e38", "3.5e38", "within its range, or inf"),
        (Type::F64, "1e999", "1e999", "within its range, or inf"),
    ] {
        for (found, message) in [value_error(&ty, source), args_error(&takes(ty.clone()), source)] {
            assert_eq!(found, at, "{source}: {message}");
            assert!(message.contains(part), "{source}: {message}");
        }
    }
}

/// What is well-formed and stands in the wrong place is not explained as a
/// mistake of its own.
#[test]
fn what_is_only_in_the_wrong_place_is_not_corrected() {
    let numbers = list(Type::U8);
    let style = Type::Enum(vec!["SOLID".into(), "TLS-name".into()].into());
    for (ty, source) in [
        (&numbers, "[1 'b']"),
        (&numbers, r"[1 '\n']"),
        (&numbers, r"[1 '\u{e9}']"),
        (&numbers, "[1 HTTP]"),
        (&numbers, "[1 TLS-name]"),
        (&style, "SOLID SOLID"),
    ] {
        let (_, message) = value_error(ty, source);
        for hint in ["single quotes", "small letters"] {
            assert!(!message.contains(hint), "{source}: {message}");
        }
    }
    for source in ["SOLID", "TLS-name"] {
        assert!(wave::parse_value(&style, source, &limits()).is_ok(), "{source}");
    }
    let (_, message) = value_error(&style, "TLS-Name");
    assert!(
        message.contains("`tls-name`: names are in small letters"),
        "{message}"
    );
}

#[test]
fn the_number_of_arguments_is_explained() {
    let add = function([("a", Type::U32), ("b", Type::U32)], None);
    let (at, message) = args_error(&add, "1, 2, 3, 4");
    assert_eq!(at, "3, 4");
    assert_eq!(
        message,
        "expected 2 arguments (`a`: u32, `b`: u32), found 4 arguments"
    );
    let error = wave::parse_args(&add, "1", &limits()).unwrap_err();
    assert_eq!((error.span, error.found.as_str()), (1..1, "1 argument"));
    assert_eq!(
        args_error(&function([], None), "1").1,
        "expected no arguments, found 1 argument"
    );
    assert_eq!(
        args_error(&add, " ").1,
        "expected 2 arguments (`a`: u32, `b`: u32), found no arguments"
    );
    assert_eq!(
        wave::parse_args(&function([], None), " // nothing", &limits()),
        Ok(vec![])
    );
    let more = function([("a", Type::U8), ("b", option(Type::U8))], None);
    assert_eq!(
        wave::parse_args(&more, "1", &limits()),
        Ok(vec![Value::U8(1), Value::none()])
    );
}

#[test]
fn one_text_for_each_argument() {
    let add = function([("a", Type::U32), ("b", Type::String)], None);
    let values = wave::parse_each(&add, &["1", "\"x\""], &limits());
    assert_eq!(values, Ok(vec![Value::U32(1), text("x")]));
    let error = wave::parse_each(&add, &["1", "x"], &limits()).unwrap_err();
    assert_eq!(
        (error.text, error.span, error.path.as_str()),
        (Some(1), 0..1, "argument 2 (`b`)")
    );
    let error = wave::parse_each(&add, &["1", "\"x\"", "[3]"], &limits()).unwrap_err();
    assert_eq!((error.text, error.span), (Some(2), 0..3));
    let error = wave::parse_each(&add, &["1"], &limits()).unwrap_err();
    assert_eq!((error.text, error.found.as_str()), (None, "1 argument"));
}

#[test]
fn a_call_is_split_at_the_first_parenthesis() {
    for (source, name, args) in [
        ("add(1, 2)", "add", "1, 2"),
        (" math.add ( 1, (2, 3) ) ", "math.add", " 1, (2, 3) "),
        (
            "iface/with:colons@0.1.0.add(1)",
            "iface/with:colons@0.1.0.add",
            "1",
        ),
        ("now", "now", ""),
        ("now()", "now", ""),
    ] {
        let call = wave::parse_invocation(source).unwrap();
        assert_eq!((call.name, call.args), (name, args));
        assert_eq!(&source[call.args_start..call.args_start + args.len()], args);
    }
    for (source, at) in [
        ("", ""),
        ("(1)", ""),
        ("add(1", "1"),
        ("add(1) 2", "2"),
        ("é(ü", "ü"),
    ] {
        let error = wave::parse_invocation(source).unwrap_err();
        assert_eq!(&source[error.span], at, "{source}");
    }
    let call = wave::parse_invocation("  add(1, true)").unwrap();
    let add = function([("a", Type::U32), ("b", Type::U32)], None);
    let error = call.parse_args(&add, &limits()).unwrap_err();
    assert_eq!(error.span, 9..13);
}

#[test]
fn text_that_is_not_wave_is_pointed_at() {
    let numbers = list(Type::U8);
    assert_eq!(
        value_error(&numbers, "[1, 2").1,
        "expected a value or a closing bracket, found the end of the text"
    );
    assert_eq!(value_error(&numbers, "[1 2]").0, "2");
    assert_eq!(value_error(&numbers, "[1] [2]").0, "[");
    assert_eq!(value_error(&numbers, "").0, "");
    assert_eq!(value_error(&Type::String, r#""a\q""#).0, r"\q");
    assert_eq!(value_error(&Type::String, r#""\u{110000}""#).0, "\\");
    assert_eq!(value_error(&Type::String, "\"\"\"é\n  \"\"\"").0, "é");
    assert_eq!(value_error(&record([("a", Type::U8)]), "{a: 1, a: 2}").0, "a");
    assert_eq!(args_error(&order(), "1, [").0, "");
    assert_eq!(args_error(&order(), "1) , (2").0, ",");
}

#[test]
fn numbers_have_to_fit() {
    for (ty, source) in [
        (Type::U8, "-1"),
        (Type::S8, "128"),
        (Type::U32, "1.0"),
        (Type::U64, "18446744073709551616"),
        (Type::F32, "1e39"),
        (Type::F64, "1e999"),
        (Type::F64, "true"),
        (Type::Bool, "1"),
    ] {
        assert_eq!(value_error(&ty, source).0, source);
    }
    assert_eq!(
        wave::parse_value(&Type::F32, "-inf", &limits()),
        Ok(Value::F32(f32::NEG_INFINITY))
    );
}

#[test]
fn cases_flags_and_words_of_the_grammar() {
    let ty = variant([("none", None), ("circle", Some(Type::F32))]);
    assert_eq!(wave::parse_value(&ty, "%none", &limits()), Ok(case(0, None)));
    assert!(value_error(&ty, "none").1.contains("`%none`"));
    assert_eq!(value_error(&ty, "square(1)").0, "square");
    assert_eq!(
        value_error(&ty, "circle(\"1\")").1,
        "circle: expected f32 (a number), found `\"1\"`"
    );
    assert!(value_error(&ty, "circle").1.contains("`circle(…)` with f32"));
    assert!(
        value_error(&ty, "%none(1)")
            .1
            .contains("`none` without a payload")
    );
    let flags = Type::Flags(names(["read", "true"]));
    assert_eq!(
        wave::parse_value(&flags, "{%true}", &limits()),
        Ok(Value::Flags(vec![false, true]))
    );
    assert_eq!(value_error(&flags, "{read, exec}").0, "exec");
    assert_eq!(
        wave::print(&flags, &Value::Flags(vec![false; 2]), &limits()).unwrap(),
        "{}"
    );
}

#[test]
fn what_may_be_left_out() {
    let settings = record([("a", option(Type::U8)), ("b", option(Type::String))]);
    let none = Value::Record(vec![Value::none(), Value::none()]);
    for source in ["{:}", "{}", "{a: none}"] {
        assert_eq!(
            wave::parse_value(&settings, source, &limits()),
            Ok(none.clone()),
            "{source}"
        );
    }
    assert_eq!(wave::print(&settings, &none, &limits()).unwrap(), "{:}");
    let some = wave::parse_value(&settings, "{a: 1}", &limits());
    assert_eq!(
        some,
        Ok(Value::Record(vec![Value::some(Value::U8(1)), Value::none()]))
    );
    let ty = result(Some(Type::U8), Some(Type::String));
    assert_eq!(
        wave::parse_value(&ty, "7", &limits()),
        Ok(Value::Result(Ok(boxed(Value::U8(7)))))
    );
    // Which option a bare value would belong to is not guessed.
    assert_eq!(value_error(&option(option(Type::U8)), "7").0, "7");
}

#[test]
fn maps_are_lists_of_pairs() {
    let ty = Type::Map(Type::String.into(), Type::U8.into());
    let value = Value::Map(vec![(text("a"), Value::U8(1)), (text("a"), Value::U8(2))]);
    let source = r#"[("a", 1), ("a", 2)]"#;
    assert_eq!(wave::print(&ty, &value, &limits()).unwrap(), source);
    assert_eq!(wave::parse_value(&ty, source, &limits()), Ok(value));
    assert_eq!(
        value_error(&ty, r#"[("a", 1), ("b", x)]"#).1,
        "[1].value: expected u8 (a whole number from 0 to 255), found `x`"
    );
    assert_eq!(value_error(&ty, r#"["a"]"#).0, r#""a""#);
}

#[test]
fn types_and_signatures_in_wit() {
    let ty = list(tuple([Type::U32, record([("a", option(Type::String))])]));
    assert_eq!(wit_name(&ty), "list<tuple<u32, record { a: option<string> }>>");
    assert_eq!(wit_name(&result(None, None)), "result");
    assert_eq!(wit_name(&result(None, Some(Type::U8))), "result<_, u8>");
    assert_eq!(wit_name(&result(Some(Type::U8), None)), "result<u8>");
    assert_eq!(wit_name(&Type::FixedList(Type::U8.into(), 4)), "list<u8, 4>");
    assert_eq!(
        wit_name(&variant([("a", None), ("b", Some(Type::U8))])),
        "variant { a, b(u8) }"
    );
    let f = function([("a", Type::U32), ("b", list(Type::U8))], Some(Type::Bool));
    assert_eq!(signature("add", &f), "add: func(a: u32, b: list<u8>) -> bool");
    let f = FunctionType {
        is_async: true,
        ..function([], None)
    };
    assert_eq!(signature("run", &f), "run: async func()");
}

#[test]
fn the_result_of_a_function_without_one() {
    assert_eq!(
        wave::print_result(&function([], None), None, &limits()).unwrap(),
        "()"
    );
    let f = function([], Some(result(None, Some(Type::String))));
    let value = Value::Result(Err(boxed(text("no"))));
    assert_eq!(
        wave::print_result(&f, Some(&value), &limits()).unwrap(),
        r#"err("no")"#
    );
    assert!(wave::print_result(&f, None, &limits()).is_err());
}

/// The same text as the crate that wasmtime prints with.
#[test]
fn it_is_spelled_as_wasm_wave_spells_it() {
    use wasm_wave::{
        value::{Type as T, Value as V},
        wasm::WasmValue as _,
    };
    let strange = "tab\t quote\" back\\ nul\0 é \u{301} \u{1F44B}\r\n";
    let theirs = T::record([("s", T::STRING), ("f", T::F64), ("c", T::CHAR)]).unwrap();
    let theirs = V::make_record(
        &theirs,
        [
            ("s", V::make_string(strange.into())),
            ("f", V::make_f64(1e21)),
            ("c", V::make_char('\'')),
        ],
    );
    let ours = record([("s", Type::String), ("f", Type::F64), ("c", Type::Char)]);
    let value = Value::Record(vec![text(strange), Value::F64(1e21), Value::Char('\'')]);
    let printed = wave::print(&ours, &value, &limits()).unwrap();
    assert_eq!(printed, wasm_wave::to_string(&theirs.unwrap()).unwrap());
}
