//! Whoever takes room: the guest's own, or the host's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use odeon::{Code, LimitsPatch};
use odeon_authority::ClassWish;

use super::{
    BYTES, Clock, FORGER, HANDLES, LIFTED, MEMORY, SPIN, STACK, TIME, TRAP, WEB, all_end, grown, load_all,
    small, stopped, told,
};
use crate::host::{builder, ephemeral, state};

/// Falls with `Meter::memory_growing`, `Meter::table_growing`, the engine's
/// stack, the capacities of the tables and `set_hostcall_fuel`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_takes_more_room_than_there_is_ends() {
    let rows = [
        grown(SPIN, "memory.grow-until-refused", "true"),
        told(SPIN, "memory.grow-by", "65535", "none"),
        stopped(SPIN, "memory.allocate-until-abort", "", MEMORY),
        stopped(SPIN, "memory.use-bytes", "100000000", MEMORY),
        stopped(SPIN, "memory.huge-result", "20000000", MEMORY),
        stopped(SPIN, "cpu.recurse", "1000000000", STACK),
        stopped(SPIN, "cpu.recurse-with-frames", "1000000", TRAP),
        stopped(SPIN, "flood.pollables-forever", "", HANDLES),
        stopped(SPIN, "flood.streams-forever", "", HANDLES),
        stopped(SPIN, "wait.poll-forever", "1001", HANDLES),
        stopped(SPIN, "flood.random-bytes", "1099511627776", BYTES),
        stopped(SPIN, "flood.stdout-at-once", "100000", TRAP),
        stopped(SPIN, "ending.panic", "\"for a reason\"", TRAP),
        stopped(SPIN, "ending.exit", "true", &[Code::GuestExit]),
        // Eight memories of a page each, and 256 pages for all of them.
        told("wat-memories", "grow-each", "60", "4"),
        told("wat-tables", "grow-by", "20001", "false"),
        stopped("wat-traps", "recurse", "", STACK),
        stopped("wat-start-traps", "answer", "", TRAP),
    ];
    let host = ephemeral();
    load_all(&host, &rows, &[], &small(), None).await;
    all_end(&host, &rows, Clock::Wall).await;
}

/// The class that has no pool, which would do some of it elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_the_class_for_large_guests_holds_them_all_the_same() {
    let rows = [
        grown(SPIN, "memory.grow-until-refused", "true"),
        stopped(SPIN, "memory.allocate-until-abort", "", MEMORY),
        stopped(SPIN, "memory.huge-result", "20000000", MEMORY),
        stopped(SPIN, "cpu.recurse", "1000000000", STACK),
        stopped(SPIN, "flood.pollables-forever", "", HANDLES),
        stopped(SPIN, "flood.random-bytes", "1099511627776", BYTES),
        told("wat-memories", "grow-each", "60", "4"),
        told("wat-tables", "grow-by", "20001", "false"),
        stopped("wat-tables", "grow-forever", "", TIME),
        stopped("wat-traps", "recurse", "", STACK),
        stopped(SPIN, "cpu.spin", "", TIME),
        stopped(SPIN, "wait.sleep-forever", "", TIME),
        stopped(SPIN, "wait.drip", "1", TIME),
        stopped(SPIN, "flood.log-forever", "", TIME),
        stopped(SPIN, "flood.stdout-forever", "", TIME),
    ];
    let host = ephemeral();
    load_all(&host, &rows, &[], &small(), Some(ClassWish::Heavy)).await;
    all_end(&host, &rows, Clock::Wall).await;
}

/// Falls with the capacities of the tables, `Kept::add` and `Shared::settle`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_has_the_host_keep_things_without_end_ends() {
    let rows = [
        stopped(FORGER, "theft.secrets-forever", "\"token\"", HANDLES),
        stopped(LIFTED, "work.streams-forever", "", HANDLES),
        stopped(LIFTED, "work.futures-forever", "", HANDLES),
        stopped(LIFTED, "work.subtasks-forever", "", HANDLES),
        stopped(LIFTED, "work.trap", "", TRAP),
        grown(LIFTED, "work.grow", ""),
        stopped(LIFTED, "web.fields-forever", "1", HANDLES),
        stopped(WEB, "web.fields-forever", "1000", BYTES),
        stopped(WEB, "web.messages-forever", "8000", BYTES),
        stopped(WEB, "web.bodies-forever", "", BYTES),
        stopped(
            "guest-echo",
            "echo.make-bytes",
            "2000000",
            &[Code::ResultTooLarge],
        ),
    ];
    let folder = state();
    let secret = folder.path().join("token");
    fs::write(&secret, "hidden").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let host = builder()
        .secrets([("token".to_owned(), secret)].into())
        .start()
        .unwrap();
    let limits = LimitsPatch {
        message: Some("1MiB".parse().unwrap()),
        header_bytes: Some("8KiB".parse().unwrap()),
        ..small()
    };
    load_all(&host, &rows, &["secret=token"], &limits, None).await;
    all_end(&host, &rows, Clock::Wall).await;
}
