//! Types that are small on disk and enormous when written out.

use std::fmt::Write as _;

use odeon_protocol::{Code, Kind};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::spec;

use crate::bombs::{refused, runtime};

/// A function whose parameter is a list of lists of … of bytes.
fn nested(levels: usize) -> Vec<u8> {
    let mut text = String::from("(component (type $t1 (list u8))");
    for level in 2..levels {
        let _ = write!(text, "(type $t{level} (list $t{}))", level - 1);
    }
    let _ = write!(
        text,
        "(core module $m (memory (export \"memory\") 1) (func (export \"take\") (param i32 i32))
           (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
         (core instance $i (instantiate $m))
         (alias core export $i \"memory\" (core memory $memory))
         (func (export \"take\") (param \"value\" $t{})
           (canon lift (core func $i \"take\") (memory $memory) (realloc (core func $i \"realloc\")))))",
        levels - 1
    );
    assemble(&text)
}

/// A function whose result is a tuple of two tuples of two tuples of …
fn doubled(levels: usize) -> Vec<u8> {
    let mut text = String::from("(component (type $t0 (tuple u8 u8))");
    for level in 1..levels {
        let _ = write!(text, "(type $t{level} (tuple $t{0} $t{0}))", level - 1);
    }
    let _ = write!(
        text,
        "(core module $m (memory (export \"memory\") 1) (func (export \"give\") (result i32) (i32.const 0)))
         (core instance $i (instantiate $m))
         (alias core export $i \"memory\" (core memory $memory))
         (func (export \"give\") (result $t{}) (canon lift (core func $i \"give\") (memory $memory))))",
        levels - 1
    );
    assemble(&text)
}

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
    // 2^n - 1 tuples and 2^n numbers.
    let runtime = runtime(|limits| limits.type_nodes = (1 << 11) - 1);
    assert!(spec().prepare(&runtime, &doubled(10)).await.is_ok());
    let (error, _) = refused(&runtime, &doubled(11)).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
    assert!(error.to_string().contains("2047 parts"), "{error}");
    for levels in [20, 32, 64, 90] {
        let (error, took) = refused(&runtime, &doubled(levels)).await;
        assert_eq!(error.code().kind(), Kind::InvalidComponent, "{levels}: {error}");
        assert!(took.as_secs() < 10, "{levels}: {took:?}");
    }
}
