//! What is taken from cargo's description of the workspace.

use super::*;

fn metadata(dir: &str, metadata: &str) -> String {
    format!(
        r#"{{"workspace_root":"/r","target_directory":"/t","packages":[{{"name":"p","manifest_path":"/r/{dir}/Cargo.toml",
        "dependencies":[{{"name":"serde"}},{{"name":"q","path":"/r/host/q"}}],
        "targets":[{{"kind":["cdylib"]}}],"metadata":{metadata}}}]}}"#
    )
}

#[test]
fn a_guest_is_what_names_its_target() {
    let text = metadata(
        "sample-plugins/p",
        r#"{"odeon":{"target":"wasm32-wasip2","manifest":"odeon.toml"}}"#,
    );
    let workspace = Workspace::from_metadata(&text).unwrap();
    let (package, guest) = workspace.guests().next().unwrap();
    assert_eq!(package.dir, "sample-plugins/p");
    assert_eq!(guest.target, "wasm32-wasip2");
    assert_eq!(guest.manifest.as_deref(), Some("odeon.toml"));
    assert_eq!(workspace.native().count(), 0);
    assert_eq!(package.dependencies[1].dir.as_deref(), Some("host/q"));
}

#[test]
fn a_sample_without_a_target_is_an_error_and_not_skipped() {
    let error = Workspace::from_metadata(&metadata("tests/guests/p", "null"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("tests/guests/p/Cargo.toml") && error.contains("target"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_is_an_error() {
    let text = metadata(
        "sample-plugins/p",
        r#"{"odeon":{"target":"wasm32-wasip2","manfest":"x"}}"#,
    );
    assert!(Workspace::from_metadata(&text).is_err());
}

#[test]
fn foreign_packages_are_told_from_our_own() {
    let foreign = |name: &str, licence: Option<&str>| Foreign {
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        licence: licence.map(str::to_owned),
    };
    for (line, expected) in [
        (
            "a v1.2.3|MIT OR Apache-2.0|",
            Some(foreign("a", Some("MIT OR Apache-2.0"))),
        ),
        ("b v1.2.3 (proc-macro)|MIT| (*)", Some(foreign("b", Some("MIT")))),
        ("c v1.2.3||", Some(foreign("c", None))),
        ("odeon v0.1.0 (/odeon/host/node)|Apache-2.0|", None),
        ("", None),
    ] {
        assert_eq!(Foreign::parse(line), expected, "{line}");
    }
}
