//! Types that are small on disk and enormous when written out.

use std::fmt::Write as _;

use odeon_protocol::{Code, Kind};
use odeon_tests::bombs::{doubled, nested, repeated};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::spec;

use crate::bombs::{refused, runtime};

/// Enforced by `Reader::ty` (depth), and by the engine itself beyond 100.
#[tokio::test]
async fn types_end_at_the_depth_limit() {
    let runtime = runtime(|limits| limits.type_depth = 50);
    assert!(spec().prepare(&runtime, &nested(50)).await.is_ok());
    let (error, _) = refused(&runtime, &nested(51)).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
    assert!(error.to_string().contains("50 levels"), "{error}");
    for levels in [101, 1_000, 50_000] {
        let (error, _) = refused(&runtime, &nested(levels)).await;
        assert_eq!(error.code().kind(), Kind::InvalidComponent, "{levels}: {error}");
    }
}

/// Enforced by `Reader::ty` (nodes).
#[tokio::test]
async fn types_end_at_the_limit_of_their_parts() {
    // 2^n - 1 tuples, 2^n numbers, and the function's name.
    let runtime = runtime(|limits| limits.type_nodes = 1 << 11);
    assert!(spec().prepare(&runtime, &doubled(10)).await.is_ok());
    let (error, _) = refused(&runtime, &doubled(11)).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
    assert!(error.to_string().contains("2048 parts"), "{error}");
    for levels in [20, 32, 64, 90] {
        let (error, took) = refused(&runtime, &doubled(levels)).await;
        assert_eq!(error.code().kind(), Kind::InvalidComponent, "{levels}: {error}");
        assert!(took.as_secs() < 10, "{levels}: {took:?}");
    }
}

/// A function whose result is nested this deep, of what `wrap` makes of a type.
fn wrapped(depth: usize, wrap: impl Fn(&str) -> String) -> Vec<u8> {
    let mut text = String::from("(component (type $n0 u8)");
    for level in 1..depth {
        // What has names of its own has to be exported under one.
        let _ = write!(
            text,
            "(type $t{level} {}) (export $n{level} \"n{level}\" (type $t{level}))",
            wrap(&format!("$n{}", level - 1))
        );
    }
    let _ = write!(
        text,
        "(core module $m (memory (export \"memory\") 1) (func (export \"give\") (result i32) (i32.const 0)))
         (core instance $i (instantiate $m))
         (alias core export $i \"memory\" (core memory $memory))
         (func (export \"give\") (result $n{}) (canon lift (core func $i \"give\") (memory $memory))))",
        depth - 1
    );
    assemble(&text)
}

/// A name, and the text of a type around another one.
type Constructor = (&'static str, fn(&str) -> String);

/// Passes by `describe::from_json`, in the answer of the child and in the cache.
#[tokio::test]
async fn types_as_deep_as_the_limit_load_whatever_they_are_made_of() {
    let runtime = runtime(|_| {});
    let constructors: [Constructor; 6] = [
        ("list", |of| format!("(list {of})")),
        ("tuple", |of| format!("(tuple {of})")),
        ("option", |of| format!("(option {of})")),
        ("result", |of| format!("(result {of})")),
        ("record", |of| format!("(record (field \"f\" {of}))")),
        ("variant", |of| format!("(variant (case \"c\" {of}))")),
    ];
    for (name, wrap) in constructors {
        let loaded = spec().prepare(&runtime, &wrapped(100, wrap)).await;
        if let Err(error) = loaded {
            panic!("{name}: {error}");
        }
    }
}

/// A component that imports so many functions without parameters.
fn importing(functions: usize, name: &str) -> Vec<u8> {
    let mut text = String::from("(component (import \"wasi:http/types@0.2.12\" (instance");
    for number in 0..functions {
        let _ = write!(text, "(export \"{name}{number}\" (func))");
    }
    text.push_str(")))");
    assemble(&text)
}

/// Enforced by `Reader::charge`.
#[tokio::test]
async fn names_of_imports_and_exports_are_parts_as_well() {
    let runtime = runtime(|limits| limits.type_nodes = 100);
    assert!(runtime.describe(&importing(99, "f"), None).await.is_ok());
    for bytes in [importing(100, "f"), importing(50, &"f".repeat(80))] {
        let error = runtime.describe(&bytes, None).await.unwrap_err();
        assert!(error.to_string().contains("100 parts"), "{error}");
    }
}

/// Enforced by `Reader::charge`: an interface is written out once for each
/// name that it is exported under.
#[tokio::test]
async fn functions_without_a_type_count_as_parts_too() {
    // Ten interfaces of a hundred functions each.
    let runtime = runtime(|limits| limits.type_nodes = 1_010);
    let fitting = spec().prepare(&runtime, &repeated(100, 10, "i")).await;
    assert_eq!(fitting.expect("a thousand functions fit").methods().len(), 1_000);
    let (error, _) = refused(&runtime, &repeated(101, 10, "i")).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
    assert!(error.to_string().contains("1010 parts"), "{error}");
}

/// Eight hundred thousand functions in a file of forty kilobytes: neither the child
/// nor the host spends long on them. Enforced by `Reader::charge`.
#[tokio::test]
async fn timed_an_interface_that_is_exported_many_times_ends_at_the_limit() {
    let runtime = runtime(|_| {});
    let bytes = repeated(2_000, 400, "i");
    let (error, took) = refused(&runtime, &bytes).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
    assert!(took.as_secs() < 10, "{took:?}");
}

/// Enforced by `describe::MAX_DESCRIPTION`: the host keeps an interface's name
/// once per function of it.
#[tokio::test]
async fn long_names_of_many_functions_end_at_the_limit() {
    let runtime = runtime(|_| {});
    let name = "n".repeat(90_000);
    assert!(spec().prepare(&runtime, &repeated(10, 1, &name)).await.is_ok());
    let (error, _) = refused(&runtime, &repeated(1_000, 1, &name)).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
}
