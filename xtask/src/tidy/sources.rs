//! Checks of source files and manifests as text.

use anyhow::{Context, Result};

use super::{Finding, Tree};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

/// Words of unfinished work. Written in two halves: this file is checked too.
const MARKERS: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Beginnings of paths that exist on one machine only.
const HOMES: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

/// What configures where packages come from.
const REGISTRIES: &[&str] = &[
    concat!("sparse", "+http"),
    concat!("[sou", "rce."),
    concat!("[regis", "tries"),
    concat!("index", "-url"),
];

/// The only place that locked packages come from.
const PUBLIC: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn lints_inherited(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let path = format!("{}/Cargo.toml", package.dir);
        let manifest: toml::Table = tree
            .need(&path)?
            .parse()
            .with_context(|| format!("{path} is no TOML"))?;
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        if inherits != Some(true) {
            findings.push(Finding::of(
                &path,
                "expected `[lints]` with `workspace = true`; add it",
            ));
        }
    }
    Ok(findings)
}

pub(super) fn modules_documented(tree: &Tree) -> Result<Vec<Finding>> {
    let finding = |(path, text): (&str, &str)| {
        let message = "expected a `//!` that says what the module owns and what it must not do; write it";
        (!text.starts_with("//!")).then(|| Finding::at(path, 1, message))
    };
    let folders = ["host", "guest-sdk", "sample-plugins", "tests", "xtask"];
    Ok(folders
        .iter()
        .flat_map(|folder| tree.below(folder, ".rs"))
        .filter_map(finding)
        .collect())
}

pub(super) fn names(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in tree.paths().filter(|path| !path.starts_with("wit/deps/")) {
        if path.ends_with("/mod.rs") {
            findings.push(Finding::of(
                path,
                "expected `name.rs` beside a folder `name/`; rename it",
            ));
        }
        for part in path.split('/') {
            let stem = part.split('.').next().unwrap_or(part);
            if EMPTY_NAMES.contains(&stem) {
                findings.push(Finding::of(
                    path,
                    format!("`{stem}` says nothing; name it after what it holds"),
                ));
            }
        }
    }
    Ok(findings)
}

pub(super) fn markers(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| is_ours(path)) {
        for (number, line) in numbered(text) {
            if let Some(marker) = MARKERS.iter().find(|marker| has_word(line, marker)) {
                findings.push(Finding::at(
                    path,
                    number,
                    format!("found `{marker}`; finish it, or open an issue"),
                ));
            }
        }
    }
    Ok(findings)
}

pub(super) fn machines(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| is_ours(path)) {
        for (number, line) in numbered(text) {
            if let Some(home) = HOMES.iter().find(|home| starts_path(line, home)) {
                let message = format!("found the absolute path `{home}…`; use one that exists everywhere");
                findings.push(Finding::at(path, number, message));
            }
            if let Some(registry) = REGISTRIES.iter().find(|registry| line.contains(**registry)) {
                let message =
                    format!("found `{registry}`; where packages come from is not the repository's business");
                findings.push(Finding::at(path, number, message));
            }
        }
    }
    Ok(findings)
}

pub(super) fn locked_sources(tree: &Tree) -> Result<Vec<Finding>> {
    let foreign = |(_, line): &(usize, &str)| {
        let source = line.strip_prefix("source = ");
        source.is_some_and(|source| source.trim_matches('"') != PUBLIC)
    };
    Ok(numbered(tree.need("Cargo.lock")?)
        .filter(foreign)
        .map(|(number, line)| {
            Finding::at(
                "Cargo.lock",
                number,
                format!("expected `{PUBLIC}`, found `{line}`"),
            )
        })
        .collect())
}

/// Text that was written here: not the licence, not the lock, not other people's WIT.
fn is_ours(path: &str) -> bool {
    !path.starts_with("wit/deps/") && path != "Cargo.lock" && path != "LICENSE"
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether `word` stands in `line` with no letter, digit or `_` grown onto its front or back.
fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, found)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        let after = line.get(at + found.len()..).and_then(|tail| tail.chars().next());
        !joins(before) && (found.ends_with('(') || !joins(after))
    })
}

/// Whether an absolute path that begins with `home` stands in `line`.
fn starts_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_-./}>*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(findings: Result<Vec<Finding>>) -> Vec<String> {
        findings
            .unwrap()
            .into_iter()
            .map(|finding| finding.place)
            .collect()
    }

    #[test]
    fn a_module_without_a_word_about_itself_is_found() {
        let tree = Tree::of(&[
            ("host/a/src/a.rs", "//! Owns.\n"),
            ("tests/guests/x/src/lib.rs", "fn x() {}\n"),
        ]);
        assert_eq!(places(modules_documented(&tree)), ["tests/guests/x/src/lib.rs:1"]);
    }

    #[test]
    fn empty_names_are_found_as_file_and_as_folder() {
        let tree = Tree::of(&[
            ("host/a/src/utils.rs", ""),
            ("tests/common/a.rs", ""),
            ("host/a/src/b/mod.rs", ""),
            ("host/a/src/commonwealth.rs", ""),
        ]);
        let found = places(names(&tree));
        assert_eq!(
            found,
            ["host/a/src/b/mod.rs", "host/a/src/utils.rs", "tests/common/a.rs"]
        );
    }

    #[test]
    fn markers_are_whole_words() {
        let text = format!("{}\n{}\nXXXL\n", MARKERS[3], MARKERS[0]);
        let tree = Tree::of(&[("host/a.rs", &text), ("LICENSE", MARKERS[3])]);
        assert_eq!(places(markers(&tree)), ["host/a.rs:1", "host/a.rs:2"]);
    }

    #[test]
    fn absolute_paths_are_told_from_relative_ones() {
        let text = format!("see {}x\nsee docs{}x\n", HOMES[0], HOMES[0]);
        assert_eq!(places(machines(&Tree::of(&[("a.md", &text)]))), ["a.md:1"]);
        let tree = Tree::of(&[(".cargo/config.toml", REGISTRIES[1])]);
        assert_eq!(places(machines(&tree)), [".cargo/config.toml:1"]);
    }

    #[test]
    fn a_package_from_elsewhere_is_found_and_a_missing_lock_is_an_error() {
        let text = format!("source = \"{PUBLIC}\"\nsource = \"git+https://example.org/a\"\n");
        assert_eq!(
            places(locked_sources(&Tree::of(&[("Cargo.lock", &text)]))),
            ["Cargo.lock:2"]
        );
        assert!(locked_sources(&Tree::of(&[])).is_err());
    }
}
