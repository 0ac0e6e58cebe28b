//! Standard error and standard output that nobody reads: they stop neither a
//! host nor a deadline nor a signal.

use std::{
    os::fd::OwnedFd,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use odeon_tests::clock::until;
use odeon_tests::stall::Stalls;
use rustix::{fs::OFlags, pipe::PipeFlags};

use crate::desk::{Desk, signal};

/// The longest that anything here may take; it took for ever.
const SOON: Duration = Duration::from_secs(20);

/// The writing end of a pipe with no room left, and the reading end, which has
/// to be kept.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while rustix::io::write(&writer, &vec![b'x'; size]).is_ok() {}
    }
    rustix::fs::fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

/// The exit status, if the process ends soon.
#[track_caller]
fn ended_soon(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the process had not ended after {SOON:?}");
}

#[test]
fn a_host_whose_standard_error_nobody_reads_serves_and_stops() {
    let desk = Desk::with_kit();
    desk.write("spin.wasm", odeon_tests::guests::bytes("guest-spin"));
    let (_reader, writer) = full_pipe();
    let mut child = desk
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    desk.until_it_answers();
    let began = Instant::now();
    desk.odeon(&["load", "kit.wasm", "--allow-unsigned"]).ended(0);
    desk.odeon(&["load", "spin.wasm", "--name", "spinner", "--allow-unsigned"])
        .ended(0);
    let flood = desk.odeon(&["call", "spinner/log-lines", "5000", "100", "--wait", "5s"]);
    assert!(matches!(flood.status, 0 | 5), "{flood:#?}");
    assert_eq!(
        desk.odeon(&["call", "kit/add", "40", "2"]).ended(0).stdout,
        "42\n"
    );
    signal(child.id(), "USR1");
    let dump = desk.path("home/.local/state/odeon/status-dump.json");
    until("the status dump is written", SOON, || dump.is_file());
    signal(child.id(), "TERM");
    assert_eq!(ended_soon(&mut child), Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_run_whose_standard_error_nobody_reads_ends_in_time() {
    let desk = Desk::with_kit();
    desk.write("spin.wasm", odeon_tests::guests::bytes("guest-spin"));
    for (file, invoke, wait, statuses) in [
        ("kit.wasm", "trap()", "60s", &[6][..]),
        ("spin.wasm", "log-lines(5000, 100)", "3s", &[0, 5]),
        ("spin.wasm", "log-forever()", "3s", &[5, 6]),
    ] {
        let (_reader, writer) = full_pipe();
        let mut command = desk.command(&["run", file, invoke, "--allow-unsigned", "--wait", wait]);
        let mut child = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
        let status = ended_soon(&mut child);
        assert!(
            status.is_some_and(|status| statuses.contains(&status)),
            "{invoke}: {status:?}"
        );
    }
}

#[test]
fn a_host_goes_on_when_nobody_reads_that_it_is_ready() {
    let desk = Desk::new();
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    drop(reader);
    let mut child = desk
        .command(&["serve"])
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    desk.until_it_answers();
    desk.odeon(&["stop", "--now"]).ended(0);
    assert_eq!(ended_soon(&mut child), Some(0));
}

#[test]
fn a_lock_that_somebody_holds_does_not_outlast_the_waiting_time() {
    let desk = Desk::with_kit();
    desk.run_kit("add(1, 2)").ended(0);
    let lock = std::fs::File::options()
        .write(true)
        .open(desk.path("home/.local/state/odeon/audit.lock"))
        .unwrap();
    lock.lock().unwrap();
    let mut child = desk
        .command(&["run", "kit.wasm", "add(1, 2)", "--allow-unsigned", "--wait", "1s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stalls = Stalls::watch();
    let began = Instant::now();
    let status = ended_soon(&mut child);
    assert!(matches!(status, Some(3 | 5 | 8)), "{status:?}");
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(10), "{took:?}");
}
