//! The verbs that talk to a host.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::MetadataExt as _,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use crate::desk::{Desk, Server};

fn with_kit() -> (Desk, Server) {
    let desk = Desk::with_kit();
    let server = desk.serve(&[]);
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    (desk, server)
}

#[test]
fn serve_says_where_it_is_ready_and_ends_when_it_is_told() {
    let desk = Desk::new();
    let mut server = desk.serve(&["--json"]);
    let ready: Json = serde_json::from_str(&server.ready).unwrap();
    assert_eq!(ready["ready"], true);
    let socket = ready["socket"].as_str().unwrap();
    let status = desk
        .odeon(&["status", "--socket", socket, "--json"])
        .ended(0)
        .json();
    assert_eq!(
        (&status["status"]["pid"], &status["status"]["socket"]),
        (&server.pid().into(), &socket.into())
    );
    assert_eq!(desk.odeon(&["stop", "--json"]).ended(0).json()["stopped"], true);
    assert_eq!(server.ended(), Some(0));
    desk.odeon(&["status"]).ended(4);
}

#[test]
fn a_second_host_on_one_state_directory_is_refused() {
    let desk = Desk::new();
    let server = desk.serve(&[]);
    assert!(server.ready.starts_with("ready /"), "{}", server.ready);
    let ran = desk.odeon(&["serve", "--json"]).ended(8);
    let fault = ran.stdout.lines().last().unwrap();
    assert!(
        fault.contains("ODN-5005") && fault.contains(&server.pid().to_string()),
        "{ran:#?}"
    );
}

/// Enforced by `status::not_applied`.
#[test]
fn a_descriptor_that_is_not_applied_is_shown_with_the_reason() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("plugins.d")).unwrap();
    desk.write("plugins.d/bad.toml", "source = 1\n");
    desk.write("host.toml", "plugins = \"plugins.d\"\n");
    let _server = desk.serve(&["--config", "host.toml"]);
    let status = || desk.odeon(&["status", "--json"]).ended(0).json()["status"].clone();
    let began = std::time::Instant::now();
    while status()["descriptors"][0]["state"] != "broken" {
        assert!(
            began.elapsed() < std::time::Duration::from_secs(20),
            "{}",
            status()
        );
    }
    let row = &status()["descriptors"][0];
    assert_eq!(
        (&row["file"], &row["code"]),
        (&"bad.toml".into(), &"ODN-3014".into())
    );
    assert_eq!(status()["folder"]["watched"], true);
    let listed = desk.odeon(&["list"]).ended(0);
    assert!(
        listed.stderr.contains("bad.toml: broken: ODN-3014"),
        "{listed:#?}"
    );
    let shown = desk.odeon(&["status"]).ended(0).stdout;
    assert!(shown.contains("bad.toml") && shown.contains("watched"), "{shown}");
}

#[test]
fn the_schema_of_descriptors_is_printed_without_a_host() {
    let schema = desk_schema(&["schema", "descriptor"]);
    assert_eq!(schema, desk_schema(&["schema", "descriptor", "--json"]));
    assert_eq!(schema["required"], serde_json::json!(["source"]));
}

fn desk_schema(args: &[&str]) -> serde_json::Value {
    Desk::new().odeon(args).ended(0).json()
}

#[test]
fn a_plugin_lives_from_load_to_unload() {
    let (desk, _server) = with_kit();
    let plugins = desk.odeon(&["list", "--json"]).ended(0).json();
    assert_eq!(
        (
            &plugins["plugins"][0]["name"],
            &plugins["plugins"][0]["generation"]
        ),
        (&"kit".into(), &1.into())
    );
    assert!(desk.odeon(&["list"]).ended(0).stdout.contains("kit"));
    assert!(
        desk.odeon(&["describe", "kit"])
            .ended(0)
            .stdout
            .contains("add: func(a: u32, b: u32) -> u32")
    );
    let wit = desk
        .odeon(&["describe", "kit", "--wit", "--json"])
        .ended(0)
        .json();
    assert!(wit["methods"].as_array().unwrap().len() == 6 && !wit["grants"].is_null());
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(8);
    assert_eq!(
        desk.odeon(&["unload", "kit", "--json"]).ended(0).json()["plugin"]["name"],
        "kit"
    );
    desk.odeon(&["call", "kit/add", "1", "2"]).ended(4);
    desk.odeon(&["unload", "kit"]).ended(4);
}

#[test]
fn a_call_takes_words_an_invocation_or_json() {
    let (desk, _server) = with_kit();
    for args in [
        &["kit/add", "40", "2"][..],
        &["kit/add(40, 2)"],
        &["kit/add", "--args", "{\"a\": 40, \"b\": 2}"],
    ] {
        assert_eq!(
            desk.odeon(&[&["call"], args].concat()).ended(0).stdout,
            "42\n",
            "{args:?}"
        );
    }
    let document = desk
        .odeon(&["call", "kit/same", "\"hi\"", "--json"])
        .ended(0)
        .json();
    assert_eq!(
        (&document["ok"], &document["result"], &document["wave"]),
        (&true.into(), &"hi".into(), &"\"hi\"".into())
    );
    assert!(document["serial"].is_string() && document["elapsed_us"].is_u64());
    assert_eq!(document["generation"], 1);
}

#[test]
fn arguments_are_checked_before_anything_is_sent() {
    let (desk, _server) = with_kit();
    for args in [
        &["kit/add", "1"][..],
        &["kit/add", "1", "\"two\""],
        &["kit/add(1, -2)"],
        &["kit/add", "--args", "[1"],
        &["kit/add", "--args", "{\"a\": 1, \"a\": 2, \"b\": 3}"],
    ] {
        let ran = desk.odeon(&[&["call"], args].concat()).ended(2);
        assert!(
            ran.stderr.contains("add: func(a: u32, b: u32) -> u32"),
            "{ran:#?}"
        );
    }
    desk.odeon(&["call", "kit/add(1, 2)", "3"]).ended(2);
    desk.odeon(&["call", "kit/ad", "1", "2"]).ended(4);
    let calls = desk.odeon(&["list", "--json"]).ended(0).json();
    assert_eq!(calls["plugins"][0]["calls"], 0);
}

#[test]
fn calls_end_with_the_status_that_belongs_to_them() {
    let (desk, _server) = with_kit();
    assert_eq!(desk.odeon(&["call", "kit/fail"]).ended(1).stdout, "err\n");
    desk.odeon(&["call", "kit/trap"]).ended(6);
    let waited = desk
        .odeon(&["call", "kit/spin", "--wait", "300ms", "--json"])
        .ended(5)
        .json();
    assert_eq!(waited["fault"]["code"], "ODN-1007");
    assert!(waited["serial"].is_string());
}

#[test]
fn a_request_that_is_left_running_can_be_cancelled() {
    let (desk, _server) = with_kit();
    let started = desk
        .odeon(&["call", "kit/spin", "--async", "--json"])
        .ended(0)
        .json();
    let serial = started["serial"].as_str().unwrap();
    let status = desk.odeon(&["status", "--json"]).ended(0).json();
    assert_eq!(status["status"]["in_flight"][0]["serial"], serial);
    let cancelled = desk.odeon(&["cancel", serial, "--json"]).ended(0).json();
    assert_eq!(cancelled["request"]["serial"], serial);
    let until = Instant::now() + Duration::from_secs(10);
    while desk.odeon(&["status", "--json"]).ended(0).json()["status"]["requests"]["cancelled"] != 1 {
        assert!(Instant::now() < until, "the request never ended");
    }
    desk.odeon(&["cancel", "0192d8f0-0000-7000-8000-000000000000"])
        .ended(4);
    desk.odeon(&["cancel", "no-serial"]).ended(2);
}

#[test]
fn ctrl_c_cancels_the_request_and_still_gets_its_final_status() {
    let (desk, _server) = with_kit();
    let mut command = desk.command(&["call", "kit/spin", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while desk.odeon(&["status", "--json"]).ended(0).json()["status"]["in_flight"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        assert!(Instant::now() < until, "the call never began");
    }
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(text.contains("ODN-1009"), "{text}");
}

#[test]
fn logs_are_lines_and_the_level_can_be_changed() {
    let (desk, _server) = with_kit();
    let level = desk.odeon(&["log-level", "debug", "--json"]).ended(0).json();
    assert_eq!(level["log_level"], "debug");
    assert_eq!(desk.odeon(&["log-level"]).ended(0).stdout, "debug\n");
    let wrong = desk.odeon(&["log-level", "info,=="]).ended(2);
    assert!(
        wrong.stderr.contains("\"==\"") && wrong.stderr.contains("trace"),
        "{wrong:#?}"
    );
    // A word that is no level would silence the host.
    for wrong in ["nonsense", ""] {
        desk.odeon(&["log-level", wrong]).ended(2);
    }
    // It says where it counts from when it is loaded.
    desk.write("counter.wasm", odeon_tests::guests::bytes("sample-counter"));
    desk.odeon(&["load", "counter.wasm", "--allow-unsigned"]).ended(0);
    let ran = desk.odeon(&["logs", "--json"]).ended(0);
    let lines: Vec<Json> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert!(
        lines.iter().all(|line| line["line"]["time"].is_string()),
        "{lines:?}"
    );
    assert!(ran.stdout.contains("counting from 0"), "{lines:?}");
}

#[test]
fn top_gives_programs_one_status_a_second() {
    let (desk, _server) = with_kit();
    desk.odeon(&["top"]).ended(2);
    let mut child = desk
        .command(&["top", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .take(2)
        .map(Result::unwrap)
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        assert_eq!(
            serde_json::from_str::<Json>(&line).unwrap()["status"]["plugins"][0]["name"],
            "kit"
        );
    }
}

#[test]
fn what_the_caller_gives_along_comes_back_with_every_status() {
    let (desk, _server) = with_kit();
    let data = "{\"job\": [7, \"ü\"]}";
    let expected: Json = serde_json::from_str(data).unwrap();
    for (method, status) in [("kit/nothing", 0), ("kit/fail", 1), ("kit/trap", 6)] {
        let ran = desk
            .odeon(&["call", method, "--data", data, "--json"])
            .ended(status);
        assert_eq!(ran.json()["data"], expected, "{method}");
    }
    let started = desk.odeon(&["call", "kit/spin", "--async", "--data", "7", "--json"]);
    assert_eq!(started.ended(0).json()["data"], 7);
    let wrong = desk
        .odeon(&["call", "kit/nothing", "--data", "{job: 7}"])
        .ended(2);
    assert!(wrong.stderr.contains("--data"), "{wrong:#?}");
    assert!(desk.odeon(&["call", "kit/nothing", "--json"]).json()["data"].is_null());
}

#[test]
fn json_that_does_not_fit_is_underlined() {
    let (desk, _server) = with_kit();
    let ran = desk
        .odeon(&["call", "kit/add", "--args", "[1, \"two\"]"])
        .ended(2);
    assert!(ran.stderr.contains("╰── expected u32"), "{ran:#?}");
}

#[test]
fn what_is_missing_is_pointed_at_behind_the_last_word_and_nothing_has_no_box() {
    let (desk, _server) = with_kit();
    let ran = desk.odeon(&["call", "kit/add", "1"]).ended(2);
    assert!(
        ran.stderr.contains(" 1 │ 1") && ran.stderr.contains("·  ▲"),
        "{ran:#?}"
    );
    let ran = desk.odeon(&["call", "kit/add"]).ended(2);
    assert!(!ran.stderr.contains('╭'), "{ran:#?}");
}

#[test]
fn lines_of_a_plugin_that_never_was_are_not_found() {
    let (desk, _server) = with_kit();
    let ran = desk.odeon(&["logs", "nosuch"]).ended(4);
    assert!(
        ran.stderr.contains("ODN-1001") && ran.stderr.contains("nosuch"),
        "{ran:#?}"
    );
    desk.odeon(&["logs", "kit"]).ended(0);
}

#[test]
fn an_unload_waits_for_calls_as_long_as_it_says() {
    let (desk, _server) = with_kit();
    desk.odeon(&["call", "kit/spin", "--async"]).ended(0);
    let began = Instant::now();
    let ran = desk.odeon(&["unload", "kit", "--drain", "300ms"]).ended(0);
    assert!(ran.stdout.contains("1 call was stopped"), "{ran:#?}");
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(15),
        "{took:?}"
    );
    desk.odeon(&["unload", "kit", "--drain", "1s", "--now"]).ended(2);
}

#[test]
fn a_socket_path_that_is_no_text_is_refused_before_anything_starts() {
    use std::os::unix::ffi::OsStrExt as _;
    let desk = Desk::new();
    let socket = std::ffi::OsStr::from_bytes(b"\xff.sock");
    let output = desk.command(&["serve", "--socket"]).arg(socket).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!desk.path("home/.local/state/odeon/audit.jsonl").exists());
}

#[test]
fn a_host_leaves_no_core_dump() {
    let desk = Desk::new();
    let server = desk.serve(&[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
    // What is not dumpable belongs to root, whoever runs it.
    let own = std::fs::metadata(format!("/proc/{}/environ", server.pid())).unwrap();
    assert_eq!(own.uid(), 0);
}

#[test]
fn a_file_that_is_not_there_is_called_so_by_the_host_too() {
    let (desk, _server) = with_kit();
    let ran = desk.odeon(&["load", "missing.wasm"]).ended(4);
    assert!(
        ran.stderr.contains("there is no such file") && !ran.stderr.contains("os error"),
        "{ran:#?}"
    );
}

/// Enforced by `command::metrics`.
#[test]
fn metrics_are_printed_as_they_are_collected() {
    let (desk, _server) = with_kit();
    desk.odeon(&["call", "kit/add", "1", "2"]).ended(0);
    let text = desk.odeon(&["metrics"]).ended(0).stdout;
    for line in [
        "# TYPE odeon_plugin_calls_total counter",
        "odeon_plugin_calls_total{plugin=\"kit\"} 1",
        "odeon_plugin_latency_seconds_count{plugin=\"kit\"} 1",
        "odeon_requests_total{outcome=\"succeeded\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    let json = desk.odeon(&["metrics", "--json"]).ended(0).json();
    let text = json["metrics"].as_str().unwrap();
    assert!(
        text.contains("odeon_plugin_generation{plugin=\"kit\"} 1\n"),
        "{text}"
    );
    let row = desk.odeon(&["status", "--json"]).ended(0).json()["status"]["plugins"][0].clone();
    assert!(
        row["latency_us"]["p50"].as_u64() <= row["latency_us"]["p99"].as_u64()
            && row["latency_us"]["p99"].as_u64() > Some(0)
            && row["waiting"] == 0,
        "{row}"
    );
}
