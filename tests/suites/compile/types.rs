//! Types that are small on disk and enormous when written out.

use odeon_protocol::{Code, Kind};
use odeon_tests::bombs::{doubled, nested, repeated};
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

/// Enforced by `Reader::take`.
#[tokio::test]
async fn types_end_at_the_limit_of_their_parts() {
    // The function, 2^n - 1 tuples and 2^n numbers.
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

/// Enforced by `Reader::function`, which counts the function itself.
#[tokio::test]
async fn functions_without_a_type_count_as_parts_too() {
    let runtime = runtime(|limits| limits.type_nodes = 1_000);
    let fitting = spec().prepare(&runtime, &repeated(100, 10, "i")).await;
    assert_eq!(fitting.expect("a thousand functions fit").methods().len(), 1_000);
    let (error, _) = refused(&runtime, &repeated(91, 11, "i")).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
    assert!(error.to_string().contains("1000 parts"), "{error}");
}

/// Four million functions in a file of a hundred kilobytes: neither the child nor the
/// host spends long on them. Enforced by `Reader::function`.
#[tokio::test]
async fn timed_an_interface_that_is_exported_many_times_ends_at_the_limit() {
    let runtime = runtime(|_| {});
    let bytes = repeated(2_000, 2_000, "i");
    let (error, took) = refused(&runtime, &bytes).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
    assert!(took.as_secs() < 10, "{took:?}");
}

/// Enforced by `Reader::name`: the host keeps an interface's name once per
/// function of it.
#[tokio::test]
async fn long_names_of_many_functions_end_at_the_limit() {
    let runtime = runtime(|_| {});
    let name = "n".repeat(90_000);
    assert!(spec().prepare(&runtime, &repeated(10, 1, &name)).await.is_ok());
    let (error, _) = refused(&runtime, &repeated(1_000, 1, &name)).await;
    assert_eq!(error.code(), Code::TypeTooDeep, "{error}");
}
