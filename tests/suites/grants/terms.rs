//! What the operator allows a loaded plugin, changed while it is loaded.

use std::fs;
use std::time::Duration;

use odeon::{Code, Host, LoadRequest};
use odeon_authority::Grant;
use odeon_tests::guests;

use crate::ground::{Folder, GUEST};
use crate::host::{at, fault, request, state};
use crate::policy::{events, policy, told};

fn parsed(texts: &[&str]) -> Vec<Grant> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

async fn grant(host: &Host, add: &[&str], revoke: &[&str]) -> Result<odeon::GrantReport, odeon::Fault> {
    let name = "b".parse().unwrap();
    host.grant(&name, parsed(add), parsed(revoke), host.principal())
        .await
}

/// Enforced by `Host::change_terms`.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gives_and_takes_while_it_runs() {
    let (state, folder) = (state(), Folder::new());
    let host = at(state.path());
    host.load(request(GUEST, "b", &["env=A=1"])).await.unwrap();
    assert_eq!(told(&host, "b/long.variable", "\"A\"", &[]).await, "some(\"1\")");
    let report = grant(&host, &[&folder.grant(""), "env=B=2"], &["env=A"])
        .await
        .unwrap();
    assert_eq!(report.added, ["env=B".to_owned(), folder.grant("")]);
    assert_eq!(report.removed, ["env=A"]);
    assert_eq!(told(&host, "b/long.variable", "\"A\"", &[]).await, "none");
    assert_eq!(told(&host, "b/long.variable", "\"B\"", &[]).await, "some(\"2\")");
    assert_eq!(
        told(&host, "b/kept.open", "\"/data\", \"hello\"", &[]).await,
        "ok"
    );
    let changes = events(state.path(), "grant-change");
    assert_eq!(
        (changes.len(), &changes[0]["rule"]),
        (1, &"operator's terms".into())
    );
    assert!(!changes[0].to_string().contains("\"2\""), "no value is on record");
    // What is not there is not taken.
    let unknown = fault(grant(&host, &[], &["secret=x"]).await);
    assert_eq!(unknown.code, Code::InvalidArguments);
    assert!(unknown.message.contains("env=B"), "{}", unknown.message);
    // Without a word it is said.
    let shown = grant(&host, &[], &[]).await.unwrap();
    assert_eq!(shown.grants.lines().len(), 2);
}

/// Enforced by `Host::change_terms`, which decides as at a load.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gives_no_more_than_the_policy_leaves() {
    let state = state();
    policy(
        state.path(),
        "[[name]]\nname = \"b\"\ngrants = [\"secret=token\"]\n",
    );
    let host = at(state.path());
    host.load(request(GUEST, "b", &[])).await.unwrap();
    let report = grant(&host, &["secret=token", "secret=other"], &[])
        .await
        .unwrap();
    assert_eq!(report.grants.lines(), ["secret=token"]);
    assert!(
        report.warnings[0].contains("secret=other"),
        "{:?}",
        report.warnings
    );
}

/// Enforced by `Loaded::asked`: what is loaded again is loaded on the terms of
/// last.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_load_is_remembered_on_the_new_terms() {
    let state = state();
    let digest = odeon_protocol::Digest::of(&guests::bytes(GUEST));
    policy(state.path(), &format!("[[digest]]\ndigest = \"{digest}\"\n"));
    let host = at(state.path());
    let load = LoadRequest::component(guests::component(GUEST)).named("b".parse().unwrap());
    host.load(load.with_grants(odeon::GrantSet::parse(["env=A=1"]).unwrap()))
        .await
        .unwrap();
    grant(&host, &["secret=token"], &["env=A"]).await.unwrap();
    host.shutdown(Duration::ZERO).await;
    let remembered = fs::read_to_string(state.path().join("loads.toml")).unwrap();
    assert!(
        remembered.contains("secret=token") && !remembered.contains("env=A"),
        "{remembered}"
    );
    let host = at(state.path());
    host.load_remembered().await.unwrap();
    assert_eq!(
        host.describe(&"b".parse().unwrap()).unwrap().grants,
        ["secret=token"]
    );
    // A replace goes on from them too.
    grant(&host, &["secret=more"], &[]).await.unwrap();
    host.replace(odeon::ReplaceRequest::reload("b".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        host.describe(&"b".parse().unwrap()).unwrap().grants,
        ["secret=more", "secret=token"]
    );
}

/// Enforced by `Host::change_terms`: a file says what a plugin may use, or
/// nobody would know who does.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_descriptor_says_is_changed_there() {
    let state = state();
    let digest = odeon_protocol::Digest::of(&guests::bytes(GUEST));
    policy(state.path(), &format!("[[digest]]\ndigest = \"{digest}\"\n"));
    let descriptor = state.path().join("b.toml");
    let text = format!(
        "source = \"{}\"\nname = \"b\"\n",
        guests::component(GUEST).display()
    );
    fs::write(&descriptor, text).unwrap();
    let host = at(state.path());
    host.load(LoadRequest::descriptor(&descriptor)).await.unwrap();
    let refused = fault(grant(&host, &["secret=token"], &[]).await);
    assert_eq!(refused.code, Code::WrongState);
    assert!(refused.message.contains("edit the file"), "{}", refused.message);
    assert!(grant(&host, &[], &[]).await.is_ok(), "it is shown all the same");
}
