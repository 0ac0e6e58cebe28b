//! Components that are meant to burst the compiler, at the command line and
//! beside a host that serves.

use std::time::{Duration, Instant};

use odeon_tests::bombs::{doubled, huge_function, million_functions, nested, repeated};

use odeon_tests::stall::Stalls;

use crate::components::KIT;
use crate::desk::Desk;

/// How long compiling may take in these tests.
const CONFIG: &str = "[host-limits]\ncompile-time = \"1s\"\ncompile-memory = \"256MiB\"\n";

/// The longest that a call beside a bomb may take, with the start of the
/// command that makes it, but for what the cores stood still meanwhile.
const PROMPT: Duration = Duration::from_secs(1);

fn with_bombs() -> Desk {
    let desk = Desk::in_memory();
    desk.component("kit.wasm", KIT);
    desk.write("deep.wasm", nested(50_000));
    desk.write("doubled.wasm", doubled(90));
    desk.write("huge.wasm", huge_function(300_000));
    desk.write("million.wasm", million_functions());
    desk.write("repeated.wasm", repeated(2_000, 400, "i"));
    desk
}

/// Falls with `compile::compile` (the time-out), `child::confine` and
/// `Reader::take`; with `Host::load`, if that compiled where it serves.
#[test]
fn timed_a_bomb_ends_with_7_and_the_host_serves_meanwhile() {
    let desk = with_bombs();
    desk.write("odeon.toml", CONFIG);
    let _server = desk.serve(&["--config", "odeon.toml"]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    for bomb in [
        "deep.wasm",
        "doubled.wasm",
        "huge.wasm",
        "million.wasm",
        "repeated.wasm",
    ] {
        let mut exploding = desk
            .command(&["load", bomb, "--allow-unsigned", "--json"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stalls = Stalls::watch();
        let status = loop {
            let began = Instant::now();
            desk.odeon(&["call", "kit/add", "1", "2"]).ended(0);
            let took = stalls.since(began);
            assert!(took.own() < PROMPT, "{bomb}: {took:?}");
            if let Some(status) = exploding.try_wait().unwrap() {
                break status;
            }
        };
        let output = exploding.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(status.code(), Some(7), "{bomb}: {said}");
        assert!(
            ["ODN-3006", "ODN-3007", "ODN-3012"]
                .iter()
                .any(|code| said.contains(code)),
            "{bomb}: {said}"
        );
    }
    // Nothing of them is left.
    let listed = desk.odeon(&["list", "--json"]).ended(0).json();
    assert_eq!(listed["plugins"].as_array().unwrap().len(), 1);
}

/// Falls with `Reader::take` and the engine's own bound on nesting: these are
/// the bombs that need no time of the compiler.
#[test]
fn without_a_host_a_bomb_ends_with_7_too() {
    let desk = with_bombs();
    for bomb in ["deep.wasm", "doubled.wasm", "repeated.wasm"] {
        desk.odeon(&["run", bomb, "f0()", "--allow-unsigned"]).ended(7);
        desk.odeon(&["check", bomb]).ended(7);
    }
}
