//! `odeon why`: from the record alone, whether a host is there or not.

use crate::desk::Desk;

/// A component that imports what no host has.
const UNLINKED: &str = r#"
(component
  (import "acme:storage/table@2.0.0" (instance (export "get" (func (result u32)))))
  (import "acme:queue/topic@1.0.0" (instance (export "send" (func (param "a" u32)))))
)"#;

fn why(desk: &Desk, name: &str) -> serde_json::Value {
    desk.odeon(&["why", name, "--json"]).ended(0).json()["why"].clone()
}

/// Enforced by `command::why`, `Host::note_failed` and `why::moment`.
#[test]
fn what_does_not_link_is_explained_after_the_host_is_gone() {
    let desk = Desk::with_kit();
    desk.component("bad.wasm", UNLINKED);
    let mut server = desk.serve(&[]);
    desk.odeon(&["load", "bad.wasm", "--name", "bad", "--allow-unsigned"])
        .ended(7);
    let running = why(&desk, "bad");
    desk.odeon(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));
    let stopped = why(&desk, "bad");
    assert_eq!(running["because"], stopped["because"]);
    let because = &stopped["because"];
    assert_eq!(
        (&because["event"], &because["code"]),
        (&"load-failed".into(), &"ODN-3008".into())
    );
    let mismatches = because["mismatches"].as_array().unwrap();
    assert_eq!(mismatches.len(), 2, "{because}");
    for (mismatch, interface) in mismatches.iter().zip(["acme:storage/table", "acme:queue/topic"]) {
        assert!(mismatch.as_str().unwrap().contains(interface), "{mismatch}");
    }
    let shown = desk.odeon(&["why", "bad"]).ended(0).stdout;
    for part in [
        "bad: not loaded",
        "ODN-3008",
        "acme:storage/table",
        "acme:queue/topic",
        "do  ",
        "record ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// Enforced by `Decision::event` (the rule) and `why::cause`.
#[test]
fn what_was_refused_and_revoked_is_explained_by_its_rule() {
    let desk = Desk::with_signed_kit();
    let mut server = desk.serve(&[]);
    desk.odeon(&["load", "signed.wasm"]).ended(3);
    let refused = why(&desk, "kit")["because"].clone();
    assert_eq!(
        (&refused["event"], &refused["code"]),
        (&"refused".into(), &"ODN-4003".into())
    );
    assert_eq!(refused["rule"], "default: what no row lets in is refused");

    desk.odeon(&["trust", "add", "--key", "author.key.pub", "--name", "kit"])
        .ended(0);
    desk.odeon(&["load", "signed.wasm"]).ended(0);
    let serves = why(&desk, "kit");
    assert_eq!(
        (&serves["serving"], &serves["because"]),
        (&true.into(), &serde_json::Value::Null)
    );
    assert!(
        desk.odeon(&["why", "kit"])
            .ended(0)
            .stdout
            .contains("nothing was denied")
    );

    desk.odeon(&["trust", "revoke", "author.key.pub"]).ended(0);
    let until = std::time::Instant::now() + crate::desk::PATIENCE;
    while why(&desk, "kit")["serving"] == true {
        assert!(std::time::Instant::now() < until, "it was never taken out");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let revoked = why(&desk, "kit")["because"].clone();
    assert_eq!(revoked["code"], "ODN-4004", "{revoked}");
    assert!(
        revoked["rule"].as_str().unwrap().starts_with("denied key "),
        "{revoked}"
    );
    assert!(
        revoked["fix"].as_str().unwrap().contains("odeon trust list"),
        "{revoked}"
    );
    desk.odeon(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));
    let stays = why(&desk, "kit")["because"].clone();
    assert_eq!(stays["code"], "ODN-4004", "{stays}");
}

/// Enforced by `Recorder::stopped` and `advice::limit`.
#[test]
fn what_a_limit_stopped_is_explained_by_the_limit() {
    let desk = Desk::with_kit();
    let mut server = desk.serve(&[]);
    desk.odeon(&[
        "load",
        "kit.wasm",
        "--name",
        "kit",
        "--allow-unsigned",
        "--limit",
        "deadline=50ms",
    ])
    .ended(0);
    desk.odeon(&["call", "kit/spin"]).ended(6);
    desk.odeon(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));
    let history = why(&desk, "kit")["history"].as_array().unwrap().clone();
    let stopped = history
        .iter()
        .find(|moment| moment["event"] == "stopped")
        .expect("it is on record");
    assert_eq!(
        (&stopped["code"], &stopped["rule"]),
        (&"ODN-2004".into(), &"deadline".into())
    );
    assert!(stopped["message"].as_str().unwrap().contains("spin"), "{stopped}");
}

#[test]
fn there_is_nothing_to_say_about_what_is_on_no_record() {
    let desk = Desk::with_kit();
    desk.odeon(&["why", "kit", "--state", "nowhere"]).ended(4);
    let mut server = desk.serve(&[]);
    desk.odeon(&["why", "kit"]).ended(4);
    desk.odeon(&["why", "no name"]).ended(2);
    desk.odeon(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));
}

/// A version that cannot take the state over, one that does not link and one
/// that traps: the old one serves each time, and the record says why. Enforced
/// by `Host::note_not_handed_over`, `Host::note_failed` and `Host::roll_back`.
#[test]
fn every_version_that_did_not_stay_is_explained() {
    let desk = Desk::new();
    for (file, guest) in [
        ("counter.wasm", "sample-counter"),
        ("counter-v2.wasm", "sample-counter-v2"),
        ("bad.wasm", "wat-traps"),
    ] {
        desk.write(file, odeon_tests::guests::bytes(guest));
    }
    desk.component("unlinked.wasm", UNLINKED);
    let _server = desk.serve(&[]);
    let replace = |file: &str, status: i32| {
        desk.odeon(&["replace", "counter", file, "--allow-unsigned"])
            .ended(status);
    };
    desk.odeon(&["load", "counter-v2.wasm", "--allow-unsigned"])
        .ended(0);
    // The first version does not read what the second one wrote.
    replace("counter.wasm", 8);
    let because = why(&desk, "counter")["because"].clone();
    assert_eq!(
        (&because["event"], &because["code"]),
        (&"load-failed".into(), &"ODN-3018".into())
    );
    assert!(
        because["message"].as_str().unwrap().contains("unknown-format"),
        "{because}"
    );
    replace("unlinked.wasm", 7);
    let because = why(&desk, "counter")["because"].clone();
    assert_eq!(because["mismatches"].as_array().unwrap().len(), 2, "{because}");
    replace("bad.wasm", 0);
    for _ in 0..3 {
        desk.odeon(&["call", "counter/unreachable"]).ended(6);
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while why(&desk, "counter")["because"]["event"] != "rolled-back" {
        assert!(std::time::Instant::now() < end, "{}", why(&desk, "counter"));
    }
    let because = why(&desk, "counter")["because"].clone();
    assert!(
        because["message"].as_str().unwrap().contains("trapped"),
        "{because}"
    );
    assert_eq!(why(&desk, "counter")["serving"], true);
    desk.odeon(&["call", "counter/value"]).ended(0);
}
