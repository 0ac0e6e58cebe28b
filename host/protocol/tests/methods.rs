//! Paths of methods: what is a path, what is none, and what a short form
//! stands for.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

use odeon_protocol::{
    Code, Fault, MAX_CANDIDATES, MAX_METHOD_PATH, MemberPath, MethodPath, MethodPathError, ResolveError,
    resolve_member, shortest_member,
};
use proptest::prelude::*;

fn parts(text: &str) -> (String, Option<String>, String) {
    let path: MethodPath = text.parse().unwrap();
    assert_eq!(path.to_string(), text, "a path's text is the path");
    (
        path.plugin().to_string(),
        path.interface().map(str::to_owned),
        path.function().to_owned(),
    )
}

fn is(plugin: &str, interface: Option<&str>, function: &str) -> (String, Option<String>, String) {
    (
        plugin.to_owned(),
        interface.map(str::to_owned),
        function.to_owned(),
    )
}

#[test]
fn every_form_of_a_path_is_taken_apart() {
    for (text, expected) in [
        ("calc/add", is("calc", None, "add")),
        ("calc/math.add", is("calc", Some("math"), "add")),
        ("calc/math@0.1.0.add", is("calc", Some("math@0.1.0"), "add")),
        (
            "calc/acme:calc/math.add",
            is("calc", Some("acme:calc/math"), "add"),
        ),
        (
            "calc/acme:calc/math@0.1.0.add",
            is("calc", Some("acme:calc/math@0.1.0"), "add"),
        ),
        (
            "calc/acme:calc/math@1.0.0-rc.1+b.2.add",
            is("calc", Some("acme:calc/math@1.0.0-rc.1+b.2"), "add"),
        ),
        ("my.calc-2/to-HTML-5", is("my.calc-2", None, "to-HTML-5")),
        ("c/[constructor]counter", is("c", None, "[constructor]counter")),
        (
            "c/counters.[method]counter.next",
            is("c", Some("counters"), "[method]counter.next"),
        ),
        (
            "c/acme:c/counters@0.2.0.[static]counter.of",
            is("c", Some("acme:c/counters@0.2.0"), "[static]counter.of"),
        ),
    ] {
        assert_eq!(parts(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_path_is_refused_with_the_part_that_is_wrong() {
    let error = |text: &str| text.parse::<MethodPath>().unwrap_err();
    assert!(matches!(error("add"), MethodPathError::NoPlugin { .. }));
    for text in ["/add", "Calc/add", "ca lc/add"] {
        assert!(matches!(error(text), MethodPathError::Plugin(_)), "{text}");
    }
    for text in [
        "c/",
        "c/math.",
        "c/Add",
        "c/a_b",
        "c/a--b",
        "c/1a",
        "c/math@0.1.0",
        "c/[method]a",
        "c/[x]a.b",
    ] {
        assert!(
            matches!(error(text), MethodPathError::Function { .. }),
            "{text}: {:?}",
            error(text)
        );
    }
    for text in [
        "c/.add",
        "c/ma th.add",
        "c/math@1.add",
        "c/math@.add",
        "c/acme:calc.add",
        "c/a/b.add",
        "c/x[method]a.b",
    ] {
        assert!(
            matches!(error(text), MethodPathError::Interface { .. }),
            "{text}: {:?}",
            error(text)
        );
    }
    let fault = Fault::from(error("add"));
    assert_eq!(fault.code, Code::InvalidArguments);
    assert!(fault.message.contains("\"add\""), "{fault}");
}

#[test]
fn a_path_ends_at_its_limit() {
    let path = |length: usize| format!("c/{}", "a".repeat(length.saturating_sub(2)));
    assert!(path(MAX_METHOD_PATH).parse::<MethodPath>().is_ok());
    assert_eq!(
        path(MAX_METHOD_PATH + 1).parse::<MethodPath>(),
        Err(MethodPathError::TooLong {
            length: MAX_METHOD_PATH + 1
        })
    );
    let member = "a".repeat(MAX_METHOD_PATH + 1);
    assert!(matches!(
        member.parse::<MemberPath>(),
        Err(MethodPathError::TooLong { .. })
    ));
    assert!(matches!(
        MemberPath::new(None, &member),
        Err(MethodPathError::TooLong { .. })
    ));
}

const EXPORTS: &[(Option<&str>, &str)] = &[
    (None, "version"),
    (Some("acme:calc/math@0.1.0"), "add"),
    (Some("acme:calc/math@0.2.0"), "add"),
    (Some("acme:calc/math@0.2.0"), "version"),
    (Some("acme:calc/text@0.1.0"), "add"),
    (Some("acme:calc/text@0.1.0"), "join"),
    (Some("other:pkg/text@0.1.0"), "split"),
    (Some("plain"), "run"),
];

fn resolve(text: &str) -> Result<usize, ResolveError> {
    resolve_member(EXPORTS, &text.parse().unwrap())
}

#[test]
fn a_short_form_stands_for_the_one_export_it_fits() {
    for (text, index) in [
        ("acme:calc/math@0.1.0.add", 1),
        ("acme:calc/math@0.2.0.add", 2),
        ("math@0.1.0.add", 1),
        ("acme:calc/text.add", 4),
        ("text.add", 4),
        ("text.split", 6),
        ("math.version", 3),
        ("version", 0),
        ("join", 5),
        ("plain.run", 7),
        ("run", 7),
    ] {
        assert_eq!(resolve(text), Ok(index), "{text}");
    }
}

#[test]
fn a_form_that_fits_several_names_them_all() {
    for (text, count) in [("math.add", 2), ("acme:calc/math.add", 2), ("add", 3)] {
        let Err(ResolveError::Ambiguous { candidates, .. }) = resolve(text) else {
            panic!("{text} is not ambiguous");
        };
        assert_eq!(candidates.len(), count, "{text}");
        let fault = Fault::from(resolve(text).unwrap_err());
        assert_eq!(fault.code, Code::MethodAmbiguous);
        assert!(
            candidates
                .iter()
                .all(|candidate| fault.message.contains(candidate.as_str()))
        );
    }
}

#[test]
fn what_fits_nothing_names_what_is_near() {
    for (text, nearest) in [
        ("text.jion", "join"),
        ("maths.add", "acme:calc/math@0.1.0.add"),
        ("acme:calc/math@0.3.0.add", "acme:calc/math@0.1.0.add"),
        ("verison", "version"),
    ] {
        let Err(ResolveError::NotFound { nearest: found, .. }) = resolve(text) else {
            panic!("{text} was found");
        };
        assert_eq!(
            found.first().map(String::as_str),
            Some(nearest),
            "{text}: {found:?}"
        );
    }
    let Err(ResolveError::NotFound { nearest, .. }) = resolve("nothing-like-it") else {
        panic!()
    };
    assert!(nearest.is_empty(), "{nearest:?}");
    assert_eq!(
        Fault::from(resolve("nothing-like-it").unwrap_err()).code,
        Code::MethodNotFound
    );
}

#[test]
fn lists_of_candidates_are_cut() {
    let names: Vec<String> = (0..MAX_CANDIDATES + 1).map(|n| format!("i{n}")).collect();
    let exports: Vec<(Option<&str>, &str)> = names.iter().map(|name| (Some(name.as_str()), "go")).collect();
    let listed = |exports: &[(Option<&str>, &str)], path: &str| match resolve_member(
        exports,
        &path.parse().unwrap(),
    ) {
        Err(ResolveError::Ambiguous { candidates, .. }) => candidates.len(),
        Err(ResolveError::NotFound { nearest, .. }) => nearest.len(),
        Ok(_) => 0,
    };
    assert_eq!(listed(&exports[..MAX_CANDIDATES], "go"), MAX_CANDIDATES);
    assert_eq!(listed(&exports, "go"), MAX_CANDIDATES);
    assert_eq!(listed(&exports, "gi"), MAX_CANDIDATES);
}

#[test]
fn the_shortest_form_stands_for_its_export_and_nothing_else() {
    let shortest: Vec<_> = (0..EXPORTS.len())
        .map(|index| shortest_member(EXPORTS, index).unwrap())
        .collect();
    assert_eq!(
        shortest,
        [
            "version",
            "acme:calc/math@0.1.0.add",
            "acme:calc/math@0.2.0.add",
            "math.version",
            "text.add",
            "join",
            "split",
            "run"
        ]
    );
    for (index, text) in shortest.iter().enumerate() {
        assert_eq!(resolve(text), Ok(index));
    }
    assert_eq!(shortest_member(EXPORTS, EXPORTS.len()), None);
}

proptest! {
    #[test]
    fn every_path_of_valid_parts_is_read_back(
        plugin in "[a-z][a-z0-9.-]{0,20}",
        interface in prop::option::of(
            "([a-z][a-z0-9]{0,5}:[a-z]{1,6}/)?[a-z]{1,8}(-[a-z0-9]{1,4}){0,2}(@[0-9]{1,2}\\.[0-9]\\.[0-9](-rc\\.[0-9])?)?"
        ),
        function in "(\\[method\\][a-z]{1,5}\\.|\\[static\\][a-z]{1,5}\\.|\\[constructor\\])?[a-z]{1,8}(-[A-Z0-9]{1,4}){0,2}",
    ) {
        let member = MemberPath::new(interface.as_deref(), &function).unwrap();
        let path = MethodPath::new(plugin.parse().unwrap(), member);
        prop_assert_eq!(path.to_string().parse::<MethodPath>().unwrap(), path.clone());
        let json = serde_json::to_string(&path).unwrap();
        prop_assert_eq!(serde_json::from_str::<MethodPath>(&json).unwrap(), path);
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,60}") {
        if let Ok(path) = text.parse::<MethodPath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }
}
