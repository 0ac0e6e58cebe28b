//! The walls around a host that serves, and around what it starts.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::desk::{Desk, Server};

/// Whether the kernel filters the calls of this process: a line of its status.
fn filtered(process: &str) -> Option<bool> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
    Some(line.trim() == "2")
}

/// The processes that this one has started.
fn children(server: &Server) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let children = tasks.filter_map(|task| {
        let task = task.unwrap().path();
        std::fs::read_to_string(task.join("children")).ok()
    });
    let children: Vec<String> = children.collect();
    children
        .iter()
        .flat_map(|line| line.split_whitespace().map(str::to_owned))
        .collect()
}

fn walls(desk: &Desk) -> Vec<(String, String, String)> {
    let status = desk.odeon(&["status", "--json"]).ended(0).json();
    let text = |row: &Json, field: &str| row[field].as_str().unwrap().to_owned();
    status["status"]["walls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "process"), text(row, "wall"), text(row, "state")))
        .collect()
}

/// Enforced by `daemon::raise_walls`, before the host has a second thread, and by
/// `daemon::around_compiles`, which asks no one but a child.
#[test]
fn every_thread_of_a_host_is_behind_the_wall_and_status_says_so() {
    let desk = Desk::with_kit();
    let server = desk.serve(&[]);
    for task in std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap() {
        let task = task.unwrap().file_name().into_string().unwrap();
        assert_eq!(filtered(&format!("{}/task/{task}", server.pid())), Some(true));
    }
    let row =
        |process: &str, wall: &str, state: &str| (process.to_owned(), wall.to_owned(), state.to_owned());
    assert_eq!(
        walls(&desk),
        [
            row("host", "seccomp", "stands"),
            row("host", "landlock", "off: the configuration has no [wall]"),
            row(
                "compile child",
                "seccomp",
                "not known yet: nothing was compiled here"
            ),
            row(
                "compile child",
                "landlock",
                "not known yet: nothing was compiled here"
            ),
        ]
    );
    // What a child says of itself, when there was one.
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    assert_eq!(
        walls(&desk)[2..],
        [
            row("compile child", "seccomp", "stands"),
            row("compile child", "landlock", "stands"),
        ]
    );
    let shown = desk.odeon(&["status"]).ended(0).stdout;
    assert!(
        shown.contains("seccomp around the compile child: stands"),
        "{shown}"
    );
}

/// Enforced by `compile::confine`, in the child that a host starts.
#[test]
fn a_compile_child_has_a_filter_of_its_own() {
    let desk = Desk::new();
    desk.write("slow.wasm", odeon_tests::bombs::million_functions());
    let server = desk.serve(&[]);
    let mut load = desk
        .command(&["load", "slow.wasm", "--allow-unsigned"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The host's filter is inherited, and the child's come on top.
    let filters = |child: &str| {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Seccomp_filters:"))?;
        line.trim().parse::<u32>().ok()
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !children(&server).iter().any(|child| filters(child) >= Some(3)) {
        assert!(Instant::now() < until, "no compile child has its filters");
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(server);
    load.wait().unwrap();
}

/// A host whose configuration names folders reaches those, what it needs for
/// itself, and nothing else. Enforced by `daemon::raise_walls`.
#[test]
fn a_host_with_a_wall_loads_and_grants_what_lies_inside_of_it() {
    let desk = Desk::with_kit();
    for folder in ["in", "out"] {
        std::fs::create_dir(desk.path(folder)).unwrap();
        std::fs::copy(desk.path("kit.wasm"), desk.path(folder).join("kit.wasm")).unwrap();
    }
    desk.write("host.toml", "[wall]\nread = [\"in\"]\n");
    let mut server = desk.serve(&["--config", "host.toml"]);
    // It compiles too: its own program is inside.
    desk.odeon(&["load", "in/kit.wasm", "--allow-unsigned"]).ended(0);
    assert_eq!(desk.odeon(&["call", "kit/add", "1", "2"]).ended(0).stdout, "3\n");
    let refused = desk.odeon(&["load", "out/kit.wasm", "--name", "other", "--allow-unsigned"]);
    assert_ne!(refused.status, 0);
    assert!(refused.stderr.contains("ermission denied"), "{refused:#?}");
    assert_eq!(walls(&desk)[1].2, "stands");
    desk.odeon(&["audit", "--verify"]).ended(0);
    desk.odeon(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));
}

/// Enforced by `wall::needed`: what the configuration names is inside, wherever it
/// lies.
#[test]
fn a_host_with_a_wall_reads_the_secrets_that_its_configuration_names() {
    use std::os::unix::fs::PermissionsExt as _;

    let desk = Desk::with_kit();
    for folder in ["in", "secrets", "tls", "headers"] {
        std::fs::create_dir(desk.path(folder)).unwrap();
    }
    std::fs::copy(
        odeon_tests::guests::component("guest-forger"),
        desk.path("in/forger.wasm"),
    )
    .unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (path, text) in [
        ("secrets/token", "hidden".to_owned()),
        ("tls/c.pem", made.cert.pem()),
        ("tls/k.pem", made.signing_key.serialize_pem()),
        ("headers/otlp", "x-tenant: a\n".to_owned()),
    ] {
        desk.write(path, text);
        std::fs::set_permissions(desk.path(path), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    // Nobody collects there.
    desk.write(
        "host.toml",
        "[wall]\nread = [\"in\"]\n[secrets]\ntoken = \"secrets/token\"\n[telemetry]\n\
         otlp = \"http://127.0.0.1:9\"\nheaders = \"headers/otlp\"\n[[listener]]\nname = \"web\"\n\
         address = \"127.0.0.1:0\"\ntls = { cert = \"tls/c.pem\", key = \"tls/k.pem\" }\n",
    );
    let mut server = desk.serve(&["--config", "host.toml"]);
    assert_eq!(walls(&desk)[1].2, "stands");
    let status = desk.odeon(&["status", "--json"]).ended(0).json();
    assert_eq!(status["status"]["listeners"][0]["name"], "web");
    desk.odeon(&[
        "load",
        "in/forger.wasm",
        "--name",
        "forger",
        "--allow-unsigned",
        "--grant",
        "secret=token",
    ])
    .ended(0);
    // Each use reads it.
    let shown = desk.odeon(&["call", "forger/theft.secret", "\"token\""]).ended(0);
    assert!(shown.stdout.starts_with("ok("), "{shown:?}");
    desk.odeon(&["stop"]).ended(0);
    assert_eq!(server.ended(), Some(0));
}

/// Enforced by `wall::beneath`.
#[test]
fn a_wall_around_what_is_not_there_is_a_mistake_of_the_configuration() {
    let desk = Desk::new();
    desk.write("host.toml", "[wall]\nwrite = [\"nowhere\"]\n");
    let ran = desk.odeon(&["serve", "--config", "host.toml"]);
    assert_ne!(ran.status, 0);
    assert!(
        ran.stderr.contains("ODN-3016") && ran.stderr.contains("nowhere"),
        "{ran:#?}"
    );
}
