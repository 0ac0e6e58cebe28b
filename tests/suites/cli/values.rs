//! Every kind of value at the command line, and every kind of mistake.

use serde_json::json;

use crate::desk::{Desk, Ran};

/// Calls whose result is their one argument, as it was written.
const SAME: &[&str] = &[
    r#"echo-bool(true)"#,
    r#"echo-u8(255)"#,
    r#"echo-s8(-128)"#,
    r#"echo-u16(65535)"#,
    r#"echo-s16(-32768)"#,
    r#"echo-u32(4294967295)"#,
    r#"echo-s32(-2147483648)"#,
    r#"echo-u64(18446744073709551615)"#,
    r#"echo-s64(-9223372036854775808)"#,
    r#"echo-f32(1.5)"#,
    r#"echo-f64(nan)"#,
    r#"echo-f64(-inf)"#,
    r#"echo-char('é')"#,
    r#"echo-string("")"#,
    r#"echo-string("a\n\"b\" 🎭")"#,
    r#"echo-pair({name: "n", notes: ["a", ""]})"#,
    r#"pairs([{name: "a", notes: []}, {name: "b", notes: ["c", "d"]}])"#,
    r#"echo-shape({label: some("l"), outline: [{x: 0.5, y: -1}], holes: [[{x: 1, y: 2}], []], style: dashed})"#,
    r#"shapes([{outline: [], holes: [], style: solid}])"#,
    r#"echo-style(dotted)"#,
    r#"echo-joined(nothing)"#,
    r#"echo-joined(outcome(err("e")))"#,
    r#"echo-joined(position({x: 1, y: 2}))"#,
    r#"joineds([small(1.5), large(7), text("t"), letter('x')])"#,
    r#"echo-tree(labels([("a", -1), ("b", 2)]))"#,
    r#"echo-tree(maybe(some(none)))"#,
    r#"echo-three({read, execute})"#,
    r#"echo-three({})"#,
    r#"echo-seventeen({b0, b16})"#,
    r#"echo-thirty-two({c31})"#,
    r#"echo-option(some("x"))"#,
    r#"echo-option(none)"#,
    r#"echo-nested-option(some(none))"#,
    r#"echo-nested-option(some(some(1)))"#,
    r#"echo-options([some(-3), none])"#,
    r#"echo-result(ok("x"))"#,
    r#"echo-bare-result(ok)"#,
    r#"echo-tuple((1, "a", 1.5, some('x')))"#,
    r#"echo-one-tuple((7))"#,
    r#"nested([[[1], []], []])"#,
    r#"bytes([0, 127, 255])"#,
    r#"bytes([])"#,
    r#"strings(["a", "é"])"#,
    r#"bools([true, false])"#,
    r#"chars(['a', 'é'])"#,
    r#"f64s([0.1, -inf])"#,
];

/// Calls whose result is written otherwise than an argument of theirs.
const OTHER: &[(&str, &str)] = &[
    ("echo-f32(-0.0)", "-0"),
    ("echo-f64(100e-2)", "1"),
    (r"echo-char('\u{1f3ad}')", "'🎭'"),
    (
        r#"echo-shape({outline: [], holes: [], style: solid})"#,
        "{outline: [], holes: [], style: solid}",
    ),
    (
        r#"echo-blob({name: "b", data: [0, 255]})"#,
        r#"ok({name: "b", data: [0, 255]})"#,
    ),
    (r#"swap("a", 7)"#, r#"(7, "a")"#),
    ("sixteen(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)", "16"),
    ("nothing()", "()"),
    (r#"greet("you")"#, r#""Hello, you!""#),
    (r#"world-note("t", ["a", "b"])"#, r#"("t", ["a", "b"])"#),
];

/// Calls that give the method's own error.
const ERRORS: &[(&str, &str)] = &[
    ("echo-result(err(1))", "err(1)"),
    ("echo-bare-result(err)", "err"),
    (
        r#"echo-blob({name: "", data: []})"#,
        r#"err("the blob has no name")"#,
    ),
    (r#"fail("why")"#, r#"err(text("why"))"#),
];

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("echo.wasm", odeon_tests::guests::bytes("guest-echo"));
    desk
}

fn run(desk: &Desk, invoke: &str) -> Ran {
    desk.odeon(&["run", "echo.wasm", invoke, "--allow-unsigned"])
}

/// The argument of a call.
fn argument(invoke: &str) -> &str {
    let (_, rest) = invoke.split_once('(').unwrap();
    rest.strip_suffix(')').unwrap()
}

#[test]
fn every_kind_of_value_goes_in_and_comes_out() {
    let desk = desk();
    let same = SAME.iter().map(|invoke| (*invoke, argument(invoke)));
    for (invoke, expected) in same.chain(OTHER.iter().copied()) {
        let ran = run(&desk, invoke).ended(0);
        assert_eq!(ran.stdout, format!("{expected}\n"), "{invoke}");
        assert_eq!(ran.stderr, "", "{invoke}");
    }
    for (invoke, expected) in ERRORS {
        let ran = run(&desk, invoke).ended(1);
        assert_eq!(ran.stdout, format!("{expected}\n"), "{invoke}");
    }
}

/// The same over the socket.
#[test]
fn a_host_gives_the_same_answers() {
    let desk = desk();
    let _server = desk.serve(&[]);
    desk.odeon(&["load", "echo.wasm", "--allow-unsigned"]).ended(0);
    let same = SAME.iter().map(|invoke| (*invoke, argument(invoke)));
    for (invoke, expected) in same {
        let (function, _) = invoke.split_once('(').unwrap();
        // As words of the shell: the one argument stands behind the method.
        let ran = desk
            .odeon(&["call", &format!("echo/{function}"), "--", expected])
            .ended(0);
        assert_eq!(ran.stdout, format!("{expected}\n"), "{invoke}");
    }
}

/// What JSON cannot hold is written as text, and an option within another is
/// told from what it holds.
#[test]
fn values_are_json_on_demand() {
    let desk = desk();
    for (invoke, expected) in [
        ("echo-u32(7)", json!(7)),
        (r#"echo-string("é")"#, json!("é")),
        ("echo-option(none)", json!(null)),
        (r#"strings(["a", "b"])"#, json!(["a", "b"])),
        (
            r#"echo-pair({name: "n", notes: ["a"]})"#,
            json!({"name": "n", "notes": ["a"]}),
        ),
        ("echo-style(dotted)", json!("dotted")),
        ("bytes([0, 255])", json!("AP8=")),
        ("echo-u64(18446744073709551615)", json!("18446744073709551615")),
        ("echo-nested-option(some(none))", json!({"some": null})),
        (r#"echo-result(ok("x"))"#, json!({"ok": "x"})),
        ("echo-joined(large(7))", json!({"large": 7})),
        ("echo-three({read})", json!(["read"])),
    ] {
        let ran = desk
            .odeon(&["run", "echo.wasm", invoke, "--allow-unsigned", "--json"])
            .ended(0);
        let text = ran.json();
        assert_eq!(text["result"], expected, "{invoke}: {text}");
    }
}

/// What is wrong with a call is said before anything runs, and fits a screen.
#[test]
fn every_mistake_has_its_status_and_fits_a_screen() {
    let desk = desk();
    let whole = odeon_tests::guests::bytes("guest-echo");
    desk.write("text.wasm", "hello");
    desk.write("cut.wasm", &whole[..whole.len() / 2]);
    for guest in ["wat-core-module", "wat-missing-imports", "wat-type-mismatch"] {
        desk.write(&format!("{guest}.wasm"), odeon_tests::guests::bytes(guest));
    }
    for (file, invoke, status, code) in [
        ("echo.wasm", "echo-u8()", 2, "ODN-1004"),
        ("echo.wasm", "echo-u8(1, 2)", 2, "ODN-1004"),
        ("echo.wasm", "echo-u8(256)", 2, "ODN-1004"),
        ("echo.wasm", "echo-u8(-1)", 2, "ODN-1004"),
        ("echo.wasm", "echo-u8(1", 2, "ODN-1004"),
        ("echo.wasm", "echo-style(solidd)", 2, "ODN-1004"),
        ("echo.wasm", "echo-three({reed})", 2, "ODN-1004"),
        ("echo.wasm", r#"echo-pair({name: "n"})"#, 2, "ODN-1004"),
        (
            "echo.wasm",
            r#"echo-pair({name: "n", notes: [1]})"#,
            2,
            "ODN-1004",
        ),
        (
            "echo.wasm",
            r#"echo-tuple((1, "a", 1.5, some("xy")))"#,
            2,
            "ODN-1004",
        ),
        ("echo.wasm", "make(1)", 2, "ODN-1013"),
        ("echo.wasm", "absent(1)", 4, "ODN-1002"),
        ("none.wasm", "f()", 4, ""),
        ("text.wasm", "f()", 7, "ODN-3002"),
        ("wat-core-module.wasm", "f()", 7, "ODN-3003"),
        ("cut.wasm", "echo-u8(1)", 7, "ODN-3004"),
        ("wat-missing-imports.wasm", "f()", 7, "ODN-3008"),
        ("wat-type-mismatch.wasm", "f()", 7, "ODN-3006"),
    ] {
        let ran = desk
            .odeon(&["run", file, invoke, "--allow-unsigned"])
            .ended(status);
        assert_eq!(ran.stdout, "", "{file} {invoke}");
        assert!(ran.stderr.contains(code), "{file} {invoke}: {}", ran.stderr);
        assert!(
            ran.stderr.lines().count() <= 24,
            "{file} {invoke}: {}",
            ran.stderr
        );
    }
}
