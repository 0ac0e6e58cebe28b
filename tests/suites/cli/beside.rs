//! `odeon run --link` where what serves the component is served itself.

use crate::desk::{Desk, Ran};

/// A component that serves `own` with one more than what `other` says, or with one
/// where there is no other.
fn serving(own: &str, other: Option<&str>) -> String {
    let (import, module) = match other {
        None => (
            String::new(),
            r#"(core module $m (func (export "get") (result i32) (i32.const 1)))
               (core instance $i (instantiate $m))"#
                .to_owned(),
        ),
        Some(other) => (
            imported(other),
            r#"(core module $m
                 (import "" "get" (func $get (result i32)))
                 (func (export "get") (result i32) (i32.add (call $get) (i32.const 1))))
               (core instance $i (instantiate $m (with "" (instance (export "get" (func $get))))))"#
                .to_owned(),
        ),
    };
    format!(
        r#"(component {import} {module}
            (func $own (result u32) (canon lift (core func $i "get")))
            (instance $served (export "get" (func $own)))
            (export "{own}" (instance $served)))"#
    )
}

fn imported(other: &str) -> String {
    format!(
        r#"(import "{other}" (instance $other (export "get" (func (result u32)))))
           (core func $get (canon lower (func $other "get")))"#
    )
}

/// A component with a function `go` that says what `other` says.
fn main(other: &str) -> String {
    let import = imported(other);
    format!(
        r#"(component {import}
            (core module $m
              (import "" "get" (func $get (result i32)))
              (func (export "go") (result i32) (call $get)))
            (core instance $i (instantiate $m (with "" (instance (export "get" (func $get))))))
            (func (export "go") (result u32) (canon lift (core func $i "go"))))"#
    )
}

/// `main` is served by `first`, that by `second`, and that by `third`. By their
/// names, those that are to be there last come first.
fn desk(last: Option<&str>) -> Desk {
    let desk = Desk::new();
    desk.component("main.wasm", &main("t:chain/a"));
    desk.component("first.wasm", &serving("t:chain/a", Some("t:chain/b@1.0.0")));
    desk.component("second.wasm", &serving("t:chain/b@1.0.0", Some("t:chain/c")));
    desk.component("third.wasm", &serving("t:chain/c", last));
    desk
}

fn run(desk: &Desk, links: &[&str]) -> Ran {
    let mut args = vec!["run", "main.wasm", "go()", "--allow-unsigned"];
    args.extend(links.iter().flat_map(|link| ["--link", link]));
    desk.odeon(&args)
}

/// Enforced by `run::beside::in_order`, in whatever order they are written.
#[test]
fn what_serves_a_component_is_served_itself() {
    let desk = desk(None);
    let links = [
        "t:chain/a=first.wasm",
        "t:chain/b=second.wasm",
        "t:chain/c=third.wasm",
    ];
    for links in [links, [links[2], links[0], links[1]]] {
        let ran = run(&desk, &links).ended(0);
        assert_eq!(ran.stdout, "3\n");
        // Each of them has an effect.
        assert!(!ran.stderr.contains("no effect"), "{ran:#?}");
    }
    let lacks = run(&desk, &links[..2]).ended(7);
    assert!(
        lacks.said().contains("--link t:chain/b") && lacks.said().contains("t:chain/c"),
        "{lacks:#?}"
    );
}

/// Enforced by `run::beside::circle`, before anything is loaded.
#[test]
fn components_that_serve_each_other_in_a_circle_are_refused() {
    let links = [
        "t:chain/a=first.wasm",
        "t:chain/b=second.wasm",
        "t:chain/c=third.wasm",
    ];
    let round = run(&desk(Some("t:chain/b@1.0.0")), &links).ended(2);
    for step in [
        "found a circle",
        "second.wasm imports t:chain/c of third.wasm",
        "third.wasm imports t:chain/b of second.wasm",
    ] {
        assert!(round.said().contains(step), "{step}: {round:#?}");
    }
    assert!(!round.said().contains("first.wasm imports"), "{round:#?}");
    let itself = run(&desk(Some("t:chain/c")), &links).ended(2);
    assert!(
        itself
            .said()
            .contains("third.wasm imports t:chain/c of third.wasm"),
        "{itself:#?}"
    );
}
