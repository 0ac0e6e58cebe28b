//! What `odeon run` observes of a component whose own `load` runs before the call.

use odeon_tests::guests;

use crate::desk::{Desk, Ran};

/// A resident plugin: the instance of its `load` is that of its calls.
const MANIFEST: &str = "[plugin]\nname = \"lifecycle\"\nversion = \"1.0.0\"\ninstance = \"resident\"\n\
                        [config.load]\ndescription = \"What load does\"\ndefault = \"ok\"\n";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("guest.wasm", guests::bytes("guest-lifecycle"));
    desk.write("odeon.toml", MANIFEST);
    let packed = [
        "pack",
        "guest.wasm",
        "--manifest",
        "odeon.toml",
        "-o",
        "resident.wasm",
    ];
    desk.odeon(&packed).ended(0);
    desk
}

fn observed(desk: &Desk, invoke: &str, flags: &[&str]) -> Ran {
    let run = ["run", "resident.wasm", invoke, "--allow-unsigned"];
    let files = ["--core-dump", "core", "--profile", "p.json"];
    desk.odeon(&[&run[..], &files, flags].concat())
}

fn is_core(desk: &Desk) -> bool {
    std::fs::read(desk.path("core")).unwrap().starts_with(b"\0asm")
}

/// Enforced by `Host::observe_first`, before the first instance is made.
#[test]
fn a_resident_component_that_runs_is_observed_from_its_own_load_on() {
    let desk = desk();
    let ran = observed(&desk, "trap()", &[]).ended(6);
    assert!(ran.stderr.contains("its core dump is in"), "{ran:#?}");
    assert!(!ran.stderr.contains("did not trap"), "{ran:#?}");
    // It is so of every instance, and nobody is told otherwise.
    assert!(!ran.stderr.contains("are not observed"), "{ran:#?}");
    assert!(is_core(&desk));
    std::fs::remove_file(desk.path("core")).unwrap();
    let ran = observed(&desk, "calls()", &[]).ended(0);
    assert_eq!(ran.stdout, "1\n");
    assert!(
        ran.stderr.contains("the call did not trap and left no core dump"),
        "{ran:#?}"
    );
    assert!(desk.path("p.json").is_file() && !desk.path("core").exists());
}

/// What does not come into service is observed as well.
#[test]
fn a_load_that_is_stopped_leaves_a_core_dump_and_its_samples() {
    let desk = desk();
    let spins = ["--config", "load=spin", "--limit", "load-deadline=1s"];
    let ran = observed(&desk, "calls()", &spins);
    assert_ne!(ran.status, 0, "{ran:#?}");
    assert!(ran.stderr.contains("its core dump is in"), "{ran:#?}");
    assert!(is_core(&desk));
    assert!(
        !ran.stderr.contains("a profile of 0 samples") && ran.stderr.contains("samples is in"),
        "{ran:#?}"
    );
    std::fs::remove_file(desk.path("core")).unwrap();
    let refuses = ["--config", "load=fail-other"];
    let ran = observed(&desk, "calls()", &refuses);
    assert!(
        ran.stderr.contains("its own load failed without a trap"),
        "{ran:#?}"
    );
    assert!(!desk.path("core").exists());
}

/// Nothing is said of what was never begun.
#[test]
fn a_component_that_is_not_let_in_leaves_no_word_of_core_dumps() {
    let desk = desk();
    let files = ["--core-dump", "core", "--profile", "p.json"];
    let ran = desk.odeon(&[&["run", "resident.wasm", "calls()"][..], &files].concat());
    let ran = ran.ended(3);
    assert!(
        !ran.stderr.contains("core dump is") && !ran.stderr.contains("no core dump"),
        "{ran:#?}"
    );
    assert!(!desk.path("p.json").exists());
    let ran = observed(&desk, "nonsense()", &[]);
    assert!(!ran.stderr.contains("no core dump"), "{ran:#?}");
    assert!(!desk.path("p.json").exists());
}
