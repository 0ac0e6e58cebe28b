//! Lookups of a guest's own.

use std::sync::Arc;

use odeon_runtime::StaticResolver;
use odeon_tests::runtime::spec;

use crate::harness::{Turning, assert_denied, attempt, load, runtime, runtime_with, told};

/// Falls with `EgressPolicy::check_lookup` in `Egress::lookup`: a query alone
/// carries data out.
#[tokio::test]
async fn a_name_without_a_rule_never_leaves_the_host() {
    let resolver = Turning::new(&["192.88.98.1"]);
    let runtime = runtime_with(resolver.clone());
    let spec = spec().grant("tcp=allowed.test:80").grant("http=web.test");
    let records = spec.records();
    let plugin = load(&runtime, &spec).await;
    for name in [
        "secret.evil.test",
        "web.test",
        "sub.allowed.test",
        "allowed.test.evil.test",
    ] {
        let result = told(&plugin, &format!(r#"resolve("{name}")"#)).await;
        assert_eq!(result, r#"err("access-denied")"#, "{name}");
        assert_denied(&records, "dns", name);
    }
    assert_eq!(resolver.asked(), 0);
}

#[tokio::test]
async fn an_address_needs_no_lookup() {
    let resolver = Turning::new(&["192.88.98.1"]);
    let (result, records) = attempt(&runtime_with(resolver.clone()), spec(), r#"resolve("127.0.0.1")"#).await;
    assert_eq!(result, r#"ok(["127.0.0.1"])"#);
    assert_eq!((resolver.asked(), records.denials().len()), (0, 0));
}

/// Falls with the filter in `Egress::lookup`: of several answers only those a
/// rule opens are told.
#[tokio::test]
async fn a_guest_is_told_only_the_addresses_it_may_use() {
    let addresses = [
        "127.0.0.1",
        "192.88.98.1",
        "::ffff:10.0.0.1",
        "2600::1",
        "169.254.169.254",
    ];
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let resolver = StaticResolver::new([("mixed.test".to_owned(), addresses)]);
    let spec = spec().grant("tcp=mixed.test:80");
    let (result, _) = attempt(
        &runtime_with(Arc::new(resolver)),
        spec,
        r#"resolve("mixed.test")"#,
    )
    .await;
    assert_eq!(result, r#"ok(["192.88.98.1", "2600::1"])"#);
}

#[tokio::test]
async fn a_name_that_does_not_exist_and_text_that_is_no_name_are_told_apart() {
    let runtime = runtime(&[]);
    let spec = spec().grant("tcp=*.test:80");
    let plugin = load(&runtime, &spec).await;
    assert_eq!(
        told(&plugin, r#"resolve("none.test")"#).await,
        r#"err("name-unresolvable")"#
    );
    assert_eq!(
        told(&plugin, r#"resolve("not a name")"#).await,
        r#"err("invalid-argument")"#
    );
    assert_eq!(
        told(&plugin, r#"resolve("")"#).await,
        r#"err("invalid-argument")"#
    );
}

/// Unicode becomes ASCII before any rule is compared with it.
#[tokio::test]
async fn a_name_in_unicode_is_its_ascii_form() {
    let runtime = runtime(&[("xn--bcher-kva.test", "192.88.98.1")]);
    let spec = spec().grant("tcp=xn--bcher-kva.test:80");
    let (result, _) = attempt(&runtime, spec, r#"resolve("BÜCHER.test")"#).await;
    assert_eq!(result, r#"ok(["192.88.98.1"])"#);
}
