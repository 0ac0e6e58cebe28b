//! Components that do not link are told everything that is wrong, at once.
#![allow(
    clippy::bool_assert_comparison,
    clippy::cloned_ref_to_slice_refs,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

use odeon_protocol::{Code, Fault};
use odeon_runtime::{LoadError, Problem, check_imports};
use odeon_tests::clock::thread_cpu;
use odeon_tests::guests;
use odeon_tests::runtime::{call, runtime, spec};

/// Enforced by `Linker::instantiate_pre` in `runtime.rs`; reported by
/// `link::explain`, without whose call the mismatches are not listed.
#[tokio::test]
async fn every_missing_import_is_named_with_its_fix() {
    let Err(LoadError::Link(report)) = spec()
        .prepare(&runtime(), &guests::bytes("wat-missing-imports"))
        .await
    else {
        panic!("a component with missing imports was loaded");
    };
    assert_eq!(
        report.to_string(),
        "4 imports of the component do not link:\n\
         - odeon-tests:nobody/has-this@1.0.0: there is no such interface\n\
         \x20 expected an interface of this host, found odeon-tests:nobody/has-this@1.0.0\n\
         \x20 a component can import WASI, wasi:logging, wasi:config and odeon:plugin; if a plugin exports this \
         interface, load it with `odeon load --link odeon-tests:nobody/has-this=PLUGIN`, or [links] in its descriptor\n\
         - wasi:cli/exit@0.2.12 exit-politely: the interface has no such function\n\
         \x20 expected a function of wasi:cli/exit@0.2.12, found exit-politely; the nearest is exit\n\
         \x20 build the component against wasi:cli/exit@0.2.12, which is what this host has\n\
         - wasi:random/random@0.2.12 get-random-u64: the function has another type\n\
         \x20 expected the type it has in wasi:random/random@0.2.12, found another: result: expected u64, found string\n\
         \x20 build the component against wasi:random/random@0.2.12, which is what this host has\n\
         - odeon:plugin/request@7.0.0: it is there in another version\n\
         \x20 expected version 0.1.0, found version 7.0.0; the nearest is odeon:plugin/request@0.1.0\n\
         \x20 build the component against odeon:plugin/request@0.1.0; versions with the same major number link, below 1.0 \
         with the same minor number"
    );
}

/// The fault that reaches a caller holds the list for programs.
#[tokio::test]
async fn the_fault_holds_the_list() {
    let refused = spec()
        .prepare(&runtime(), &guests::bytes("wat-missing-imports"))
        .await;
    let fault = Fault::from(refused.err().expect("a refusal"));
    assert_eq!(fault.code, Code::LinkFailed);
    let details = fault.details.expect("details");
    let problems: Vec<_> = details["mismatches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["problem"].as_str())
        .collect();
    assert_eq!(
        problems,
        [
            Some("unknown-interface"),
            Some("unknown-function"),
            Some("function-type"),
            Some("version")
        ]
    );
    assert_eq!(details["mismatches"][1]["nearest"], "exit");
}

/// Without loading: what `odeon check` prints.
#[tokio::test]
async fn imports_are_checked_without_a_plugin() {
    let runtime = runtime();
    let description = runtime
        .describe(&guests::bytes("wat-missing-imports"), None)
        .await
        .unwrap();
    let problems: Vec<_> = check_imports(&description)
        .mismatches
        .into_iter()
        .map(|one| one.problem)
        .collect();
    assert_eq!(
        problems,
        [
            Problem::UnknownInterface,
            Problem::UnknownFunction,
            Problem::FunctionType,
            Problem::Version
        ]
    );
}

/// The comparison agrees with the engine about everything that links.
#[tokio::test]
async fn what_links_has_an_empty_report() {
    let runtime = runtime();
    for guest in [
        "guest-echo",
        "guest-fs-escape",
        "guest-spin",
        "sample-calculator",
        "sample-file-indexer",
    ] {
        let plugin = spec().load(&runtime, guest).await;
        let report = check_imports(plugin.description());
        assert!(report.is_empty(), "{guest}: {report}");
    }
}

/// The engine takes compatible versions for one another, and so does the check.
#[tokio::test]
async fn an_older_compatible_version_links() {
    let component = guests::assemble(
        r#"(component
            (import "wasi:random/random@0.2.0" (instance $r (export "get-random-u64" (func (result u64)))))
            (core func $f (canon lower (func $r "get-random-u64")))
            (core module $m (import "" "f" (func $f (result i64))) (func (export "g") (result i64) (call $f)))
            (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
            (func (export "random") (result u64) (canon lift (core func $i "g")))
        )"#,
    );
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &component).await.expect("it links");
    assert!(check_imports(plugin.description()).is_empty());
    call(&plugin, "random()").await.expect("a number");
}

/// A pre-release is like no other version, for the engine and for the check.
#[tokio::test]
async fn another_pre_release_does_not_link() {
    let component = guests::assemble(
        r#"(component (import "wasi:logging/logging@0.1.0-final" (instance
            (export "log" (func (param "message" string))))))"#,
    );
    let Err(LoadError::Link(report)) = spec().prepare(&runtime(), &component).await else {
        panic!("a component with another pre-release was loaded");
    };
    assert_eq!(report.mismatches.len(), 1, "{report}");
    assert_eq!(report.mismatches[0].problem, Problem::Version);
    assert!(
        report.mismatches[0].fix.ends_with("exactly this version links"),
        "{report}"
    );
}

/// An instance import without functions asks for nothing at run time.
#[tokio::test]
async fn an_interface_of_types_alone_links() {
    let component = guests::assemble(
        r#"(component (import "nobody:has/types@1.0.0" (instance
            (type $t (record (field "a" u8))) (export "t" (type (eq $t))))))"#,
    );
    let plugin = spec().prepare(&runtime(), &component).await.expect("it links");
    assert!(check_imports(plugin.description()).is_empty());
}

/// Enforced by `LinkReport::push`, which makes no words that are not kept.
#[tokio::test]
async fn timed_a_report_on_very_many_imports_takes_no_longer_than_on_a_few() {
    let name = "outgoing-request-".repeat(5);
    let mut text = String::from("(component (import \"wasi:http/types@0.2.12\" (instance");
    for number in 0..20_000 {
        text.push_str(&format!("(export \"{name}f{number}\" (func))"));
    }
    text.push_str(")))");
    let description = runtime()
        .describe(&guests::assemble(&text), None)
        .await
        .expect("it compiles");
    // Of its own: what others do is not its work.
    let began = thread_cpu();
    let report = check_imports(&description);
    let took = thread_cpu() - began;
    assert_eq!(report.mismatches.len() + report.more, 20_000);
    assert_eq!(report.mismatches.len(), 256);
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
}
