//! What is told when plugins do not fit each other.

use odeon_protocol::Code;
use odeon_runtime::{LoadError, Problem};
use odeon_tests::guests;

use crate::town::{STEPS, Town};

/// A component that uses this interface, with these functions of it.
fn user(interface: &str, functions: &str) -> Vec<u8> {
    guests::assemble(&format!(
        "(component (import \"{interface}\" (instance {functions})))"
    ))
}

async fn refused(town: &Town, link: (&str, &str), component: &[u8]) -> LoadError {
    let spec = town.spec("user").link(link.0, link.1);
    match spec.prepare(&town.runtime, component).await {
        Ok(_) => panic!("it links"),
        Err(error) => error,
    }
}

async fn problems(town: &Town, link: (&str, &str), component: &[u8]) -> Vec<(Problem, String)> {
    match refused(town, link, component).await {
        LoadError::Link(report) => report
            .mismatches
            .into_iter()
            .map(|one| (one.problem, one.to_string()))
            .collect(),
        error => panic!("{error}"),
    }
}

/// Enforced by `links::missing` in `Runtime::prepare`.
#[tokio::test]
async fn a_provider_that_is_not_loaded_is_named() {
    let town = Town::new();
    let error = refused(&town, (STEPS, "provider"), &guests::bytes("guest-caller")).await;
    assert_eq!(error.code(), Code::ProviderMissing);
    assert_eq!(
        error.to_string(),
        "user is linked to plugins that are not loaded: provider (for odeon-tests:links/steps); load them first"
    );
}

/// Enforced by `link::provided::check`.
#[tokio::test]
async fn everything_that_does_not_fit_a_provider_is_named_with_its_fix() {
    let town = Town::new();
    town.load(&town.spec("provider"), "guest-provider").await;
    let steps = "odeon-tests:links/steps@0.1.0";
    let wrong = user(
        steps,
        "(export \"add\" (func (param \"a\" u32) (param \"b\" string) (result u32)))
         (export \"ad\" (func (result u32)))",
    );
    let found = problems(&town, (STEPS, "provider"), &wrong).await;
    let kinds: Vec<Problem> = found.iter().map(|(problem, _)| *problem).collect();
    assert_eq!(kinds, [Problem::FunctionType, Problem::UnknownFunction]);
    assert_eq!(
        found[1].1,
        "odeon-tests:links/steps@0.1.0 ad: the interface has no such function\n  expected a function of \
         odeon-tests:links/steps@0.1.0, which provider exports, found ad; the nearest is add\n  build the component \
         against odeon-tests:links/steps@0.1.0 as provider exports it, or name another provider"
    );
    let newer = user("odeon-tests:links/steps@0.2.0", "(export \"x\" (func))");
    let found = problems(&town, (STEPS, "provider"), &newer).await;
    assert_eq!(found[0].0, Problem::Version, "{}", found[0].1);
    let other = user("odeon-tests:links/stairs@0.1.0", "(export \"x\" (func))");
    let found = problems(&town, ("odeon-tests:links/stairs", "provider"), &other).await;
    assert_eq!(found[0].0, Problem::UnknownInterface);
    assert!(
        found[0]
            .1
            .contains("name a plugin that exports it as the provider, in place of provider")
    );
}

/// Versions that are taken for one another are.
#[tokio::test]
async fn a_compatible_version_links() {
    let town = Town::new();
    town.load(&town.spec("provider"), "guest-provider").await;
    let add = "(export \"add\" (func (param \"x\" u32) (param \"y\" u32) (result u32)))";
    let spec = town.spec("user").link(STEPS, "provider");
    let patched = user("odeon-tests:links/steps@0.1.7", add);
    let linked = spec.prepare(&town.runtime, &patched).await.unwrap();
    assert_eq!(linked.links().next().unwrap().1.as_str(), "provider");
    assert!(linked.unused_links().is_empty());
}

/// Enforced by `not_proxied`.
#[tokio::test]
async fn what_belongs_to_one_store_is_refused_by_function_and_type() {
    let town = Town::new();
    town.load(&town.spec("echo"), "guest-echo").await;
    let counters = user(
        "odeon-tests:echo/counters@0.1.0",
        "(export \"counter\" (type $c (sub resource)))
         (export \"make\" (func (param \"start\" u32) (result (own $c))))",
    );
    let found = problems(&town, ("odeon-tests:echo/counters", "echo"), &counters).await;
    assert_eq!(found[0].0, Problem::NotProxied);
    assert!(
        found[0].1.starts_with("odeon-tests:echo/counters@0.1.0 make: "),
        "{}",
        found[0].1
    );
    assert!(
        found[0].1.contains("expected values only, found own<"),
        "{}",
        found[0].1
    );
}

/// Enforced by `provided::asynchronous`, and by `scan::has_async_functions`: whether
/// the caller waits in the call or beside it, the engine has to know such a
/// function before anybody can say that it does not link.
#[tokio::test]
async fn an_async_func_of_another_plugin_is_refused_and_told_what_links() {
    let town = Town::new();
    town.load(&town.spec("provider"), "guest-provider").await;
    let waits = user(
        "odeon-tests:links/steps@0.1.0",
        "(export \"add\" (func async (param \"a\" u32) (param \"b\" u32) (result u32)))",
    );
    let found = problems(&town, (STEPS, "provider"), &waits).await;
    assert_eq!(found[0].0, Problem::NotProxied, "{found:?}");
    assert!(
        found[0].1.starts_with("odeon-tests:links/steps@0.1.0 add: ")
            && found[0].1.contains("found an async func")
            && found[0].1.contains("let the interface have it as a func"),
        "{}",
        found[0].1
    );
}

/// Nobody offers himself: without a link, what another plugin exports is not
/// there.
#[tokio::test]
async fn an_import_without_a_link_is_told_how_to_be_linked() {
    let town = Town::new();
    town.load(&town.spec("provider"), "guest-provider").await;
    let refused = town
        .spec("caller")
        .prepare(&town.runtime, &guests::bytes("guest-caller"))
        .await;
    let Err(LoadError::Link(report)) = refused else {
        panic!("it links")
    };
    assert!(
        report.mismatches[0]
            .fix
            .contains("--link odeon-tests:links/steps=PLUGIN"),
        "{report}"
    );
}
