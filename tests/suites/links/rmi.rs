//! `odeon:plugin/rmi`: calls by name.

use odeon_protocol::{Code, Fingerprint};
use odeon_tests::runtime::{Spec, call};

use crate::town::{Town, perform};

async fn town(grants: &[&str]) -> (Town, odeon_runtime::Plugin, Spec) {
    let town = Town::new();
    town.load(&town.spec("provider"), "guest-provider").await;
    town.load(&town.spec("other"), "guest-provider").await;
    let mut spec = town.caller("caller", "provider");
    for grant in grants {
        spec = spec.grant(grant);
    }
    let caller = town.load(&spec, "guest-caller").await;
    (town, caller, spec)
}

/// Enforced by `Wanted::find` and the wire form of `odeon_sdk::rmi`.
#[tokio::test]
async fn a_method_is_called_by_its_name() {
    let (_town, caller, _) = town(&["call=other"]).await;
    for method in [
        "other/perform",
        "other/steps.perform",
        "other/odeon-tests:links/steps@0.1.0.perform",
    ] {
        let told = call(&caller, &perform(["next", "by-name", method]))
            .await
            .unwrap();
        assert_eq!(told, r#"ok("done")"#, "{method}");
    }
    let error = call(&caller, &perform(["next", "by-name", "other/perform", "error"]))
        .await
        .unwrap();
    assert_eq!(error, r#"err("as it was told")"#);
    let facts = call(&caller, &perform(["next", "by-name", "other/perform", "facts"]))
        .await
        .unwrap();
    assert!(facts.contains("callers plugin:caller "), "{facts}");
}

/// Enforced by `Wanted::find`: whoever says which type the method has is called
/// for no other.
#[tokio::test]
async fn a_method_of_another_type_than_was_meant_is_not_called() {
    let (_town, caller, _) = town(&["call=other"]).await;
    // Both plugins export the same.
    let of = |function: &str| {
        let mut methods = caller.methods().iter();
        let method = methods.find(|method| &*method.function == function).unwrap();
        Fingerprint::of(&method.ty).to_string()
    };
    let add = |fingerprint: &str| perform(["next", "by-fingerprint", "other/add", fingerprint]);
    let sum = call(&caller, &add(&of("add"))).await.unwrap();
    assert_eq!(sum, r#"ok("[5, 0, 0, 0]")"#);
    let told = call(&caller, &add(&of("perform"))).await.unwrap();
    assert!(
        told.contains(&format!("{}: ", Code::VersionMismatch))
            && told.contains(": expected add with the fingerprint"),
        "{told}"
    );
    let told = call(&caller, &add("nonsense")).await.unwrap();
    assert!(told.contains(&Code::InvalidArguments.to_string()), "{told}");
}

/// Enforced by `GrantSet::calls_of` and `GrantSet::call`.
#[tokio::test]
async fn what_is_not_granted_is_denied_and_on_record() {
    let (_town, caller, spec) = town(&["call=other/perform"]).await;
    let by_name = |method: &str| perform(["next", "by-name", method]);
    assert_eq!(
        call(&caller, &by_name("other/steps.perform")).await.unwrap(),
        r#"ok("done")"#
    );
    for method in [
        "provider/perform",
        "other/add",
        "other/frobnicate",
        "absent/perform",
    ] {
        let told = call(&caller, &by_name(method)).await.unwrap();
        assert!(
            told.contains(&format!("ODN-4014: the plugin has no grant call={method}")),
            "{told}"
        );
    }
    let denials = spec.records().denials();
    let targets: Vec<&str> = denials.iter().map(|denied| &*denied.target).collect();
    assert_eq!(
        targets,
        [
            "provider/perform",
            "other/add",
            "other/frobnicate",
            "absent/perform"
        ]
    );
    assert!(
        denials
            .iter()
            .all(|denied| denied.kind == "call" && denied.plugin == "caller")
    );
}

/// Enforced by `Host for HostState` in `interfaces/rmi.rs`: a linked import could
/// not say it.
#[tokio::test]
async fn a_fault_is_a_value() {
    let (town, caller, _) = town(&["call=other", "call=absent"]).await;
    for (method, steps, code) in [
        ("other/perform", vec!["trap"], Code::Trapped),
        ("other/add", vec![], Code::InvalidArguments),
        ("other/frobnicate", vec![], Code::MethodNotFound),
        ("absent/perform", vec![], Code::LinkUnavailable),
        ("nonsense", vec![], Code::InvalidArguments),
    ] {
        let steps = ["try", "next", "by-name", method].into_iter().chain(steps);
        let told = call(&caller, &perform(steps)).await.unwrap();
        assert!(told.contains(&format!("told: {code}: ")), "{method}: {told}");
    }
    assert_eq!(caller.stats().faults, 0);
    assert_eq!(town.ended(), ["other other/perform ODN-2001"]);
}

/// Enforced by `HostState::over_by`: a plugin cannot go on after its own end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_own_end_is_not_a_value() {
    let (town, _, spec) = town(&["call=other"]).await;
    let short = spec.deadline(std::time::Duration::from_millis(200));
    let caller = town.load(&short, "guest-caller").await;
    let told = call(
        &caller,
        &perform(["try", "next", "by-name", "other/perform", "spin"]),
    )
    .await;
    assert_eq!(told.unwrap_err().code, Code::DeadlineLimit);
}
