//! Daemons beside each other, and one whose trust policy is edited under it.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, time::Instant};

use odeon::Code;
use serde_json::Value as Json;

use crate::desk::{Desk, PATIENCE};

/// What the audit says, oldest line first.
fn events(desk: &Desk, state: &[&str]) -> Vec<Json> {
    let audit = desk
        .odeon(&[&["audit", "--verify", "--json"], state].concat())
        .ended(0);
    let lines = audit.json()["audit"].as_array().unwrap().clone();
    lines.into_iter().map(|line| line["event"].clone()).collect()
}

#[test]
fn two_hosts_with_two_state_directories_know_nothing_of_each_other() {
    let desk = Desk::with_kit();
    let (one, other) = (["--state", "one"], ["--state", "other"]);
    let mut first = desk.serve(&one);
    let second = desk.serve(&other);
    assert_ne!(first.ready, second.ready);
    let on = |state: [&str; 2], args: &[&str]| desk.odeon(&[args, &state].concat());
    on(one, &["load", "kit.wasm", "--name", "mine", "--allow-unsigned"]).ended(0);
    // The same name is free where nobody has it.
    on(other, &["load", "kit.wasm", "--name", "mine", "--allow-unsigned"]).ended(0);
    on(
        other,
        &["load", "kit.wasm", "--name", "yours", "--allow-unsigned"],
    )
    .ended(0);
    assert_eq!(on(other, &["call", "yours/add", "1", "2"]).ended(0).stdout, "3\n");
    on(one, &["call", "yours/add", "1", "2"]).ended(4);
    // A request of the one is none of the other's.
    let spins = on(one, &["call", "mine/spin", "--async", "--json"])
        .ended(0)
        .json();
    let serial = spins["serial"].as_str().unwrap();
    on(other, &["cancel", serial]).ended(4);
    on(one, &["cancel", serial]).ended(0);
    // So is its end.
    on(one, &["stop"]).ended(0);
    assert_eq!(first.ended(), Some(0));
    on(one, &["list"]).ended(4);
    assert_eq!(on(other, &["call", "mine/add", "1", "2"]).ended(0).stdout, "3\n");
    let loads = |state: [&str; 2]| {
        let events = events(&desk, &state);
        let loads = events.iter().filter(|event| event["kind"] == "load");
        loads
            .map(|event| event["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(loads(one), ["mine"]);
    assert_eq!(loads(other), ["mine", "yours"]);
}

/// Falls with `StateLock::take` and `socket::refuse_if_answered`.
#[test]
fn a_second_host_is_told_who_is_there_and_disturbs_nobody() {
    let desk = Desk::with_kit();
    let server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    let pid = server.pid().to_string();
    let socket = desk.socket().display().to_string();
    for args in [
        // The same state directory, whatever the socket is.
        &["serve"][..],
        &["serve", "--socket", "elsewhere.sock"],
    ] {
        let ran = desk.odeon(args).ended(8);
        assert!(ran.stdout.is_empty(), "it was never ready: {ran:#?}");
        assert!(
            ran.stderr.contains("ODN-5005") && ran.stderr.contains(&pid) && ran.stderr.lines().count() < 25,
            "{ran:#?}"
        );
    }
    // Another state directory, and a socket that somebody answers at.
    let ran = desk
        .odeon(&["serve", "--state", "other", "--socket", &socket])
        .ended(8);
    assert!(ran.stderr.contains("ODN-5005"), "{ran:#?}");
    assert_eq!(desk.odeon(&["call", "kit/add", "1", "2"]).ended(0).stdout, "3\n");
    assert!(!desk.path("elsewhere.sock").exists());
}

/// Falls with `Host::review_changes`: nobody tells the daemon but the file.
#[test]
fn a_policy_that_is_edited_by_hand_takes_out_what_it_revokes() {
    let desk = Desk::with_signed_kit();
    desk.odeon(&["trust", "add", "--key", "author.key.pub"]).ended(0);
    let _server = desk.serve(&[]);
    desk.odeon(&["load", "signed.wasm"]).ended(0);
    desk.odeon(&["load", "kit.wasm", "--name", "other", "--allow-unsigned"])
        .ended(0);
    let callers: Vec<_> = (0..3)
        .map(|_| {
            desk.command(&["call", "kit/spin", "--json"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let until = Instant::now() + PATIENCE;
    let in_flight = || desk.odeon(&["status", "--json"]).ended(0).json()["status"]["in_flight"].clone();
    while in_flight().as_array().unwrap().len() < callers.len() {
        assert!(Instant::now() < until, "they never all began");
    }

    let policy = desk.path("home/.local/state/odeon/trust.toml");
    let key = fs::read_to_string(desk.path("author.key.pub")).unwrap();
    let key = key
        .split_whitespace()
        .find(|word| word.starts_with("ed25519:"))
        .unwrap();
    let edited = desk.path("home/.local/state/odeon/trust.edited");
    fs::write(
        &edited,
        format!("[[key]]\nkey = \"{key}\"\ndecision = \"deny\"\n"),
    )
    .unwrap();
    fs::set_permissions(&edited, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&edited, &policy).unwrap();

    for caller in callers {
        let output = caller.wait_with_output().unwrap();
        let said: Json = serde_json::from_slice(&output.stdout).expect("a final status");
        assert_eq!(said["ok"], false);
        assert_eq!(said["fault"]["code"], Code::Unloaded.as_str(), "{said}");
    }
    let until = Instant::now() + PATIENCE;
    while desk.odeon(&["call", "kit/add", "1", "2"]).status != 4 {
        assert!(Instant::now() < until, "it was never taken out");
    }
    let refused = desk.odeon(&["load", "signed.wasm", "--json"]).ended(3);
    assert_eq!(refused.json()["fault"]["code"], Code::KeyRevoked.as_str());
    // What the key did not let in stays.
    assert_eq!(
        desk.odeon(&["call", "other/add", "1", "2"]).ended(0).stdout,
        "3\n"
    );
    let events = events(&desk, &[]);
    let denied =
        |event: &&Json| event["kind"] == "decision" && event["allowed"] == false && event["name"] == "kit";
    let codes: Vec<_> = events
        .iter()
        .filter(denied)
        .map(|event| event["code"].clone())
        .collect();
    assert_eq!(codes, [Code::KeyRevoked.as_str(), Code::KeyRevoked.as_str()]);
    let gone = |event: &&Json| event["kind"] == "unload" && event["name"] == "kit";
    assert_eq!(events.iter().filter(gone).count(), 1, "{events:#?}");
}
