//! Files and lines in the backtrace of a guest that ended badly: where its
//! component says them, and nothing else where it says something strange.

use odeon_protocol::Code;
use odeon_runtime::{Plugin, Runtime};
use odeon_tests::dwarf::{Row, escaped, failing, failing_with, piece, unit, unit_5};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::{call, runtime, spec, stopped};

/// Both functions of [`failing`], the beginning of each and its instruction on
/// lines of their own.
///
/// The trap is told with the beginning, line 11: nothing else is done where it
/// stands, so that the compiler has the branch into it trap instead, and that
/// branch is the look at the epoch with which a function begins.
fn both() -> Vec<u8> {
    both_of(1, 2)
}

/// The same, in files of these numbers.
fn both_of(trap: u8, fail: u8) -> Vec<u8> {
    let trap = piece(&[(2, trap, 11), (3, trap, 12)], 5);
    let fail = piece(&[(6, fail, 19), (7, fail, 20)], 10);
    [trap, fail].concat()
}

async fn frames(plugin: &Plugin, call: &str) -> Vec<String> {
    let stopped = stopped(plugin, call, Code::Trapped).await;
    stopped.fault.backtrace.expect("a trap has frames")
}

/// Loads a component with this section; gives it and what a trap of it says.
async fn traced(runtime: &Runtime, section: &[u8]) -> (Plugin, Vec<String>) {
    let plugin = spec().prepare(runtime, &failing(section)).await.unwrap();
    let frames = frames(&plugin, "fail").await;
    (plugin, frames)
}

/// A trap below forty functions, and below one that calls itself so often.
fn deep() -> Vec<u8> {
    let chain: String = (1..40)
        .map(|n| format!("(func $f{n} call $f{})", n - 1))
        .collect();
    assemble(&format!(
        r#"(component
            (core module $m
              (func $f0 unreachable)
              {chain}
              (func $chain (export "chain") call $f39)
              (func $again (export "again") (param i32)
                local.get 0
                if
                  (call $again (i32.sub (local.get 0) (i32.const 1)))
                else
                  call $f0
                end))
            (core instance $i (instantiate $m))
            (func (export "chain") (canon lift (core func $i "chain")))
            (func (export "again") (param "times" u32) (canon lift (core func $i "again"))))"#
    ))
}

/// Enforced by `frames::FRAMES`, and `engine::common`, which has the engine read
/// as many.
#[tokio::test]
async fn a_backtrace_has_as_many_lines_as_it_may() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &deep()).await.unwrap();
    let innermost: Vec<String> = (0..32).map(|n| format!("m!f{n}")).collect();
    assert_eq!(frames(&plugin, "chain").await, innermost);
}

/// Enforced by `frames::READ`: what repeats itself is one line, and as much of it
/// is read.
#[tokio::test]
async fn a_frame_that_repeats_itself_is_one_line() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &deep()).await.unwrap();
    let once = frames(&plugin, "again(100)").await;
    assert_eq!(once, ["m!f0", "m!again (101 times)"]);
    // And no more than that, however deep it is.
    let often = frames(&plugin, "again(1000)").await;
    assert_eq!(often, ["m!f0", "m!again (127 times)"]);
}

const NAMES: [&str; 2] = ["m!trap", "m!fail"];

/// Enforced by `frames::place` and `compile::lines`.
#[tokio::test]
async fn a_trap_names_the_file_and_the_line_of_each_frame() {
    let runtime = runtime();
    let section = unit(&["src"], &[("lib.rs", 1), ("/abs/other.rs", 1)], &both());
    let (plugin, frames) = traced(&runtime, &section).await;
    assert_eq!(frames, ["m!trap (src/lib.rs:11)", "m!fail (/abs/other.rs:20)"]);
    let lines = plugin.lines();
    assert_eq!((lines.rows(), lines.files(), lines.left_out()), (6, 2, 0));
}

/// Loads a component whose `trap` has this body, called by `fail` with what is
/// put before the call. Gives what its trap says.
async fn told(body: &str, before: &str, rows: &[Row], fail: &[Row], end: u32) -> Vec<String> {
    let start = fail[0].0 - 1;
    let section = unit(
        &[],
        &[("lib.rs", 0)],
        &[piece(rows, start), piece(fail, end)].concat(),
    );
    let component = assemble(&format!(
        r#"(component
            (core module $m
              (global $g (mut i32) (i32.const 0))
              (func $trap {body})
              (func $fail (export "fail") {before} call $trap)
              (@custom ".debug_line" "{}"))
            (core instance $i (instantiate $m))
            (func (export "fail") (canon lift (core func $i "fail"))))"#,
        escaped(&section),
    ));
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &component).await.unwrap();
    frames(&plugin, "fail").await
}

/// Enforced by `frames::place`.
#[tokio::test]
async fn a_trap_behind_other_work_has_the_line_of_its_own_instruction() {
    // The beginning, what is stored, the storing, and the trap.
    let rows = [(2, 1, 10), (3, 1, 11), (5, 1, 12), (7, 1, 13)];
    let stores = "(global.set $g (i32.const 1)) unreachable";
    let found = told(stores, "", &rows, &[(10, 1, 19), (11, 1, 20)], 14).await;
    assert_eq!(found, ["m!trap (lib.rs:13)", "m!fail (lib.rs:20)"]);
}

/// Enforced by `frames::place`.
#[tokio::test]
async fn a_division_by_zero_has_the_line_of_the_division() {
    // The beginning, the numbers, the division, and what becomes of its result.
    let rows = [(2, 1, 10), (3, 1, 11), (7, 1, 12), (8, 1, 13)];
    let divides = "(param i32) (drop (i32.div_u (i32.const 1) (local.get 0)))";
    let fail = [(11, 1, 19), (12, 1, 20), (14, 1, 21)];
    let found = told(divides, "(i32.const 0)", &rows, &fail, 17).await;
    assert_eq!(found, ["m!trap (lib.rs:12)", "m!fail (lib.rs:21)"]);
}

#[tokio::test]
async fn lines_may_be_in_units_of_their_own() {
    let runtime = runtime();
    let one = unit(&[], &[("one.rs", 0)], &piece(&[(2, 1, 1)], 5));
    let two = unit(
        &["a", "b"],
        &[("x.rs", 1), ("two.rs", 2)],
        &piece(&[(6, 2, 70_000)], 10),
    );
    let (_, frames) = traced(&runtime, &[one, two].concat()).await;
    assert_eq!(frames, ["m!trap (one.rs:1)", "m!fail (b/two.rs:70000)"]);
}

/// Enforced by `compile::lines::text` (`MAX_NAME`).
#[tokio::test]
async fn names_may_be_in_a_section_of_their_own() {
    let runtime = runtime();
    let long = [b'z'; 2000];
    let texts = [&b"/from/author\0src\0main.rs\0lib.rs\0"[..], &long, b"\0"].concat();
    let files = [(17, 0), (25, 1), (32, 0), (5000, 0)];
    let section = unit_5(&[0, 13], &files, &both_of(1, 0));
    let named = |section: &[u8]| failing_with(&[(".debug_line", section), (".debug_line_str", &texts)]);
    let plugin = spec().prepare(&runtime, &named(&section)).await.unwrap();
    let found = frames(&plugin, "fail").await;
    assert_eq!(found, ["m!trap (src/lib.rs:11)", "m!fail (main.rs:20)"]);
    // One name is too long, and one is not there.
    let section = unit_5(&[0, 13], &files, &both_of(2, 3));
    let plugin = spec().prepare(&runtime, &named(&section)).await.unwrap();
    assert_eq!(frames(&plugin, "fail").await, NAMES);
    assert_eq!(plugin.lines().left_out(), 2);
}

/// What a compiler wrote: the function that calls the one that ends.
#[tokio::test]
async fn a_guest_that_keeps_its_lines_is_traced_to_them() {
    let source = include_str!("../../guests/traced/src/deep.rs");
    let line = source.lines().position(|line| line.trim() == "end();").unwrap() + 1;
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-traced").await;
    assert_eq!(call(&plugin, "ending.fail(7)").await.unwrap(), "7");
    let frames = frames(&plugin, "ending.fail(0)").await;
    let caller = frames.iter().find(|frame| frame.contains("deep::fail ("));
    let caller = caller.unwrap_or_else(|| panic!("{frames:#?}"));
    assert!(caller.ends_with(&format!("deep.rs:{line})")), "{frames:#?}");
}

#[tokio::test]
async fn without_lines_there_are_names() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    assert_eq!(plugin.lines().rows(), 0);
    let spin = frames(&plugin, "ending.unreachable").await;
    assert!(!spin.iter().any(|frame| frame.contains(".rs:")), "{spin:#?}");
    let (plugin, frames) = traced(&runtime, &[]).await;
    assert_eq!(frames, NAMES);
    assert_eq!(plugin.lines().left_out(), 0);
}

/// Enforced by `compile::lines` (nothing in it fails).
#[tokio::test]
async fn a_component_whose_lines_are_cut_off_has_names() {
    let runtime = runtime();
    let section = unit(&["src"], &[("lib.rs", 1), ("other.rs", 1)], &both());
    for cut in 1..section.len() {
        let (plugin, frames) = traced(&runtime, &section[..cut]).await;
        assert_eq!(frames, NAMES, "{cut} bytes");
        assert_eq!(plugin.lines().left_out(), 1, "{cut} bytes");
    }
}

/// Whatever a byte is changed to, the component loads and traps.
#[tokio::test]
async fn a_component_whose_lines_are_broken_loads_all_the_same() {
    let runtime = runtime();
    let section = unit(&["src"], &[("lib.rs", 1), ("other.rs", 1)], &both());
    for at in 0..section.len() {
        for byte in [0, 0x7f, 0xff] {
            let mut broken = section.clone();
            broken[at] = byte;
            let (_, frames) = traced(&runtime, &broken).await;
            let named = frames
                .iter()
                .zip(NAMES)
                .all(|(frame, name)| frame.starts_with(name));
            assert!(named && frames.len() == 2, "byte {at} as {byte}: {frames:?}");
        }
    }
}

/// Of what the linker threw away, the lines are still there.
/// Enforced by `Found::sequence`.
#[tokio::test]
async fn code_that_is_gone_has_no_lines() {
    let runtime = runtime();
    let gone = [
        piece(&[(0, 1, 1)], 9),
        piece(&[(2, 1, 2)], 11),
        piece(&[(u32::MAX - 9, 1, 3)], u32::MAX),
    ];
    let (plugin, frames) = traced(&runtime, &unit(&[], &[("gone.rs", 0)], &gone.concat())).await;
    assert_eq!(frames, NAMES);
    assert_eq!(plugin.lines().rows(), 0);
}

/// Enforced by `compile::lines::name` (`MAX_FILE`, `MAX_NAME`) and
/// `LineTable::new`.
#[tokio::test]
async fn a_files_name_is_short_and_plain() {
    let runtime = runtime();
    let only = |file: &str| unit(&[], &[(file, 0)], &piece(&[(2, 1, 1)], 5));
    let (_, frames) = traced(&runtime, &only("a\u{1b}[31mb\u{9b}c.rs")).await;
    assert_eq!(frames[0], "m!trap (a\u{fffd}[31mb\u{fffd}c.rs:1)");
    let (_, frames) = traced(&runtime, &only(&"x".repeat(160))).await;
    assert_eq!(frames[0], format!("m!trap ({}:1)", "x".repeat(160)));
    let (_, frames) = traced(&runtime, &only(&format!("{}.rs", "ö".repeat(400)))).await;
    let shown = frames[0]
        .strip_prefix("m!trap (")
        .unwrap()
        .strip_suffix(":1)")
        .unwrap();
    assert!(
        shown.len() <= 160 && shown.starts_with("…ö") && shown.ends_with("ö.rs"),
        "{shown}"
    );
    let (plugin, frames) = traced(&runtime, &only(&"y".repeat(1025))).await;
    assert_eq!(frames, NAMES);
    assert_eq!(plugin.lines().left_out(), 1);
}

/// Enforced by `compile::lines::MAX_ROWS`.
#[tokio::test]
async fn rows_beyond_the_limit_are_left_out_and_counted() {
    let runtime = runtime();
    // Each takes two rows: where it begins, and where it ends.
    let section = |pieces| unit(&[], &[("lib.rs", 0)], &piece(&[(2, 1, 7)], 5).repeat(pieces));
    for (pieces, left_out) in [(50_000, 0), (50_001, 1), (60_000, 10_000)] {
        let (plugin, frames) = traced(&runtime, &section(pieces)).await;
        assert_eq!(frames[0], "m!trap (lib.rs:7)");
        assert_eq!(plugin.lines().left_out(), left_out, "{pieces} pieces");
    }
}

/// Every unit has its own list of files, and names are read again for each.
/// Enforced by `compile::lines::MAX_LOOKUPS`.
#[tokio::test]
async fn so_many_names_are_looked_up_and_no_more() {
    let runtime = runtime();
    // Of code that is gone, so that nothing else is left out.
    let one = unit(&[], &[("lib.rs", 0)], &piece(&[(0, 1, 7)], 5));
    for (units, left_out) in [(65_536, 0), (65_537, 1)] {
        let plugin = spec()
            .prepare(&runtime, &failing(&one.repeat(units)))
            .await
            .unwrap();
        assert_eq!(plugin.lines().left_out(), left_out, "{units} units");
    }
}

/// What the engine puts between two components has no source.
/// Enforced by `frames::place`.
#[tokio::test]
async fn what_the_engine_added_has_no_lines() {
    let runtime = runtime();
    // Long enough that places in what is added are places in this as well.
    let section = unit(&[], &[("lib.rs", 0)], &piece(&[(1, 1, 9)], 3011));
    // Beside each other: between a component and one that it holds, what is added
    // refuses every call.
    let component = assemble(&format!(
        r#"(component
            (component $provider
              (core module $m
                (func $trap {} unreachable)
                (func $fail (export "fail") call $trap)
                (@custom ".debug_line" "{}"))
              (core instance $i (instantiate $m))
              (func (export "fail") (canon lift (core func $i "fail"))))
            (component $user
              (import "fail" (func $provided))
              (core func $lowered (canon lower (func $provided)))
              (core module $o (import "" "fail" (func $fail)) (func $go (export "go") call $fail))
              (core instance $oi (instantiate $o (with "" (instance (export "fail" (func $lowered))))))
              (func (export "go") (canon lift (core func $oi "go"))))
            (instance $p (instantiate $provider))
            (instance $u (instantiate $user (with "fail" (func $p "fail"))))
            (export "go" (func $u "go")))"#,
        "nop ".repeat(3000),
        escaped(&section),
    ));
    let plugin = spec().prepare(&runtime, &component).await.unwrap();
    let frames = frames(&plugin, "go").await;
    let [trap, fail, added, go] = &frames[..] else {
        panic!("expected four frames, found {frames:#?}");
    };
    assert_eq!(
        [trap, fail, go],
        ["m!trap (lib.rs:9)", "m!fail (lib.rs:9)", "o!go"]
    );
    // What number its function has is the engine's business.
    assert!(
        added.starts_with("<module>!<function ") && added.ends_with('>'),
        "{frames:#?}"
    );
}
