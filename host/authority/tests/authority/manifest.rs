//! What an author can say.

use std::collections::BTreeMap;

use odeon_authority::{
    ClassWish, ConfigMismatch, InstanceMode, Manifest, ManifestError, Placing, embed_manifest, manifest_of,
};

use crate::fixture::{component, key, manifest, packed, signed};

const FULL: &str = r#"
[plugin]
name = "indexer"
version = "1.2.3"
description = "Indexes files."
license = "Apache-2.0"
authors = ["A. Author"]
homepage = "https://example.com"
instance = "resident"
workers = 2
class = "async"

[grants]
http = ["api.example.com"]
[[grants.fs]]
guest = "/data"

[limits]
memory = "32MiB"

[config.api-url]
description = "Where the service is."
required = true
[config.mode]
default = "fast"
"#;

#[test]
fn a_full_manifest_is_read() {
    let manifest = Manifest::parse(FULL.as_bytes()).unwrap();
    assert_eq!(manifest.name.as_str(), "indexer");
    assert_eq!(
        manifest.placing,
        Placing {
            instance: Some(InstanceMode::Resident),
            workers: Some(2),
            class: Some(ClassWish::Async)
        }
    );
    assert_eq!(
        manifest.asks.lines(),
        ["fs=::/data", "http=api.example.com,private"]
    );
}

#[test]
fn an_author_cannot_say_what_is_the_operators() {
    for (more, about) in [
        ("[[grants.fs]]\nguest = \"/data\"\nhost = \"/etc\"", "grants.fs"),
        ("[grants]\nfs = [\"/etc\"]", "grants.fs"),
        ("[grants]\nhttp = [\"localhost,private\"]", "private"),
        ("[grants]\nenv = { A = \"1\" }", "grants.env"),
        ("[plugins]", "unknown field"),
        ("[limits]\nmemroy = 1", "unknown field"),
        ("[config.k]\nrequired = true\ndefault = \"x\"", "config"),
        ("[config]\nk = 1", "line"),
    ] {
        let text = format!("{}{more}", manifest("x", "1.0.0"));
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(about), "{more}: {error}");
    }
    for (more, about) in [
        ("workers = 2", "workers"),
        ("instance = \"resident\"\nworkers = 0", "workers"),
        ("instance = \"resident\"\nworkers = 257", "workers"),
        ("instance = \"warm\"", "unknown variant"),
    ] {
        let text = format!("{}{more}", manifest("x", "1.0.0"));
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(about), "{more}: {error}");
    }
}

#[test]
fn errors_say_where() {
    let error = Manifest::parse(b"[plugin]\nname = \"Bad Name\"\nversion = \"1.0.0\"\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2, column 8") && error.contains("plugin name expected"),
        "{error}"
    );
    assert!(matches!(
        Manifest::parse(b"[plugin]\n\xff"),
        Err(ManifestError::NotText { at: 9 })
    ));
}

// Passes by the bounds in `Manifest::parse` and `manifest::check_texts`.
#[test]
fn a_manifest_is_bounded() {
    let text = manifest("x", "1.0.0");
    let padded = |length: usize| format!("{text}#{}", "x".repeat(length - text.len() - 1));
    assert!(Manifest::parse(padded(Manifest::MAX).as_bytes()).is_ok());
    assert!(matches!(
        Manifest::parse(padded(Manifest::MAX + 1).as_bytes()),
        Err(ManifestError::TooLong { .. })
    ));
    let described = |length: usize| format!("{text}description = \"{}\"\n", "x".repeat(length));
    assert!(Manifest::parse(described(Manifest::MAX_TEXT).as_bytes()).is_ok());
    assert!(Manifest::parse(described(Manifest::MAX_TEXT + 1).as_bytes()).is_err());
    let authors = |number: usize| format!("{text}authors = [{}]\n", "\"a\",".repeat(number));
    assert!(Manifest::parse(authors(Manifest::MAX_AUTHORS).as_bytes()).is_ok());
    assert!(Manifest::parse(authors(Manifest::MAX_AUTHORS + 1).as_bytes()).is_err());
    let keys = |number: usize| {
        let keys: String = (0..number).map(|key| format!("[config.k{key}]\n")).collect();
        format!("{text}{keys}")
    };
    assert!(Manifest::parse(keys(Manifest::MAX_CONFIG).as_bytes()).is_ok());
    assert!(Manifest::parse(keys(Manifest::MAX_CONFIG + 1).as_bytes()).is_err());
    let version = |length: usize| manifest("x", &format!("1.0.0+{}", "b".repeat(length - 6)));
    assert!(Manifest::parse(version(Manifest::MAX_VERSION).as_bytes()).is_ok());
    assert!(Manifest::parse(version(Manifest::MAX_VERSION + 1).as_bytes()).is_err());
    // Nesting that would overflow a parser without a bound.
    let deep = format!("{text}authors = {}", "[".repeat(50_000));
    assert!(Manifest::parse(deep.as_bytes()).is_err());
}

#[test]
fn embedding_replaces_the_manifest_and_drops_signatures() {
    let first = packed("x", "1.0.0");
    let signed = signed("x", "1.0.0", &key());
    assert_eq!(
        embed_manifest(&signed, manifest("x", "1.0.0").as_bytes()).unwrap(),
        first
    );
    let second = embed_manifest(&first, manifest("x", "2.0.0").as_bytes()).unwrap();
    assert_eq!(
        manifest_of(&second).unwrap().unwrap().version.to_string(),
        "2.0.0"
    );
    assert_eq!(manifest_of(&component("x")).unwrap(), None);
    assert!(embed_manifest(&first, b"nonsense").is_err());
    assert!(embed_manifest(b"\0asm\x01\0\0\0", manifest("x", "1.0.0").as_bytes()).is_err());
}

#[test]
fn configuration_is_settled_against_what_the_plugin_reads() {
    let manifest = Manifest::parse(FULL.as_bytes()).unwrap();
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    assert_eq!(
        manifest.settle_config(&given(&[("api-url", "u")])),
        Ok(given(&[("api-url", "u"), ("mode", "fast")]))
    );
    assert!(matches!(
        manifest.settle_config(&given(&[])),
        Err(ConfigMismatch::Missing { .. })
    ));
    let unknown = manifest.settle_config(&given(&[("api-url", "u"), ("api_url", "u")]));
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "the plugin reads no configuration key \"api_url\"; it reads: api-url, mode"
    );
}

#[test]
fn the_operator_settles_how_a_plugin_runs() {
    let author = Placing {
        instance: Some(InstanceMode::Resident),
        workers: Some(4),
        class: Some(ClassWish::Fast),
    };
    let settled = Placing::settle(&Placing::default(), &author).unwrap();
    assert_eq!((settled.instance, settled.workers), (InstanceMode::Resident, 4));
    let fresh = Placing {
        instance: Some(InstanceMode::Fresh),
        ..Placing::default()
    };
    let settled = Placing::settle(&fresh, &author).unwrap();
    assert_eq!(
        (settled.instance, settled.workers, settled.class),
        (InstanceMode::Fresh, 1, Some(ClassWish::Fast))
    );
    let workers = Placing {
        workers: Some(2),
        ..Placing::default()
    };
    assert!(Placing::settle(&workers, &Placing::default()).is_err());
    assert_eq!(Placing::settle(&workers, &author).unwrap().workers, 2);
}

// Passes by `words::toml_problem`.
#[test]
fn what_is_wrong_with_a_manifest_is_said_without_its_own_control_characters() {
    let forged = "[plugin]\nname = \"x\u{1b}[2J\r2026-01-01 INFO loaded\u{202e}\u{2028}\" oops\n";
    let error = Manifest::parse(forged.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    let unsafe_for_lines = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{2028}'));
    assert!(!error.contains(unsafe_for_lines), "{error:?}");
    assert!(error.len() < 1000, "{error}");
}
