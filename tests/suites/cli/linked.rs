//! `check` and `run` of a component that other components serve.

use odeon_tests::guests;

use crate::desk::Desk;

const RENDERER: &str = "odeon-samples:markdown/renderer=markdown.wasm";
const COUNTING: &str = "odeon-samples:counter/counting=counter.wasm";

/// The notebook, and the two that it uses.
fn desk() -> Desk {
    let desk = Desk::new();
    for name in ["notebook", "markdown", "counter", "calculator"] {
        desk.write(&format!("{name}.wasm"), guests::bytes(&format!("sample-{name}")));
    }
    desk
}

/// Enforced by `Host::check_linked`: nothing is loaded, and what would serve it is
/// compared all the same.
#[test]
fn a_component_is_checked_against_what_is_to_serve_it() {
    let desk = desk();
    let alone = desk.odeon(&["check", "notebook.wasm"]).ended(7);
    assert!(alone.stderr.contains("--link"), "{alone:?}");
    let fits = desk
        .odeon(&["check", "notebook.wasm", "--link", RENDERER, "--link", COUNTING])
        .ended(0);
    assert!(
        fits.stdout
            .contains("linked   odeon-samples:counter/counting to counter.wasm"),
        "{fits:?}"
    );
    let wrong = "odeon-samples:markdown/renderer=calculator.wasm";
    let wrong = desk
        .odeon(&["check", "notebook.wasm", "--link", wrong, "--link", COUNTING])
        .ended(7);
    assert!(
        wrong.stderr.contains("calculator") && wrong.stderr.contains("odeon-samples:markdown/renderer"),
        "{wrong:?}"
    );
    let unused = desk
        .odeon(&["check", "calculator.wasm", "--link", COUNTING])
        .ended(0);
    assert!(unused.stderr.contains("has no effect"), "{unused:?}");
    // What is to serve it has to be a component, and is named if it is none.
    desk.write("nothing.wasm", "nothing");
    let broken = "odeon-samples:counter/counting=nothing.wasm";
    let broken = desk
        .odeon(&["check", "notebook.wasm", "--link", RENDERER, "--link", broken])
        .ended(7);
    assert!(broken.stderr.contains("nothing"), "{broken:?}");
    desk.odeon(&["check", "notebook.wasm", "--link", "nonsense"])
        .ended(2);
}

/// Enforced by `run::load`: what serves it is let in as it is, or it does not run.
#[test]
fn a_component_runs_beside_what_serves_it() {
    let desk = desk();
    let links = ["--link", RENDERER, "--link", COUNTING];
    let call = ["run", "notebook.wasm", "compose(\"# One\")"];
    let ran = desk.odeon(&[&call[..], &links, &["--allow-unsigned"]].concat());
    assert_eq!(
        ran.ended(0).stdout,
        "ok({number: 1, contents: [\"One\"], html: \"<h1>One</h1>\\n\"})\n"
    );
    // Without a call its methods are listed, and nothing has to let it in.
    let listed = desk
        .odeon(&[&["run", "notebook.wasm"][..], &links].concat())
        .ended(0);
    assert!(listed.stdout.contains("compose"), "{listed:?}");
    // The notebook is trusted, and those that serve it are not.
    let digest = odeon_protocol::Digest::of(&guests::bytes("sample-notebook")).to_string();
    desk.odeon(&["trust", "add", "--digest", &digest]).ended(0);
    let refused = desk.odeon(&[&call[..], &links].concat()).ended(3);
    assert!(
        refused.stderr.contains("--link odeon-samples:counter/counting"),
        "{refused:?}"
    );
}
