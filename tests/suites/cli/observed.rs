//! `odeon dump`, `odeon profile`, and what `odeon run` leaves behind.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::desk::Desk;

fn is_wasm(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

#[test]
fn a_call_that_traps_after_dump_leaves_a_file_that_dump_shows() {
    let desk = Desk::with_kit();
    let _server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    let armed = desk.odeon(&["dump", "kit", "--traps", "2", "--for", "5m", "--json"]);
    let armed = armed.ended(0).json();
    assert_eq!(
        (&armed["name"], &armed["armed"]["traps"]),
        (&"kit".into(), &2.into())
    );
    desk.odeon(&["call", "kit/trap"]).ended(6);
    // Ends it, and waits for what is being written.
    let shown = desk.odeon(&["dump", "kit", "--off", "--json"]).ended(0).json();
    assert!(shown["armed"].is_null());
    let row = &shown["dumps"][0];
    assert_eq!(row["code"], "ODN-2001");
    let file = row["file"].as_str().unwrap();
    assert!(is_wasm(&std::fs::read(file).unwrap()));
    assert_eq!(
        std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let again = desk.odeon(&["dump", "kit"]).ended(0);
    assert!(
        again.stdout.contains(file) && again.stdout.contains("leave no core dump"),
        "{again:#?}"
    );
    // Whoever looks orders nothing, and throws nothing away.
    let again = desk.odeon(&["dump", "kit", "--json"]).ended(0).json();
    assert!(again["armed"].is_null() && again["dumps"][0]["file"] == file);
    let why = desk.odeon(&["why", "kit"]).ended(0);
    assert!(why.stdout.contains("left a core dump"), "{why:#?}");
}

#[test]
fn dump_says_what_is_wrong_with_an_order() {
    let desk = Desk::with_kit();
    let _server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    desk.odeon(&["dump", "nobody"]).ended(4);
    for wrong in [
        &["--traps", "0"][..],
        &["--traps", "17"],
        &["--traps", "many"],
        &["--traps", "1", "--for", "25h"],
        &["--traps", "1", "--for", "0s"],
        &["--traps", "1", "--for", "soon"],
        &["--for", "5m"],
        &["--off", "--traps", "1"],
        &["--off", "--for", "5m"],
    ] {
        let ran = desk.odeon(&[&["dump", "kit"], wrong].concat()).ended(2);
        assert!(!ran.stderr.is_empty(), "{wrong:?}");
    }
    desk.odeon(&["dump", "Not A Name"]).ended(2);
}

#[test]
fn a_profile_is_put_where_it_is_wanted_and_a_second_is_refused() {
    let desk = Desk::with_kit();
    let _server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    let mut long = desk.command(&["profile", "kit", "--for", "5m", "-o", "kit.json", "--json"]);
    let long = long.stdout(Stdio::piped()).spawn().unwrap();
    // It is on record when it begins.
    let until = Instant::now() + Duration::from_secs(30);
    while !desk.odeon(&["audit", "--json"]).stdout.contains("\"profile\"") {
        assert!(Instant::now() < until, "the first profile never began");
    }
    let second = loop {
        let second = desk.odeon(&["profile", "kit", "--for", "10ms"]);
        if second.status != 0 || Instant::now() > until {
            break second;
        }
    };
    assert_eq!(second.status, 8, "{second:#?}");
    assert!(second.stderr.contains("one at a time"), "{second:#?}");
    // It ends with the plugin.
    desk.odeon(&["unload", "kit"]).ended(0);
    let ended = long.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let reply: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let file = desk.path("kit.json");
    assert_eq!(reply["file"], file.display().to_string());
    let profile: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(profile["threads"].is_array());
    desk.odeon(&["profile", "kit"]).ended(4);
}

#[test]
fn profile_says_what_is_wrong_with_a_time() {
    let desk = Desk::with_kit();
    let _server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    for time in ["11m", "0s", "long"] {
        let ran = desk.odeon(&["profile", "kit", "--for", time]).ended(2);
        assert!(!ran.stderr.is_empty(), "{time}");
    }
    let plain = desk.odeon(&["profile", "kit", "--for", "10ms"]).ended(0);
    assert!(
        plain.stdout.contains("0 samples") && plain.stdout.contains("profiles/"),
        "{plain:#?}"
    );
}

#[test]
fn run_leaves_a_core_dump_and_a_profile_where_it_is_told() {
    let desk = Desk::with_kit();
    let observed = |invoke: &str| {
        desk.odeon(&[
            "run",
            "kit.wasm",
            invoke,
            "--allow-unsigned",
            "--core-dump",
            "core",
            "--profile",
            "p.json",
        ])
    };
    let ran = observed("trap()").ended(6);
    assert!(ran.stderr.contains("core dump is in"), "{ran:#?}");
    assert!(is_wasm(&std::fs::read(desk.path("core")).unwrap()));
    assert!(desk.path("p.json").is_file());
    std::fs::remove_file(desk.path("core")).unwrap();
    let ran = observed("add(1, 2)").ended(0);
    assert_eq!(ran.stdout, "3\n");
    assert!(ran.stderr.contains("no core dump"), "{ran:#?}");
    assert!(!desk.path("core").exists());
    let listing = desk.odeon(&["run", "kit.wasm", "--core-dump", "core"]).ended(2);
    assert!(listing.stderr.contains("of a call"), "{listing:#?}");
}
