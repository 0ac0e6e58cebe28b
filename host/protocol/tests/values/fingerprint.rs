//! Two sides agree on a function, or are told where they differ.

use std::collections::HashSet;

use odeon_protocol::{Fingerprint, FunctionType, Type, test_util::arb_function, type_diff};
use proptest::prelude::*;

use crate::{function, list, names, option, record, result, tuple, variant};

proptest! {
    #[test]
    fn types_differ_exactly_when_fingerprints_do(a in arb_function(), b in arb_function()) {
        prop_assert_eq!(a == b, Fingerprint::of(&a) == Fingerprint::of(&b));
        prop_assert_eq!(a == b, type_diff(&a, &b).is_none());
        prop_assert_eq!(type_diff(&a, &a.clone()), None);
        let text = Fingerprint::of(&a).to_string();
        prop_assert_eq!(text.parse::<Fingerprint>().unwrap(), Fingerprint::of(&a));
    }
}

/// Fixed for ever: peers of other versions compute the same.
#[test]
fn the_fingerprint_of_add_is_known() {
    let add = function([("a", Type::U32), ("b", Type::U32)], Some(Type::U32));
    assert_eq!(
        Fingerprint::of(&add).to_string(),
        "dca81773deef955236f5dced5188ef02"
    );
}

#[test]
fn types_that_are_nearly_the_same_have_different_fingerprints() {
    let types = [
        tuple([Type::U8, Type::U8]),
        tuple([tuple([Type::U8]), Type::U8]),
        tuple([tuple([Type::U8, Type::U8])]),
        record([("a", Type::U8), ("b", Type::U8)]),
        record([("ab", Type::U8), ("b", Type::U8)]),
        variant([("a", Some(Type::U8)), ("b", Some(Type::U8))]),
        variant([("a", None), ("b", Some(Type::U8))]),
        Type::Enum(names(["a", "b"])),
        Type::Enum(names(["ab"])),
        Type::Flags(names(["a", "b"])),
        result(Some(Type::U8), None),
        result(None, Some(Type::U8)),
        Type::FixedList(Type::U8.into(), 1),
        Type::FixedList(Type::U8.into(), 2),
        Type::Map(Type::U8.into(), Type::U8.into()),
        list(tuple([Type::U8, Type::U8])),
        Type::Handle("own<a>".into()),
        Type::Handle("borrow<a>".into()),
    ];
    let prints: HashSet<_> = types
        .iter()
        .map(|ty| Fingerprint::of(&function([("a", ty.clone())], None)))
        .collect();
    assert_eq!(prints.len(), types.len());
}

#[track_caller]
fn differ(expected: &FunctionType, found: &FunctionType, text: &str) {
    assert_eq!(type_diff(expected, found).as_deref(), Some(text));
}

#[test]
fn the_first_difference_is_named() {
    let add = |b, result| function([("a", Type::U32), ("b", b)], result);
    let sum = Some(Type::U32);
    differ(
        &add(Type::U32, sum.clone()),
        &add(Type::U64, sum.clone()),
        "parameter `b`: expected u32, found u64",
    );
    differ(
        &add(Type::U32, sum.clone()),
        &add(Type::U32, None),
        "result: expected u32, found none",
    );
    let point = |x: &str| record([(x, Type::F64), ("y", Type::F64)]);
    differ(
        &function([], Some(point("x"))),
        &function([], Some(record([("y", Type::F64)]))),
        "result → field `x` is missing",
    );
    differ(
        &function([], Some(record([("y", Type::F64)]))),
        &function([], Some(record([("y", Type::F64), ("z", Type::F64)]))),
        "result → field `z` is unexpected",
    );
    differ(
        &function([("p", list(option(point("x"))))], None),
        &function(
            [("p", list(option(record([("x", Type::F64), ("y", Type::F32)]))))],
            None,
        ),
        "parameter `p` → element → some → field `y`: expected f64, found f32",
    );
    differ(
        &function([], Some(Type::Enum(names(["red", "green"])))),
        &function([], Some(Type::Enum(names(["green", "red"])))),
        "result → case `red` expected, found `green` in its place",
    );
    differ(
        &function([("a", Type::U8)], None),
        &function([("a", Type::U8), ("b", Type::U8)], None),
        "parameter `b` is unexpected",
    );
    let sync = function([], None);
    let concurrent = FunctionType {
        is_async: true,
        ..sync.clone()
    };
    differ(
        &sync,
        &concurrent,
        "expected a sync function, found an async function",
    );
}
