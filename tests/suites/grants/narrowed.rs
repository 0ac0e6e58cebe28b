//! What an operator takes of a grant that a manifest or a ceiling has narrowed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use odeon::{Args, CallOptions, Code, GrantReport, GrantSet, Host, LoadRequest, ReplaceRequest, Source};
use odeon_authority::embed_manifest;
use odeon_tests::guests;

use crate::ground::GUEST;
use crate::host::{at, fault, request, soon, state};
use crate::policy::{events, policy};

async fn revoke(host: &Host, grants: &[&str]) -> Result<GrantReport, odeon::Fault> {
    let grants = grants.iter().map(|text| text.parse().unwrap()).collect();
    host.grant(&"b".parse().unwrap(), Vec::new(), grants, host.principal())
        .await
}

fn granted(host: &Host) -> Vec<String> {
    host.describe(&"b".parse().unwrap()).unwrap().grants
}

/// Loads the guest with a manifest that asks for this, on these terms, to stay.
async fn load(host: &Host, folder: &Path, asks: &str, terms: &[&str]) {
    let manifest = format!("[plugin]\nname = \"b\"\nversion = \"0.1.0\"\n[grants]\n{asks}\n");
    let bytes = embed_manifest(&guests::bytes(GUEST), manifest.as_bytes()).unwrap();
    let digest = odeon_authority::digest_of(&bytes).unwrap();
    let component = folder.join("b.wasm");
    fs::write(&component, bytes).unwrap();
    policy(folder, &format!("[[digest]]\ndigest = \"{digest}\"\n"));
    let terms = GrantSet::parse(terms.iter().copied()).unwrap();
    host.load(LoadRequest::component(component).with_grants(terms))
        .await
        .unwrap();
}

/// Enforced by `Before::without`: what a manifest has made of a wider grant is not
/// granted again by a review, nor after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_of_a_narrowed_grant_stays_away() {
    let state = state();
    let host = at(state.path());
    let asks = "http = [\"a.test\"]\nsecret = [\"token\"]";
    load(
        &host,
        state.path(),
        asks,
        &["http=*", "http=a.test", "secret=token"],
    )
    .await;
    assert_eq!(granted(&host), ["http=a.test", "secret=token"]);
    let report = revoke(&host, &["http=a.test"]).await.unwrap();
    assert_eq!(report.removed, ["http=a.test"]);
    let told = report.warnings.join(" ");
    assert!(
        told.contains("from now on: secret=token (generation 1)"),
        "{told}"
    );
    assert_eq!(granted(&host), ["secret=token"]);
    host.review().await.unwrap();
    assert_eq!(granted(&host), ["secret=token"]);
    assert_eq!(events(state.path(), "grant-change").len(), 1);
    host.shutdown(Duration::ZERO).await;
    drop(host);
    let host = at(state.path());
    host.load_remembered().await.unwrap();
    assert_eq!(granted(&host), ["secret=token"]);
}

/// Enforced by `Before::has`: a grant is taken as it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_can_be_taken_as_it_is_shown() {
    let state = state();
    let row = "[[name]]\nname = \"b\"\ngrants = [\"http=a.test\", \"call=p/add\", \"secret=token\"]\n";
    policy(state.path(), row);
    let host = at(state.path());
    let terms = ["http=*", "call=p", "secret=token"];
    host.load(request(GUEST, "b", &terms)).await.unwrap();
    let shown = granted(&host);
    assert_eq!(shown, ["http=a.test", "secret=token", "call=p/add"]);
    let unknown = fault(revoke(&host, &["http=b.test"]).await);
    assert_eq!(unknown.code, Code::InvalidArguments);
    assert!(
        unknown.message.contains("http=a.test") && unknown.message.contains("http=*"),
        "what it has and what the operator allows: {}",
        unknown.message
    );
    let report = revoke(&host, &["http=a.test", "call=p/add"]).await.unwrap();
    assert_eq!(report.removed, ["call=p/add", "http=a.test"]);
    assert_eq!(granted(&host), ["secret=token"]);
    host.review().await.unwrap();
    assert_eq!(granted(&host), ["secret=token"]);
}

/// Enforced by `Before::without`, for each generation that may come back.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_of_a_narrowed_grant_does_not_come_back_with_the_version_before() {
    let state = state();
    policy(
        state.path(),
        "[[name]]\nname = \"b\"\ngrants = [\"http=a.test\"]\n",
    );
    let host = at(state.path());
    host.load(request(GUEST, "b", &["http=*"])).await.unwrap();
    let bad = Source::Component(guests::component("wat-traps"));
    host.replace(ReplaceRequest {
        allow_unsigned: true,
        health_window: Duration::from_secs(60),
        ..ReplaceRequest::new("b".parse().unwrap(), bad)
    })
    .await
    .unwrap();
    let report = revoke(&host, &["http=a.test"]).await.unwrap();
    let told = report.warnings.join(" ");
    for generation in ["(generation 1)", "(generation 2)"] {
        assert!(
            told.contains(&format!("from now on: nothing {generation}")),
            "{told}"
        );
    }
    for _ in 0..3 {
        let trap = host.call("b/unreachable", Args::Wave(""), CallOptions::default());
        assert_eq!(fault(trap.await).code, Code::Trapped);
    }
    soon("it is back", || host.list()[0].generation.0 == 3).await;
    assert_eq!(granted(&host), [""; 0]);
    host.review().await.unwrap();
    assert_eq!(granted(&host), [""; 0]);
}

/// Where narrowing would not take it, nothing else is taken instead, and it is
/// told.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_wish_of_the_manifest_allows_as_well_is_told_and_stays() {
    let state = state();
    let host = at(state.path());
    let asks = "http = [\"a.test\", \"*.test\"]";
    load(&host, state.path(), asks, &["http=*"]).await;
    let before = granted(&host);
    assert_eq!(before.len(), 2, "{before:?}");
    let report = revoke(&host, &["http=a.test"]).await.unwrap();
    assert_eq!(report.removed, [""; 0]);
    let told = report.warnings.join(" ");
    assert!(
        told.contains("http=*.test is still granted") && !told.contains("from now on"),
        "{told}"
    );
    assert_eq!(granted(&host), before);
    assert_eq!(events(state.path(), "grant-change").len(), 0);
}

/// Enforced by `Before::still_allowed`, which goes by what the policy of now makes
/// of the terms, and not by what an older one left of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_wider_grant_that_the_next_review_gives_is_told() {
    let state = state();
    policy(
        state.path(),
        "[[name]]\nname = \"b\"\ngrants = [\"http=b.test\"]\n",
    );
    let host = at(state.path());
    let terms = ["http=*", "http=a.test"];
    host.load(request(GUEST, "b", &terms)).await.unwrap();
    assert_eq!(granted(&host), ["http=b.test"]);
    // Nobody has reviewed anything by it.
    policy(state.path(), "");
    let report = revoke(&host, &["http=a.test"]).await.unwrap();
    assert_eq!(granted(&host), ["http=b.test"], "to take gives nothing");
    let told = report.warnings.join(" ");
    assert!(told.contains("http=* is still granted (generation 1)"), "{told}");
}
