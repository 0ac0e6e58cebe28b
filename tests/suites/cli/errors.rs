//! What a person reads when something is wrong: expected, found, what to do.

use crate::{
    components::{CORE_MODULE, IMPORTS_UNKNOWN, KIT, TWICE, bytes},
    desk::{Desk, Ran},
};

/// Compares the message with the one that was approved, paths and digests
/// aside.
macro_rules! approved {
    ($name:literal, $ran:expr) => {{
        let ran: Ran = $ran;
        assert_eq!(ran.stdout, "", "a failure writes nothing to standard output");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(r"sha256:[0-9a-f]{64}", "[digest]");
        settings.add_filter(r"/\S*odeon-cli-\w+(/home)?", "[desk]");
        settings.bind(|| insta::assert_snapshot!($name, ran.stderr));
    }};
}

#[test]
fn too_few_arguments() {
    approved!("too-few-arguments", Desk::with_kit().run_kit("add(1)").ended(2));
}

#[test]
fn too_many_arguments() {
    approved!(
        "too-many-arguments",
        Desk::with_kit().run_kit("add(1, 2, 3)").ended(2)
    );
}

#[test]
fn an_argument_of_another_type() {
    approved!("wrong-type", Desk::with_kit().run_kit("add(1, \"two\")").ended(2));
}

#[test]
fn a_call_that_is_not_closed() {
    approved!("not-closed", Desk::with_kit().run_kit("add(1, 2").ended(2));
}

#[test]
fn a_function_that_is_not_there() {
    approved!("unknown-function", Desk::with_kit().run_kit("ad(1, 2)").ended(4));
}

#[test]
fn a_function_that_two_interfaces_have() {
    let desk = Desk::new();
    desk.component("twice.wasm", TWICE);
    approved!(
        "ambiguous",
        desk.odeon(&["run", "twice.wasm", "get()", "--allow-unsigned"])
            .ended(2)
    );
}

#[test]
fn a_file_that_is_not_there() {
    let ran = Desk::new().odeon(&["run", "missing.wasm", "add(1, 2)", "--allow-unsigned"]);
    approved!("no-file", ran.ended(4));
}

#[test]
fn a_file_of_something_else() {
    let desk = Desk::new();
    desk.write("text.wasm", "not WebAssembly\n");
    approved!(
        "not-wasm",
        desk.odeon(&["run", "text.wasm", "--allow-unsigned"]).ended(7)
    );
}

#[test]
fn a_core_module() {
    let desk = Desk::new();
    desk.component("module.wasm", CORE_MODULE);
    approved!(
        "core-module",
        desk.odeon(&["run", "module.wasm", "--allow-unsigned"]).ended(7)
    );
}

#[test]
fn a_file_that_was_cut_off() {
    let desk = Desk::new();
    let whole = bytes(KIT);
    desk.write("cut.wasm", &whole[..whole.len() - 40]);
    approved!(
        "truncated",
        desk.odeon(&["run", "cut.wasm", "--allow-unsigned"]).ended(7)
    );
}

#[test]
fn an_import_that_nobody_has() {
    let desk = Desk::new();
    desk.component("unlinked.wasm", IMPORTS_UNKNOWN);
    approved!(
        "missing-import",
        desk.odeon(&["run", "unlinked.wasm", "go()", "--allow-unsigned"])
            .ended(7)
    );
}

#[test]
fn a_component_that_nobody_vouches_for() {
    approved!(
        "unsigned",
        Desk::with_kit().odeon(&["run", "kit.wasm", "add(1, 2)"]).ended(3)
    );
}

#[test]
fn a_host_that_is_not_there() {
    approved!("no-host", Desk::new().odeon(&["list"]).ended(4));
}

#[test]
fn a_guest_that_traps() {
    approved!("trap", Desk::with_kit().run_kit("trap()").ended(6));
}

#[test]
fn a_path_that_names_no_plugin() {
    approved!(
        "no-plugin",
        Desk::new().odeon(&["call", "add", "1", "2"]).ended(2)
    );
}

#[test]
fn a_module_without_wit_cannot_be_packed() {
    let desk = Desk::new();
    desk.component("module.wasm", CORE_MODULE);
    let ran = desk.odeon(&["pack", "module.wasm"]).ended(7);
    assert!(ran.stderr.contains("component-type"), "{}", ran.stderr);
}
