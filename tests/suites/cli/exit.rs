//! One test for each row of the table of exit statuses.

use std::os::unix::net::UnixListener;

use odeon_tests::stall::Stalls;

use crate::{
    components::{CORE_MODULE, IMPORTS_UNKNOWN, KIT, bytes},
    desk::Desk,
};

#[test]
fn done_is_0() {
    assert_eq!(Desk::with_kit().run_kit("add(1, 2)").ended(0).stdout, "3\n");
}

#[test]
fn the_methods_own_error_is_1_and_its_value_an_output() {
    let ran = Desk::with_kit().run_kit("fail()").ended(1);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("err\n", ""));
}

#[test]
fn usage_is_2() {
    let desk = Desk::with_kit();
    for invoke in ["add(1)", "add(1, 2, 3)", "add(1, \"two\")", "add(1", "", "(1)"] {
        assert_eq!(desk.run_kit(invoke).ended(2).stdout, "", "{invoke}");
    }
    for args in [
        &["run"][..],
        &["run", "kit.wasm", "--no-such-flag"],
        &["no-such-verb"],
        &["call"],
        &[],
    ] {
        assert_eq!(desk.odeon(args).ended(2).stdout, "", "{args:?}");
    }
    desk.odeon(&["run", "kit.wasm", "--grant", "telepathy=on", "--allow-unsigned"])
        .ended(2);
    desk.odeon(&["run", "kit.wasm", "--limit", "memry=1MiB", "--allow-unsigned"])
        .ended(2);
}

#[test]
fn denied_is_3() {
    let ran = Desk::with_kit().odeon(&["run", "kit.wasm", "add(1, 2)"]).ended(3);
    assert_eq!(ran.stdout, "");
}

#[test]
fn what_is_not_there_is_4() {
    let desk = Desk::with_kit();
    desk.odeon(&["run", "missing.wasm", "add(1, 2)", "--allow-unsigned"])
        .ended(4);
    desk.run_kit("ad(1, 2)").ended(4);
    for args in [
        &["list"][..],
        &["status"],
        &["call", "kit/add", "1", "2"],
        &["stop"],
    ] {
        desk.odeon(args).ended(4);
    }
    desk.odeon(&["sign", "kit.wasm", "--key", "missing.key"]).ended(4);
}

#[test]
fn a_host_that_is_gone_is_4() {
    let desk = Desk::new();
    drop(UnixListener::bind(desk.path("left.sock")).unwrap());
    desk.odeon(&["status", "--socket", "left.sock"]).ended(4);
}

#[test]
fn the_end_of_waiting_is_5() {
    let desk = Desk::with_kit();
    let (stalls, started) = (Stalls::watch(), std::time::Instant::now());
    let ran = desk
        .odeon(&["run", "kit.wasm", "spin()", "--allow-unsigned", "--wait", "3s"])
        .ended(5);
    assert_eq!(ran.stdout, "");
    let took = stalls.since(started);
    assert!(
        took.own().as_secs_f32() < 7.0,
        "the call was not ended in time: {took:?}"
    );
}

#[test]
fn a_guest_that_was_stopped_is_6() {
    let desk = Desk::with_kit();
    desk.run_kit("trap()").ended(6);
    desk.odeon(&[
        "run",
        "kit.wasm",
        "spin()",
        "--allow-unsigned",
        "--limit",
        "deadline=300ms",
    ])
    .ended(6);
}

#[test]
fn what_is_no_component_or_does_not_link_is_7() {
    let desk = Desk::new();
    let whole = bytes(KIT);
    desk.write("text.wasm", "not WebAssembly\n");
    desk.write("module.wasm", bytes(CORE_MODULE));
    desk.write("cut.wasm", &whole[..whole.len() / 2]);
    desk.write("unlinked.wasm", bytes(IMPORTS_UNKNOWN));
    for file in ["text.wasm", "module.wasm", "cut.wasm", "unlinked.wasm"] {
        desk.odeon(&["run", file, "add(1, 2)", "--allow-unsigned"])
            .ended(7);
        desk.odeon(&["check", file]).ended(7);
    }
}

#[test]
fn anything_else_is_8() {
    let desk = Desk::new();
    let listener = UnixListener::bind(desk.path("mute.sock")).unwrap();
    let mute = std::thread::spawn(move || drop(listener.accept().unwrap()));
    desk.odeon(&["status", "--socket", "mute.sock"]).ended(8);
    mute.join().unwrap();
}
