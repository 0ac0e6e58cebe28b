//! Output for people, for programs and for shells.

use std::{io::Read as _, process::Stdio};

use crate::desk::Desk;

#[test]
fn help_and_version_are_answers() {
    let desk = Desk::new();
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["trust", "add", "--help"],
        &["--version"],
        &["help", "call"],
    ] {
        let ran = desk.odeon(args).ended(0);
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{args:?}");
    }
    assert!(desk.odeon(&["--help"]).stdout.contains("Exit statuses"));
}

#[test]
fn every_shell_has_completions() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = desk.odeon(&["completions", shell]).ended(0);
        assert!(ran.stdout.contains("log-level"), "{shell}");
    }
    desk.odeon(&["completions", "abacus"]).ended(2);
}

#[test]
fn every_verb_has_a_page_in_the_manual() {
    let desk = Desk::new();
    let pages = desk
        .odeon(&["man", "--dir", "man/man1", "--json"])
        .ended(0)
        .json();
    let pages = pages["pages"].as_array().unwrap();
    for verb in ["odeon.1", "odeon-run.1", "odeon-call.1", "odeon-trust-add.1"] {
        assert!(
            pages.iter().any(|page| page.as_str().unwrap().ends_with(verb)),
            "{verb}"
        );
        assert!(desk.path("man/man1").join(verb).is_file(), "{verb}");
    }
}

#[test]
fn there_are_no_colours_where_there_is_no_terminal() {
    let ran = Desk::with_kit().run_kit("add(1)").ended(2);
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:#?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let desk = Desk::new();
    let mut child = desk
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!((child.wait().unwrap().code(), words.as_str()), (Some(0), ""));
}

#[test]
fn only_the_pages_that_were_written_are_listed() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("man")).unwrap();
    desk.write("man/foreign.1", "");
    let ran = desk.odeon(&["man", "--dir", "man"]).ended(0);
    assert!(
        ran.stdout.contains("odeon-run.1") && !ran.stdout.contains("foreign"),
        "{ran:#?}"
    );
    let left: Vec<_> = std::fs::read_dir(desk.path("man"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_variable_does_not_make_a_flag_look_required() {
    let desk = Desk::new();
    let output = desk
        .command(&["keygen"])
        .env("ODEON_STATE", "state")
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && !words.contains("--state"),
        "{words}"
    );
}

#[test]
fn a_variable_says_where_the_state_is() {
    let desk = Desk::with_kit();
    let output = desk
        .command(&["run", "kit.wasm", "add(1, 2)", "--allow-unsigned"])
        .env("ODEON_STATE", desk.path("elsewhere"))
        .output()
        .unwrap();
    assert!(
        output.status.success() && desk.path("elsewhere/audit.jsonl").is_file(),
        "{output:?}"
    );
}
