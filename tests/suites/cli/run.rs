//! `odeon run`: one method of a file, without a host.

use std::{
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{components::TWICE, desk::Desk};

#[test]
fn the_result_is_all_that_is_written() {
    let desk = Desk::with_kit();
    for (invoke, result) in [
        ("add(1, 2)", "3\n"),
        (" add ( 1 , 2 ) ", "3\n"),
        ("same(\"a \\\"b\\\" ü\")", "\"a \\\"b\\\" ü\"\n"),
        ("nothing()", "()\n"),
        ("nothing", "()\n"),
    ] {
        let ran = desk.run_kit(invoke).ended(0);
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.as_str()),
            (result, ""),
            "{invoke}"
        );
    }
}

#[test]
fn without_a_call_the_methods_are_listed() {
    let desk = Desk::with_kit();
    let ran = desk.odeon(&["run", "kit.wasm", "--allow-unsigned"]).ended(0);
    assert!(
        ran.stdout.contains("add: func(a: u32, b: u32) -> u32\n"),
        "{ran:#?}"
    );
    let ran = desk
        .odeon(&["run", "kit.wasm", "--allow-unsigned", "--json"])
        .ended(0);
    assert_eq!(ran.json()["methods"].as_array().unwrap().len(), 6);
}

#[test]
fn listing_runs_nothing_of_the_component_and_so_needs_no_leave() {
    let desk = Desk::new();
    desk.write("counter.wasm", odeon_tests::guests::bytes("sample-counter"));
    let ran = desk.odeon(&["run", "counter.wasm"]).ended(0);
    assert!(ran.stdout.contains("func(") && ran.stderr.is_empty(), "{ran:#?}");
    assert!(!desk.path("home/.local/state/odeon/audit.jsonl").exists());
}

#[test]
fn a_call_that_is_no_call_is_shown_where_it_is_wrong() {
    let desk = Desk::with_kit();
    for invoke in ["Add!(1)", "add 1 2", "a..b()"] {
        let ran = desk.run_kit(invoke).ended(2);
        assert!(ran.stderr.contains(&format!(" 1 │ {invoke}")), "{ran:#?}");
    }
    let ran = desk.run_kit("ad(1, 2)").ended(4);
    assert!(ran.stderr.contains(" 1 │ ad(1, 2)"), "{ran:#?}");
}

#[test]
fn a_variable_without_a_value_is_mentioned() {
    let desk = Desk::with_kit();
    let ran = desk
        .odeon(&[
            "run",
            "kit.wasm",
            "add(1, 2)",
            "--allow-unsigned",
            "--grant",
            "env=NOPE",
        ])
        .ended(0);
    assert!(ran.stdout == "3\n" && ran.stderr.contains("NOPE"), "{ran:#?}");
}

#[test]
fn a_limit_that_cannot_be_kept_is_a_mistake_of_usage() {
    let desk = Desk::with_kit();
    let ran = desk.odeon(&[
        "run",
        "kit.wasm",
        "add(1, 2)",
        "--allow-unsigned",
        "--limit",
        "stack=1KiB",
        "--json",
    ]);
    assert_eq!(ran.ended(2).json()["fault"]["code"], "ODN-3013");
}

#[test]
fn a_name_that_is_unique_needs_no_interface_and_a_short_interface_is_enough() {
    let desk = Desk::new();
    desk.component("twice.wasm", TWICE);
    for (invoke, result) in [("first.get()", "1\n"), ("test:twice/second@1.0.0.get()", "2\n")] {
        let ran = desk
            .odeon(&["run", "twice.wasm", invoke, "--allow-unsigned"])
            .ended(0);
        assert_eq!(ran.stdout, result, "{invoke}");
    }
}

#[test]
fn json_has_the_result_twice_and_what_it_cost() {
    let desk = Desk::with_kit();
    let document = desk
        .odeon(&["run", "kit.wasm", "add(40, 2)", "--allow-unsigned", "--json"])
        .ended(0)
        .json();
    assert_eq!(
        (&document["ok"], &document["result"], &document["wave"]),
        (&true.into(), &42.into(), &"42".into())
    );
    assert!(
        document["serial"].is_string() && document["elapsed_us"].is_u64() && document["generation"].is_u64()
    );
}

#[test]
fn json_of_a_failure_has_the_fault_and_an_own_error_its_value_too() {
    let desk = Desk::with_kit();
    let own = desk
        .odeon(&["run", "kit.wasm", "fail()", "--allow-unsigned", "--json"])
        .ended(1)
        .json();
    assert_eq!(
        (&own["ok"], &own["wave"], &own["fault"]["kind"]),
        (&false.into(), &"err".into(), &"guest-error".into())
    );
    let trap = desk
        .odeon(&["run", "kit.wasm", "trap()", "--allow-unsigned", "--json"])
        .ended(6)
        .json();
    assert_eq!(
        (&trap["fault"]["code"], &trap["fault"]["blame"]),
        (&"ODN-2001".into(), &"guest".into())
    );
    let usage = desk
        .odeon(&["run", "kit.wasm", "--no-such-flag", "--json"])
        .ended(2)
        .json();
    assert_eq!(usage["fault"]["code"], "ODN-1004");
}

#[test]
fn a_home_that_is_missing_or_read_only_does_not_matter() {
    let desk = Desk::with_kit();
    let args = ["run", "kit.wasm", "add(1, 2)", "--allow-unsigned"];
    for home in [None, Some("nowhere"), Some("/proc")] {
        let mut command = desk.command(&args);
        command.env_remove("HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        let output = command.output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "3\n",
            "{home:?}: {output:?}"
        );
    }
}

#[test]
fn what_is_decided_is_appended_to_the_audit_beside_a_host() {
    let desk = Desk::with_kit();
    let _server = desk.serve(&[]);
    desk.run_kit("add(1, 2)").ended(0);
    desk.odeon(&["run", "kit.wasm", "add(1, 2)"]).ended(3);
    let audit = std::fs::read_to_string(desk.path("home/.local/state/odeon/audit.jsonl")).unwrap();
    assert!(
        audit.contains("--allow-unsigned") && audit.contains("ODN-4001"),
        "{audit}"
    );
}

#[test]
fn the_state_directory_is_its_owners_alone() {
    let desk = Desk::with_kit();
    desk.run_kit("add(1, 2)").ended(0);
    let mode = desk
        .path("home/.local/state/odeon")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn ctrl_c_cancels_the_call() {
    let desk = Desk::with_kit();
    let mut command = desk.command(&["run", "kit.wasm", "spin()", "--allow-unsigned", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let tasks = format!("/proc/{}/status", child.id());
    // It hears signals once it says so to the system; before that it would just die.
    let until = Instant::now() + Duration::from_secs(20);
    while !caught_interrupt(&std::fs::read_to_string(&tasks).unwrap()) {
        assert!(Instant::now() < until, "the command never listened to signals");
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{text}");
    assert!(text.contains("ODN-1009"), "{text}");
}

/// Whether a process catches SIGINT, by what the system says about it.
fn caught_interrupt(status: &str) -> bool {
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap_or("0")
        .trim();
    u64::from_str_radix(caught, 16).unwrap() & 0b10 != 0
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let desk = Desk::with_kit();
    let made = Command::new("mkfifo")
        .arg(desk.path("pipe.wasm"))
        .status()
        .unwrap();
    assert!(made.success());
    desk.odeon(&["keygen", "-o", "author.key"]).ended(0);
    for args in [
        &["run", "pipe.wasm", "add(1, 2)", "--allow-unsigned"][..],
        &["run", "pipe.wasm"],
        &["check", "pipe.wasm"],
        &["verify", "pipe.wasm"],
        &["sign", "pipe.wasm", "--key", "author.key"],
    ] {
        desk.odeon(args).ended(4);
    }
}

/// A home where no state directory can be made: as root, modes stop nobody.
fn homeless(desk: &Desk, args: &[&str]) -> crate::desk::Ran {
    desk.write("no-folder", "");
    let mut command = desk.command(args);
    command.env("HOME", desk.path("no-folder"));
    let output = assert_cmd::Command::from_std(command).output().unwrap();
    crate::desk::Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_run_that_is_in_no_audit_says_so_to_people_and_to_programs() {
    let desk = Desk::with_kit();
    let args = ["run", "kit.wasm", "add(1, 2)", "--allow-unsigned"];
    let ran = homeless(&desk, &args).ended(0);
    assert_eq!(ran.stdout, "3\n");
    assert!(
        ran.stderr.starts_with("note: ") && ran.stderr.contains("in no audit"),
        "{ran:#?}"
    );
    let ran = homeless(&desk, &[&args[..], &["--json"]].concat()).ended(0);
    assert!(ran.stderr.is_empty(), "{ran:#?}");
    let document = ran.json();
    assert_eq!(document["result"], 3);
    assert!(
        document["warnings"][0].as_str().unwrap().contains("in no audit"),
        "{document}"
    );
    // Where it fails, too.
    let ran = homeless(&desk, &["run", "kit.wasm", "add(1, 2)", "--json"]).ended(3);
    assert_eq!(ran.json()["warnings"].as_array().unwrap().len(), 1, "{ran:#?}");
    // And nothing where all is well.
    let ran = desk.odeon(&[&args[..], &["--json"]].concat()).ended(0);
    assert!(ran.json().get("warnings").is_none(), "{ran:#?}");
}

#[test]
fn what_was_allowed_and_has_no_effect_is_said() {
    let desk = Desk::new();
    desk.write("indexer.wasm", odeon_tests::guests::bytes("sample-file-indexer"));
    std::fs::create_dir(desk.path("notes")).unwrap();
    let run = |more: &[&str]| {
        let args = [
            &["run", "indexer.wasm", "search(\"x\")", "--allow-unsigned"],
            more,
        ]
        .concat();
        desk.odeon(&args)
    };
    for (grant, part) in [
        ("fs=notes::/dta", "asks for fs=HOSTDIR::/data"),
        ("env=NOVAR", "has no effect"),
        (
            "fs=notes::/data,rw",
            "::/data: the component's manifest asks for fs=HOSTDIR::/data",
        ),
        ("fs=nonotes::/data", "there is no directory"),
    ] {
        let ran = run(&["--grant", grant]);
        assert!(ran.stderr.contains(part), "{grant}: {ran:#?}");
    }
    let ran = run(&["--grant", "fs=notes::/data", "--limit", "memory=4GiB"]);
    assert!(ran.stderr.contains("the limit memory stays at"), "{ran:#?}");
    let ran = run(&["--limit", "memory=8GiB"]).ended(2);
    assert!(ran.stderr.contains("at most 4GiB"), "{ran:#?}");
    let ran = run(&["--grant", "fs=notes::/data"]).ended(0);
    assert!(ran.stderr.is_empty(), "{ran:#?}");
}

#[test]
fn the_path_of_a_loaded_plugins_method_is_not_one_of_a_file() {
    let desk = Desk::with_kit();
    let ran = desk.run_kit("kit/add(1, 2)").ended(2);
    assert!(
        ran.stderr.contains("without a plugin's name: 'add(1, 2)'"),
        "{ran:#?}"
    );
}
