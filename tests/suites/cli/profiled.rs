//! The end of a profile, and where it is put.

use std::process::{Child, Stdio};

use odeon_tests::clock::until;

use crate::desk::{Desk, PATIENCE, Server, signal};

/// A host with a plugin, of which a long profile is being made.
fn begun(output: &[&str]) -> (Desk, Server, Child) {
    let desk = Desk::with_kit();
    let server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    let mut long = desk.command(&[&["profile", "kit", "--for", "5m", "--json"], output].concat());
    let long = long.stdout(Stdio::piped()).spawn().unwrap();
    // It has its place when it is on record.
    let audit = desk.path("home/.local/state/odeon/audit.jsonl");
    until("the profile is on record", PATIENCE, || {
        let audit = std::fs::read_to_string(&audit).unwrap();
        audit.contains(r#""kind":"profile""#)
    });
    let second = desk.odeon(&["profile", "kit", "--for", "10ms"]).ended(8);
    assert!(second.said().contains("odeon profile NAME --off"), "{second:#?}");
    (desk, server, long)
}

fn profiles(desk: &Desk) -> usize {
    let folder = desk.path("home/.local/state/odeon/profiles");
    std::fs::read_dir(folder).unwrap().count()
}

/// Enforced by `Host::end_profile`: whoever asked for it has what there is.
#[test]
fn a_profile_that_an_operator_ends_is_whole() {
    let (desk, _server, long) = begun(&["-o", "kit.json"]);
    until("it has begun, and ends", PATIENCE, || {
        let ended = desk.odeon(&["profile", "kit", "--off", "--json"]).ended(0).json();
        assert_eq!(ended["name"], "kit");
        ended["ended"] == true
    });
    let ended = long.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let file = desk.path("kit.json");
    let profile: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(profile["threads"].is_array());
    let none = desk.odeon(&["profile", "kit", "--off"]).ended(0);
    assert!(none.stdout.contains("no profile is being made"), "{none:#?}");
    desk.odeon(&["profile", "nobody", "--off"]).ended(4);
    desk.odeon(&["profile", "kit", "--off", "--for", "1s"]).ended(2);
}

/// Nobody would get it. Enforced by `Desk::admin`, whose guard goes with the
/// connection.
#[test]
fn a_profile_ends_with_whoever_asked_for_it() {
    let (desk, _server, mut long) = begun(&[]);
    let before = profiles(&desk);
    signal(long.id(), "INT");
    assert!(!long.wait().unwrap().success());
    until("the place is free again", PATIENCE, || {
        desk.odeon(&["profile", "kit", "--for", "10ms"]).status == 0
    });
    assert_eq!(profiles(&desk), before + 1, "the last one's");
}

/// Enforced by `whereabouts::writable`: before anything is looked at.
#[test]
fn a_profile_that_could_not_be_put_anywhere_is_not_begun() {
    let desk = Desk::with_kit();
    let _server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    std::fs::create_dir(desk.path("folder")).unwrap();
    for (to, why) in [
        ("nowhere/kit.json", "there is no folder"),
        ("folder", "a directory"),
        ("kit.wasm/kit.json", "there is no folder"),
    ] {
        let ran = desk
            .odeon(&["profile", "kit", "--for", "10ms", "-o", to])
            .ended(8);
        assert!(
            ran.said().contains("cannot be written") && ran.said().contains(why),
            "{ran:#?}"
        );
        let flags = ["--allow-unsigned", "--core-dump", to];
        let ran = desk.odeon(&[&["run", "kit.wasm", "add(1, 2)"][..], &flags].concat());
        let ran = ran.ended(8);
        assert!(ran.stdout.is_empty() && ran.said().contains(why), "{ran:#?}");
    }
    let folder = desk.path("home/.local/state/odeon/profiles");
    assert!(!folder.exists(), "nobody was asked");
}
