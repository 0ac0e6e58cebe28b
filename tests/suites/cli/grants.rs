//! `grant`, `trust revoke --grant`, `trust deputy`, and what `why` says of it.

use std::process::Stdio;

use odeon_tests::clock::until;
use odeon_tests::guests;

use crate::desk::{Desk, PATIENCE, Server};

/// A host with the guest that keeps what it opened, under these grants.
fn with_holder(grants: &[&str]) -> (Desk, Server) {
    let desk = Desk::new();
    desk.write("holder.wasm", guests::bytes("guest-holder"));
    let server = desk.serve(&[]);
    let mut load = vec!["load", "holder.wasm", "--name", "holder", "--allow-unsigned"];
    load.extend(grants.iter().flat_map(|grant| ["--grant", *grant]));
    desk.odeon(&load).ended(0);
    (desk, server)
}

fn variable(desk: &Desk, name: &str) -> String {
    let wave = format!("\"{name}\"");
    desk.odeon(&["call", "holder/long.variable", &wave])
        .ended(0)
        .stdout
}

/// Enforced by `Host::change_terms`.
#[test]
fn grant_gives_and_takes_and_shows() {
    let (desk, _server) = with_holder(&["env=A=1"]);
    let shown = desk.odeon(&["grant", "holder"]).ended(0).stdout;
    assert_eq!(shown, "holder generation 1 may use:\n  env=A\n");
    let changed = desk
        .odeon(&["grant", "holder", "env=B=2", "--revoke", "env=A", "--json"])
        .ended(0)
        .json();
    assert_eq!(
        (&changed["added"][0], &changed["removed"][0], &changed["grants"]),
        (&"env=B".into(), &"env=A".into(), &serde_json::json!(["env=B"]))
    );
    // As `load`, `replace` and `unload` say which plugin it was.
    let plugin = &changed["plugin"];
    assert_eq!(
        (&plugin["name"], &plugin["generation"], &plugin["state"]),
        (&"holder".into(), &1.into(), &"ready".into())
    );
    assert_eq!(variable(&desk, "A"), "none\n");
    assert_eq!(variable(&desk, "B"), "some(\"2\")\n");
    desk.odeon(&["grant", "holder", "--revoke", "env=A"]).ended(2);
    desk.odeon(&["grant", "holder", "nonsense"]).ended(2);
    desk.odeon(&["grant", "nobody", "env=A"]).ended(4);
    let why = desk.odeon(&["why", "holder"]).ended(0).stdout;
    assert!(
        why.contains("it was granted env=B and lost env=A by user:"),
        "{why}"
    );
}

/// A call that runs loses what is taken away. Enforced by `Warrant::set`.
#[test]
fn a_running_call_loses_a_variable_at_its_next_use() {
    let (desk, _server) = with_holder(&["env=A=1"]);
    let mut command = desk.command(&["call", "holder/long.variable-until-gone", "\"A\""]);
    let running = command.stdout(Stdio::piped()).spawn().unwrap();
    until("it runs", PATIENCE, || {
        let rows = desk.odeon(&["list", "--json"]).ended(0).json();
        rows["plugins"][0]["in_flight"] == 1
    });
    desk.odeon(&["grant", "holder", "--revoke", "env=A"]).ended(0);
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse::<u64>()
            .is_ok()
    );
}

/// Enforced by `PolicyEdit::take_away`, and the review that follows.
#[test]
fn a_revoked_grant_is_gone_from_what_runs_and_why_names_the_rule() {
    let (desk, _server) = with_holder(&["secret=token", "env=A=1"]);
    let revoked = desk
        .odeon(&[
            "trust",
            "revoke",
            "--grant",
            "secret=token",
            "--name",
            "hold*",
            "--json",
        ])
        .ended(0)
        .json();
    assert_eq!(
        (&revoked["revoked"], &revoked["kind"], &revoked["name"]),
        (&"secret=token".into(), &"grant".into(), &"hold*".into())
    );
    until("the policy is applied", PATIENCE, || {
        let granted = desk.odeon(&["grant", "holder", "--json"]).ended(0).json();
        granted["grants"] == serde_json::json!(["env=A"])
    });
    // The operator's own word does not bring it back.
    let again = desk.odeon(&["grant", "holder", "--revoke", "secret=token", "secret=token"]);
    assert!(again.ended(0).stderr.contains("trust policy allows less"));
    let refused = desk.odeon(&["call", "holder/kept.take", "\"token\""]).ended(1);
    assert!(refused.stdout.contains("enied"), "{refused:?}");
    let because = || {
        let why = desk.odeon(&["why", "holder", "--json"]).ended(0).json();
        why["why"]["because"].clone()
    };
    until("the denial is on record", PATIENCE, || {
        because()["event"] == "denied"
    });
    assert_eq!(because()["rule"], "trust policy: name hold* takes it away");
    let rows = desk.odeon(&["trust", "list"]).ended(0).stdout;
    assert!(rows.contains("without secret=token"), "{rows}");
}

/// Enforced by `PolicyEdit::add_deputy` and `remove_deputy`.
#[test]
fn deputies_are_named_listed_and_removed_on_record() {
    let desk = Desk::new();
    desk.odeon(&["trust", "deputy", "add", "b"]).ended(2);
    desk.odeon(&["trust", "deputy", "add", "b", "--for", "a", "--for", "x*"])
        .ended(0);
    let rows = desk.odeon(&["trust", "deputy", "list", "--json"]).ended(0).json();
    assert_eq!(
        (
            &rows["trust"][0]["kind"],
            &rows["trust"][0]["subject"],
            &rows["trust"][0]["names"]
        ),
        (&"deputy".into(), &"b".into(), &serde_json::json!(["a", "x*"]))
    );
    assert!(
        desk.odeon(&["trust", "list"])
            .ended(0)
            .stdout
            .contains("for a x*")
    );
    let unknown = desk.odeon(&["trust", "deputy", "remove", "b", "--for", "y"]);
    assert!(unknown.stderr.contains("may act for y"), "{unknown:?}");
    desk.odeon(&["trust", "deputy", "remove", "b"]).ended(0);
    let audit = desk.odeon(&["audit", "--json"]).ended(0).json();
    let changes: Vec<_> = audit["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["event"]["change"])
        .collect();
    assert_eq!(changes, ["deputy add b --for a --for x*", "deputy remove b"]);
}
