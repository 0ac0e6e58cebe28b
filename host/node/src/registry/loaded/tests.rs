//! The table of method names answers exactly as the protocol's resolver does.

use odeon_protocol::{MemberPath, ResolveError, resolve_member, shortest_member};

use super::{Form, Forms};

const EXPORTS: &[(Option<&str>, &str)] = &[
    (None, "add"),
    (Some("acme:calc/math@0.1.0"), "add"),
    (Some("acme:calc/math@0.2.0"), "add"),
    (Some("acme:calc/math@0.2.0"), "sub"),
    (Some("other:calc/math"), "sub"),
    (Some("math"), "mul"),
    (Some("acme:calc/shapes@1.0.0"), "[method]counter.next"),
    (Some("acme:calc/shapes@1.0.0"), "area"),
];

#[test]
fn the_table_of_forms_answers_as_the_resolver_does() {
    let forms = Forms::of(EXPORTS.iter().copied());
    let interfaces = [
        "",
        "math",
        "math@0.1.0",
        "math@0.2.0",
        "acme:calc/math",
        "acme:calc/math@0.1.0",
        "other:calc/math",
        "shapes",
    ];
    let functions = ["add", "sub", "mul", "area", "[method]counter.next", "absent"];
    for interface in interfaces {
        for function in functions {
            let path = MemberPath::new((!interface.is_empty()).then_some(interface), function).unwrap();
            let expected = resolve_member(EXPORTS, &path);
            match forms.0.get(path.to_string().as_str()) {
                Some(Form::One(index)) => assert_eq!(expected, Ok(*index), "{path}"),
                Some(Form::Many) => {
                    assert!(matches!(expected, Err(ResolveError::Ambiguous { .. })), "{path}")
                }
                None => assert!(matches!(expected, Err(ResolveError::NotFound { .. })), "{path}"),
            }
        }
    }
}

#[test]
fn the_shortest_text_is_the_resolvers() {
    let forms = Forms::of(EXPORTS.iter().copied());
    for (index, (interface, function)) in EXPORTS.iter().enumerate() {
        assert_eq!(
            Some(forms.shortest(*interface, function, index)),
            shortest_member(EXPORTS, index)
        );
    }
}
