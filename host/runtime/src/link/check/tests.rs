//! Imports that the host does not have are refused with the nearest that it has, and a way to mend them.

use std::sync::Arc;

use odeon_protocol::Type;

use super::*;
use crate::EngineClass;
use crate::describe::Needs;
use crate::link::report::KEPT;

fn function(name: &str, params: &[(&str, Type)], result: Option<Type>) -> ImportedFunction {
    let params = params
        .iter()
        .map(|(name, ty)| Field {
            name: (*name).into(),
            ty: ty.clone(),
        })
        .collect();
    ImportedFunction {
        name: name.into(),
        ty: FunctionType {
            params,
            result,
            is_async: false,
        },
    }
}

fn report(imports: &[(&str, Vec<ImportedFunction>)]) -> LinkReport {
    check_imports(&Description {
        class: EngineClass::Fast,
        exports: Vec::new(),
        imports: imports
            .iter()
            .map(|(name, functions)| Import {
                name: (*name).into(),
                functions: functions.clone(),
            })
            .collect(),
        wit: None,
        needs: Needs::default(),
        async_lifted: false,
    })
}

fn one(name: &str, functions: Vec<ImportedFunction>) -> Mismatch {
    let report = report(&[(name, functions)]);
    assert_eq!(report.mismatches.len(), 1, "{report}");
    report.mismatches.into_iter().next().unwrap()
}

fn links(name: &str, functions: Vec<ImportedFunction>) {
    let report = report(&[(name, functions)]);
    assert!(report.is_empty(), "{report}");
}

fn random_u64(result: Type) -> Vec<ImportedFunction> {
    vec![function("get-random-u64", &[], Some(result))]
}

#[test]
fn every_host_interface_is_known_with_its_functions() {
    let host = surface::read().unwrap();
    let functions = |id: &str| {
        let interface = host
            .iter()
            .find(|interface| interface.id == id)
            .unwrap_or_else(|| panic!("{id}"));
        interface.functions.as_ref().unwrap()
    };
    assert!(functions("wasi:cli/exit@0.2.12").contains_key("exit"));
    assert!(functions("wasi:cli/exit@0.2.12").contains_key("exit-with-code"));
    assert!(functions("wasi:filesystem/types@0.2.12").contains_key("[method]descriptor.open-at"));
    assert!(functions("wasi:http/outgoing-handler@0.2.12").contains_key("handle"));
    assert!(functions("wasi:logging/logging@0.1.0-draft").contains_key("log"));
    assert!(functions("wasi:config/store@0.2.0-rc.1").contains_key("get"));
    assert!(functions("odeon:plugin/request@0.1.0").contains_key("report-progress"));
    assert!(functions("odeon:plugin/secrets@0.1.0").contains_key("[method]secret.reveal"));
    assert!(
        !host
            .iter()
            .any(|interface| interface.id.starts_with("odeon:plugin/lifecycle")),
        "an export"
    );
    assert!(
        !host.iter().any(|interface| interface.id.contains("timezone")),
        "unstable interfaces do not link"
    );
}

/// What is already there cannot be defined again.
#[test]
fn every_function_that_is_said_to_be_there_is_linked() {
    let engine = wasmtime::Engine::new(&crate::engine::compile_config(EngineClass::Async)).unwrap();
    let mut linker = crate::link::linker(&engine, crate::link::Flavour::Concurrent).unwrap();
    for interface in surface::read().unwrap() {
        let mut there = linker.instance(&interface.id).unwrap();
        for name in interface.functions.unwrap_or_default().keys() {
            let defined = there.func_new(name, |_, _, _, _| Ok(()));
            assert!(defined.is_err(), "{} has no {name}", interface.id);
        }
    }
}

#[test]
fn the_host_s_own_interfaces_link_in_any_compatible_version() {
    links("wasi:random/random@0.2.12", random_u64(Type::U64));
    links("wasi:random/random@0.2.0", random_u64(Type::U64));
    links("wasi:random/random@0.2.99", random_u64(Type::U64));
}

#[test]
fn an_interface_of_which_only_types_are_used_always_links() {
    links("odeon-tests:nobody/types@9.0.0", Vec::new());
}

#[test]
fn names_of_parameters_do_not_matter() {
    links(
        "wasi:random/random@0.2.12",
        vec![function(
            "get-random-bytes",
            &[("count", Type::U64)],
            Some(Type::List(Arc::new(Type::U8))),
        )],
    );
}

#[test]
fn an_unknown_interface_names_the_nearest() {
    let found = one("wasi:randon/random@0.2.12", random_u64(Type::U64));
    assert_eq!(found.problem, Problem::UnknownInterface);
    assert_eq!(found.nearest.as_deref(), Some("wasi:random/random@0.2.12"));
    assert_eq!(
        found.fix,
        "if wasi:random/random@0.2.12 is meant, build the component against it"
    );
}

#[test]
fn an_interface_like_no_other_has_no_nearest_but_a_fix() {
    let found = one("somebody:else/things@1.0.0", vec![function("f", &[], None)]);
    assert_eq!((found.problem, found.nearest), (Problem::UnknownInterface, None));
    assert!(
        found.fix.contains("or [links] in its descriptor"),
        "{}",
        found.fix
    );
}

#[test]
fn an_incompatible_version_names_both() {
    let found = one(
        "odeon:plugin/request@7.0.0",
        vec![function("serial", &[], Some(Type::String))],
    );
    assert_eq!(found.problem, Problem::Version);
    assert_eq!(
        (&*found.expected, &*found.found),
        ("version 0.1.0", "version 7.0.0")
    );
    let found = one(
        "odeon:plugin/request@0.2.0",
        vec![function("serial", &[], Some(Type::String))],
    );
    assert_eq!(found.problem, Problem::Version, "0.1 and 0.2 are not compatible");
    let found = one(
        "odeon:plugin/request",
        vec![function("serial", &[], Some(Type::String))],
    );
    assert_eq!(&*found.found, "no version");
}

#[test]
fn a_pre_release_is_like_no_other_version() {
    let get = || vec![function("get-all", &[], None)];
    assert_eq!(
        one("wasi:config/store@0.2.0-rc.2", get()).problem,
        Problem::Version
    );
    let found = one("wasi:config/store@0.2.0", get());
    assert_eq!(found.problem, Problem::Version);
    assert!(found.fix.ends_with("exactly this version links"), "{}", found.fix);
}

#[test]
fn a_missing_function_names_the_nearest() {
    let found = one(
        "wasi:cli/environment@0.2.12",
        vec![function("get-argument", &[], None)],
    );
    assert_eq!(found.problem, Problem::UnknownFunction);
    assert_eq!(found.function.as_deref(), Some("get-argument"));
    assert_eq!(found.nearest.as_deref(), Some("get-arguments"));
}

#[test]
fn another_type_names_the_place() {
    let found = one("wasi:random/random@0.2.12", random_u64(Type::String));
    assert_eq!(found.problem, Problem::FunctionType);
    assert_eq!(found.found, "another: result: expected u64, found string");
    let found = one(
        "wasi:random/random@0.2.12",
        vec![function("get-random-u64", &[("a", Type::U8)], Some(Type::U64))],
    );
    assert_eq!(found.found, "another: parameter `a` is unexpected");
}

#[test]
fn a_function_of_the_world_names_the_interface_that_has_one() {
    let found = one("exit", vec![function("exit", &[], None)]);
    assert_eq!(found.problem, Problem::WorldFunction);
    assert_eq!(found.nearest.as_deref(), Some("exit of wasi:cli/exit@0.2.12"));
}

#[test]
fn all_failures_are_reported_and_a_screen_of_them_is_shown() {
    let names: Vec<String> = (0..KEPT + 10)
        .map(|number| format!("nobody:has/number-{number}@1.0.0"))
        .collect();
    let imports: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), vec![function("f", &[], None)]))
        .collect();
    let at_limit = report(&imports[..KEPT]);
    assert_eq!((at_limit.mismatches.len(), at_limit.more), (KEPT, 0));
    let above = report(&imports);
    assert_eq!((above.mismatches.len(), above.more), (KEPT, 10));
    let text = above.to_string();
    assert!(
        text.starts_with("266 imports of the component do not link:\n- nobody:has/number-0@1.0.0: "),
        "{text}"
    );
    assert!(text.ends_with("\nand 246 more"), "{text}");
}

#[test]
fn names_are_cut_and_control_characters_escaped() {
    let long = one(
        &format!("a:b/{}@1.0.0", "c".repeat(10_000)),
        vec![function("f", &[], None)],
    );
    assert_eq!(long.interface.chars().count(), NAME + 1);
    assert_eq!(shown("a\u{1b}[31mb"), "a\\u{1b}[31mb");
    assert_eq!(shown(&"n".repeat(NAME)), "n".repeat(NAME));
    assert_eq!(shown(&"n".repeat(NAME + 1)), format!("{}…", "n".repeat(NAME)));
}

#[test]
fn edits_are_counted() {
    let count = |from: &str, to: &str| edits(&from.chars().collect::<Vec<_>>(), to);
    assert_eq!(count("", ""), 0);
    assert_eq!(count("abc", ""), 3);
    assert_eq!(count("", "abc"), 3);
    assert_eq!(count("kitten", "sitting"), 3);
    assert_eq!(count("request", "request"), 0);
}
