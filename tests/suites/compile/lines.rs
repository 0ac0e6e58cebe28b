//! Debug information that is made to be expensive to read: it costs the lines
//! of its component and nothing else.

use odeon_protocol::Code;
use odeon_tests::dwarf::{failing, piece, unit};
use odeon_tests::runtime::{spec, stopped};

use crate::bombs::runtime;

/// Names that take two bytes each, and much more when they are listed.
fn folders(count: usize) -> Vec<u8> {
    unit(&vec!["x"; count], &[("lib.rs", 0)], &piece(&[(2, 1, 7)], 5))
}

/// Enforced by `compile::lines` (`MAX_HEADER`, `MAX_SECTIONS`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debug_information_that_is_too_much_is_left_out() {
    let runtime = runtime(|_| {});
    let header = 256 << 10;
    let many = folders(100_000);
    let full = (8 << 20) / many.len();
    let sections = [
        ("a list within its limit", folders(header / 2 - 100), 0),
        ("a list beyond it", folders(header / 2), 1),
        ("as many lists as are read", many.repeat(full), 0),
        ("one more", many.repeat(full + 1), 1),
    ];
    for (what, section, left_out) in sections {
        let plugin = spec().prepare(&runtime, &failing(&section)).await;
        let plugin = plugin.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(plugin.lines().left_out(), left_out, "{what}");
        let frames = stopped(&plugin, "fail", Code::Trapped).await.fault.backtrace;
        let expected = if left_out == 0 {
            "m!trap (lib.rs:7)"
        } else {
            "m!trap"
        };
        assert_eq!(frames.unwrap()[0], expected, "{what}");
    }
}

/// Files that the program itself adds, each for a row of its own.
/// Enforced by `compile::lines` (`MAX_FILES`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_files_than_a_table_may_have_are_left_out() {
    let runtime = runtime(|_| {});
    let mut program = Vec::new();
    for number in 0..5000u32 {
        let name = format!("f{number:04}.rs");
        // Defines a file, and takes it for one row.
        program.extend_from_slice(&[0, 13, 3]);
        program.extend_from_slice(name.as_bytes());
        program.extend_from_slice(&[0, 0, 0, 0]);
        let (low, high) = ((number + 1) & 0x7f, (number + 1) >> 7);
        let row = piece(&[(2, 0, 1)], 5);
        // The row's file has a number of two bytes.
        let (before, after) = row.split_at(row.len() - 10);
        assert_eq!(&after[..2], &[4, 0], "{row:?}");
        program.extend_from_slice(before);
        program.extend_from_slice(&[4, low as u8 | 0x80, high as u8]);
        program.extend_from_slice(&after[2..]);
    }
    let section = unit(&[], &[], &program);
    let plugin = spec().prepare(&runtime, &failing(&section)).await.unwrap();
    let lines = plugin.lines();
    assert_eq!((lines.files(), lines.left_out()), (4096, 5000 - 4096));
}

/// Enforced by `child::lines_with_room`: lines are never the reason for a
/// refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_no_room_for_lines_has_none() {
    let section = unit(&[], &[("lib.rs", 0)], &piece(&[(2, 1, 7)], 5));
    let component = failing(&section);
    let rows = |output| {
        let component = component.clone();
        async move {
            let runtime = runtime(|limits| limits.output = output);
            let loaded = spec().prepare(&runtime, &component).await;
            loaded.ok().map(|plugin| plugin.lines().rows())
        }
    };
    assert_eq!(rows(1 << 20).await, Some(2));
    // The smallest answer that is no refusal has room for the code alone.
    let (mut refused, mut taken) = (0, 1 << 20);
    while taken - refused > 1 {
        let middle = (taken + refused) / 2;
        match rows(middle).await {
            Some(_) => taken = middle,
            None => refused = middle,
        }
    }
    assert_eq!(rows(taken).await, Some(0));
}
