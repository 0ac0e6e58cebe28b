//! What the operator allows a loaded plugin, changed while it is loaded.

use std::fs;
use std::time::Duration;

use odeon::{Args, CallOptions, Code, Host, LoadRequest, ReplaceRequest, Source};
use odeon_authority::Grant;
use odeon_tests::guests;

use crate::ground::{Folder, GUEST};
use crate::host::{at, fault, request, soon, state};
use crate::policy::{events, policy, told};

fn parsed(texts: &[&str]) -> Vec<Grant> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

async fn grant(host: &Host, add: &[&str], revoke: &[&str]) -> Result<odeon::GrantReport, odeon::Fault> {
    let name = "b".parse().unwrap();
    host.grant(&name, parsed(add), parsed(revoke), host.principal())
        .await
}

fn by(component: &str, health_window: Duration) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        health_window,
        ..ReplaceRequest::new(
            "b".parse().unwrap(),
            Source::Component(guests::component(component)),
        )
    }
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

/// Enforced by `Host::take_from_replaced`: calls of a version that is leaving go
/// on, and lose what is taken as those of the one that serves do.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_version_that_was_replaced_loses_what_is_taken() {
    let state = state();
    let host = at(state.path());
    host.load(request(GUEST, "b", &["env=A=1"])).await.unwrap();
    let caller = host.clone();
    let running = tokio::spawn(async move {
        let args = Args::Wave("\"A\"");
        caller
            .call("b/long.variable-until-gone", args, CallOptions::default())
            .await
    });
    soon("it runs", || host.list()[0].in_flight == 1).await;
    host.replace(by(GUEST, Duration::ZERO)).await.unwrap();
    grant(&host, &[], &["env=A"]).await.unwrap();
    let reply = running.await.unwrap().unwrap();
    assert_eq!(reply.generation.0, 1, "the old one answered");
    assert_eq!(events(state.path(), "grant-change").len(), 1);
}

/// Enforced by `Host::take_from_replaced`: a version that comes back has lost
/// what was taken while it was away.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_does_not_come_back_with_the_version_before() {
    let state = state();
    let host = at(state.path());
    host.load(request(GUEST, "b", &["env=A=1"])).await.unwrap();
    host.replace(by("wat-traps", Duration::from_secs(30)))
        .await
        .unwrap();
    grant(&host, &[], &["env=A"]).await.unwrap();
    for _ in 0..3 {
        let trap = host.call("b/unreachable", Args::Wave(""), CallOptions::default());
        assert_eq!(fault(trap.await).code, Code::Trapped);
    }
    soon("it is back", || host.list()[0].generation.0 == 3).await;
    assert_eq!(told(&host, "b/long.variable", "\"A\"", &[]).await, "none");
    assert_eq!(grant(&host, &[], &[]).await.unwrap().grants.lines(), [""; 0]);
}

/// Enforced by `GrantSet::take_out`, which takes what is named, and by
/// `GrantSet::still_allows`, so that nobody takes that for more than it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_wider_grant_still_allows_is_told() {
    let state = state();
    let host = at(state.path());
    host.load(request(GUEST, "b", &["http=a.test", "http=*", "env=A=1"]))
        .await
        .unwrap();
    let report = grant(&host, &[], &["http=a.test"]).await.unwrap();
    assert_eq!(report.removed, ["http=a.test"]);
    let told = report.warnings.join(" ");
    assert!(told.contains("http=* is still granted (generation 1)"), "{told}");
    // What is not there by this very name is not taken, and what is there is said.
    let unknown = fault(grant(&host, &[], &["http=b.test"]).await);
    assert_eq!(unknown.code, Code::InvalidArguments);
    assert!(unknown.message.contains("http=*"), "{}", unknown.message);
    let report = grant(&host, &[], &["env=A"]).await.unwrap();
    assert_eq!(report.warnings, [""; 0], "nothing is wider");
}

/// Enforced by `Host::change_terms`, which looks at every generation that may
/// come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_wider_grant_of_a_version_that_may_come_back_is_told_and_can_be_taken() {
    let state = state();
    let row = |component: &str, grant: &str| {
        let digest = odeon_protocol::Digest::of(&guests::bytes(component));
        format!("[[digest]]\ndigest = \"{digest}\"\ngrants = [\"{grant}\"]\n")
    };
    let rows = row(GUEST, "http=*") + &row("wat-traps", "http=a.test");
    policy(state.path(), &rows);
    let host = at(state.path());
    let load = LoadRequest::component(guests::component(GUEST)).named("b".parse().unwrap());
    host.load(load).await.unwrap();
    let next = ReplaceRequest {
        allow_unsigned: false,
        ..by("wat-traps", Duration::from_secs(30))
    };
    host.replace(next).await.unwrap();
    let report = grant(&host, &[], &["http=a.test"]).await.unwrap();
    let told = report.warnings.join(" ");
    assert!(
        told.contains("http=*") && told.contains("(generation 1)"),
        "{told}"
    );
    // It is taken by its own name, although the one that serves never had it.
    let report = grant(&host, &[], &["http=*"]).await.unwrap();
    assert_eq!(report.removed, [""; 0]);
    let told = report.warnings.join(" ");
    assert!(told.contains("from generation 1 alone"), "{told}");
    let changes = events(state.path(), "grant-change");
    assert_eq!(
        (&changes[1]["generation"], &changes[1]["removed"]),
        (&1.into(), &serde_json::json!(["http=*"]))
    );
    for _ in 0..3 {
        let trap = host.call("b/unreachable", Args::Wave(""), CallOptions::default());
        assert_eq!(fault(trap.await).code, Code::Trapped);
    }
    soon("it is back", || host.list()[0].generation.0 == 3).await;
    assert_eq!(grant(&host, &[], &[]).await.unwrap().grants.lines(), [""; 0]);
    let gone = fault(grant(&host, &[], &["http=*"]).await);
    assert_eq!(gone.code, Code::InvalidArguments, "no generation has it");
}

/// Enforced by `Host::take`, before anything that can fail.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_is_gone_whatever_comes_of_what_is_added() {
    let state = state();
    let digest = odeon_protocol::Digest::of(&guests::bytes(GUEST));
    policy(state.path(), &format!("[[digest]]\ndigest = \"{digest}\"\n"));
    let host = at(state.path());
    let load = LoadRequest::component(guests::component(GUEST)).named("b".parse().unwrap());
    let given = odeon::GrantSet::parse(["env=A=1", "env=B=2"]).unwrap();
    host.load(load.with_grants(given)).await.unwrap();
    // The policy cannot be read: nothing is added, and what is taken is gone.
    policy(state.path(), "nonsense");
    let refused = fault(grant(&host, &["env=C=3"], &["env=A"]).await);
    assert_eq!(refused.code, Code::PolicyUnreadable, "{refused}");
    assert_eq!(told(&host, "b/long.variable", "\"A\"", &[]).await, "none");
    assert_eq!(events(state.path(), "grant-change").len(), 1);
    // Taking alone asks nobody.
    policy(state.path(), &format!("[[digest]]\ndigest = \"{digest}\"\n"));
    host.review().await.unwrap();
    assert_eq!(told(&host, "b/long.variable", "\"A\"", &[]).await, "none");
    // Nor does it need the record.
    fs::write(state.path().join("audit.head"), "nonsense").unwrap();
    let unrecorded = fault(grant(&host, &["env=C=3"], &["env=B"]).await);
    assert_eq!(unrecorded.code, Code::AuditUnwritable, "{unrecorded}");
    assert_eq!(grant(&host, &[], &[]).await.unwrap().grants.lines(), [""; 0]);
    let remembered = fs::read_to_string(state.path().join("loads.toml")).unwrap();
    assert!(!remembered.contains("env="), "{remembered}");
}

/// Enforced by `Change::both`, which cannot see values.
#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_gets_another_value_is_on_record() {
    let state = state();
    let host = at(state.path());
    host.load(request(GUEST, "b", &["env=A=1"])).await.unwrap();
    grant(&host, &["env=A=2"], &["env=A"]).await.unwrap();
    assert_eq!(told(&host, "b/long.variable", "\"A\"", &[]).await, "some(\"2\")");
    let changes = events(state.path(), "grant-change");
    let names = serde_json::json!(["env=A"]);
    assert_eq!((&changes[0]["removed"], &changes[0]["added"]), (&names, &names));
}

/// Enforced by `Host::change_terms`: what was refused is not said to be added.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_on_record_as_added() {
    let state = state();
    let digest = odeon_protocol::Digest::of(&guests::bytes(GUEST));
    let row = format!("[[digest]]\ndigest = \"{digest}\"\n");
    // The policy takes away what the operator takes, so that nothing is left of it.
    let without = format!("{row}[[name]]\nname = \"b\"\nwithout = [\"env=A\"]\n");
    policy(state.path(), &without);
    let host = at(state.path());
    let load = LoadRequest::component(guests::component(GUEST)).named("b".parse().unwrap());
    let given = odeon::GrantSet::parse(["env=A=1"]).unwrap();
    host.load(load.with_grants(given)).await.unwrap();
    policy(state.path(), "nonsense");
    fault(grant(&host, &["env=C=3"], &["env=A"]).await);
    let changes = events(state.path(), "grant-change");
    assert_eq!(
        (&changes[0]["removed"], &changes[0]["added"]),
        (&serde_json::json!(["env=A"]), &serde_json::json!([]))
    );
}

/// Enforced by `Change::of_terms`.
#[tokio::test(flavor = "multi_thread")]
async fn terms_that_have_no_effect_by_now_are_on_record() {
    let state = state();
    policy(state.path(), "[[name]]\nname = \"b\"\ngrants = []\n");
    let host = at(state.path());
    host.load(request(GUEST, "b", &[])).await.unwrap();
    let report = grant(&host, &["secret=token"], &[]).await.unwrap();
    assert_eq!(report.grants.lines(), [""; 0]);
    let changes = events(state.path(), "grant-change");
    assert_eq!(changes[0]["added"], serde_json::json!(["secret=token"]));
    assert_eq!(
        changes[0]["rule"],
        "operator's terms, under what the trust policy allows"
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
