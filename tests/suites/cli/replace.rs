//! `odeon replace` and `odeon reload`, as an operator types them.

use serde_json::Value as Json;

use crate::desk::{Desk, Server};

/// A served counter that has counted to 41.
fn counted() -> (Desk, Server) {
    let desk = Desk::new();
    for (file, guest) in [
        ("counter.wasm", "sample-counter"),
        ("counter-v2.wasm", "sample-counter-v2"),
    ] {
        desk.write(file, odeon_tests::guests::bytes(guest));
    }
    let server = desk.serve(&[]);
    desk.odeon(&["load", "counter.wasm", "--allow-unsigned"]).ended(0);
    desk.odeon(&["call", "counter/increment", "41"]).ended(0);
    (desk, server)
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_and_its_state() {
    let (desk, _server) = counted();
    let ran = desk
        .odeon(&["replace", "counter", "counter-v2.wasm", "--allow-unsigned"])
        .ended(0);
    assert!(
        ran.stdout
            .starts_with("replaced counter generation 1 by generation 2, with its state (sha256:"),
        "{ran:#?}"
    );
    assert_eq!(
        desk.odeon(&["call", "counter/increment", "1"]).ended(0).stdout,
        "ok(42)\n"
    );
    let ran = desk
        .odeon(&[
            "reload",
            "counter",
            "--allow-unsigned",
            "--health",
            "0s",
            "--json",
        ])
        .ended(0)
        .json();
    assert_eq!(
        (
            &ran["from"],
            &ran["plugin"]["generation"],
            &ran["state_handed_over"]
        ),
        (&2.into(), &3.into(), &true.into())
    );
    assert!(ran["switch_us"].is_u64() && ran["elapsed_us"].is_u64(), "{ran}");
    let audit = desk.odeon(&["audit", "--json"]).ended(0).json();
    let kinds = audit["audit"].as_array().unwrap().iter();
    let kinds: Vec<&Json> = kinds.map(|line| &line["event"]["kind"]).collect();
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "replace").count(),
        2,
        "{kinds:?}"
    );
}

#[test]
fn what_cannot_come_says_why_and_the_old_version_serves_on() {
    let (desk, _server) = counted();
    desk.write(
        "half.wasm",
        &odeon_tests::guests::bytes("sample-counter-v2")[..1000],
    );
    for (args, status, words) in [
        (
            &["replace", "counter", "counter-v2.wasm"][..],
            3,
            "--allow-unsigned",
        ),
        (&["replace", "counter", "none.wasm"], 4, "none.wasm"),
        (
            &["replace", "counter", "half.wasm", "--allow-unsigned"],
            7,
            "ODN-30",
        ),
        (
            &["replace", "nobody", "counter-v2.wasm", "--allow-unsigned"],
            4,
            "odeon list",
        ),
        (&["replace", "counter"], 2, "FILE"),
        (
            &["replace", "counter", "counter-v2.wasm", "--drain", "soon"],
            2,
            "--drain",
        ),
        (
            &["replace", "counter", "counter-v2.wasm", "--health", "-1s"],
            2,
            "-1",
        ),
        (&["reload", "nobody"], 4, "odeon list"),
        (&["reload", "counter"], 3, "--allow-unsigned"),
    ] {
        let ran = desk.odeon(args).ended(status);
        assert!(
            ran.stderr.contains(words),
            "{args:?}: expected {words:?} in {ran:#?}"
        );
    }
    assert_eq!(desk.odeon(&["call", "counter/value"]).ended(0).stdout, "41\n");
    let list = desk.odeon(&["list", "--json"]).ended(0).json();
    assert_eq!(list["plugins"][0]["generation"], 1);
}

/// A version that traps is gone by itself, and the record says why.
#[test]
fn a_bad_version_is_rolled_back_and_that_is_on_record() {
    let (desk, _server) = counted();
    desk.write("bad.wasm", odeon_tests::guests::bytes("wat-traps"));
    let ran = desk
        .odeon(&["replace", "counter", "bad.wasm", "--allow-unsigned"])
        .ended(0);
    assert!(ran.stderr.contains("is not handed over"), "{ran:#?}");
    for _ in 0..3 {
        desk.odeon(&["call", "counter/unreachable"]).ended(6);
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while desk.odeon(&["list", "--json"]).json()["plugins"][0]["generation"] != 3 {
        assert!(std::time::Instant::now() < end, "the old version is not back");
    }
    assert_eq!(desk.odeon(&["call", "counter/value"]).ended(0).stdout, "41\n");
    let audit = desk.odeon(&["audit", "--json"]).ended(0).stdout;
    assert!(audit.contains("\"rollback\"") && audit.contains("calls trapped within the health window"));
}
