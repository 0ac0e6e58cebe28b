//! A process that tries what it may not.

use std::{collections::BTreeMap, net::TcpListener, process::Command};

/// Not permitted, by seccomp.
const EPERM: &str = "1";
/// Denied, by Landlock.
const EACCES: &str = "13";

/// What a process can do behind this wall.
fn behind(wall: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there"), "").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = Command::new(env!("CARGO_BIN_EXE_confined"))
        .arg(wall)
        .arg(folder.path())
        .arg(port.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().map(|line| line.split_once(' ').unwrap());
    lines
        .map(|(what, how)| (what.to_owned(), how.to_owned()))
        .collect()
}

#[track_caller]
fn are(found: &BTreeMap<String, String>, wanted: &[(&str, &str)]) {
    for (what, how) in wanted {
        assert_eq!(found[*what], *how, "{what}: {found:#?}");
    }
}

/// Without a wall the same process can do all of it: what the other tests see is
/// the walls' doing.
#[test]
fn without_a_wall_nothing_is_refused() {
    are(
        &behind("none"),
        &[
            ("thread", "done"),
            ("read-inside", "done"),
            ("read-outside", "done"),
            ("make", "done"),
            ("connect", "done"),
            ("start", "done"),
            ("signal", "done"),
        ],
    );
}

/// Enforced by `compile::confine`: both walls, and nothing but threads is left.
#[test]
fn a_compile_child_can_open_connect_start_and_signal_nothing() {
    let found = behind("compile");
    are(
        &found,
        &[
            ("files", "whole"),
            ("wall", "whole"),
            ("thread", "done"),
            ("read-inside", EPERM),
            ("read-outside", EPERM),
            ("make", EPERM),
            ("connect", EPERM),
            ("signal", EPERM),
            ("enter", EPERM),
        ],
    );
    assert_ne!(found["start"], "done");
}

/// Enforced by `wall::refuse_all_files`, alone.
#[test]
fn behind_the_wall_of_files_nothing_is_opened_and_nobody_else_signalled() {
    are(
        &behind("files"),
        &[
            ("wall", "whole"),
            ("thread", "done"),
            ("read-inside", EACCES),
            ("read-outside", EACCES),
            ("make", EACCES),
            ("connect", EACCES),
            ("start", EACCES),
            ("signal", EPERM),
        ],
    );
}

/// Enforced by `wall::refuse_other_files`.
#[test]
fn behind_a_wall_with_a_folder_in_it_that_is_all_there_is() {
    are(
        &behind("these"),
        &[
            ("wall", "whole"),
            ("read-inside", "done"),
            ("read-outside", EACCES),
            ("make", EACCES),
            ("connect", "done"),
            ("start", EACCES),
            ("signal", "done"),
        ],
    );
}

/// Enforced by `wall::refuse_meddling`.
#[test]
fn behind_a_daemons_wall_everything_works_but_meddling() {
    are(
        &behind("meddling"),
        &[
            ("wall", "whole"),
            ("thread", "done"),
            ("read-outside", "done"),
            ("make", "done"),
            ("connect", "done"),
            ("start", "done"),
            ("signal", "done"),
            ("look-into", EPERM),
            ("enter", EPERM),
        ],
    );
}
