//! What the locked dependencies are: their licences, the banned ones, and those
//! of which there may be one generation only.
//!
//! Reads the same `deny.toml` as cargo-deny and looks at the same packages: those
//! of its targets and features. What it does not know how to read there, it
//! refuses. It does what needs no program that takes minutes to compile;
//! advisories and sources stay with `cargo deny check`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Finding, Tree};
use crate::workspace::{Foreign, Graph};

pub(super) const RULES: &str = "deny.toml";
const LOCK: &str = "Cargo.lock";

#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Scope {
    graph: Graph,
}

/// A key that is not read here would hold for cargo-deny alone.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    deny_multiple_versions: bool,
    #[serde(default)]
    reason: Option<String>,
}

/// Which packages the rules are about.
pub(super) fn graph(rules: &str) -> Result<Graph> {
    let scope: Scope = toml::from_str(rules).with_context(|| format!("{RULES} is not what was expected"))?;
    Ok(scope.graph)
}

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let rules: Rules =
        toml::from_str(tree.need(RULES)?).with_context(|| format!("{RULES} is not what was expected"))?;
    for ban in &rules.bans.deny {
        let is_name = ban
            .name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        ensure!(
            is_name,
            "{RULES}: expected the name of a crate, found {:?}; versions are not looked at here",
            ban.name
        );
    }
    let mut findings: Vec<Finding> = tree
        .foreign
        .iter()
        .filter_map(|package| unlicensed(package, &rules.licenses.allow))
        .collect();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &tree.foreign {
        versions
            .entry(&package.name)
            .or_default()
            .insert(&package.version);
    }
    for ban in &rules.bans.deny {
        let Some(versions) = versions.get(ban.name.as_str()) else {
            continue;
        };
        let reason = ban.reason.as_deref().unwrap_or("see deny.toml");
        let found: Vec<_> = versions.iter().copied().collect();
        let found = found.join(" and ");
        if !ban.deny_multiple_versions {
            let message = format!("{} {found} is banned: {reason}", ban.name);
            findings.push(Finding::of(LOCK, message));
        } else if versions.len() > 1 {
            let message = format!("expected one {}, found {found}: {reason}", ban.name);
            findings.push(Finding::of(LOCK, message));
        }
    }
    Ok(findings)
}

/// What is wrong with a package's licence.
fn unlicensed(package: &Foreign, allowed: &BTreeSet<String>) -> Option<Finding> {
    let Foreign {
        name,
        version,
        licence,
    } = package;
    let finding = |found: &str| {
        let message = format!(
            "{name} {version}: expected a licence that {RULES} allows, found {found}; choose another crate, or add the \
             licence there if it may be used"
        );
        Some(Finding::of(LOCK, message))
    };
    let Some(written) = licence else {
        return finding("none");
    };
    match spdx::Expression::parse_mode(written, spdx::ParseMode::LAX) {
        Ok(expression) if expression.evaluate(|licence| allowed.contains(&licence.to_string())) => None,
        _ => finding(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: &str = "[licenses]\nallow = ['MIT', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception']\n\
        [bans]\ndeny = [{ crate = 'openssl', reason = 'no' }, { crate = 'tokio', deny-multiple-versions = true }]\n";

    fn found(packages: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let mut tree = Tree::of(&[(RULES, ALLOW)]);
        tree.foreign = packages
            .iter()
            .map(|(name, version, licence)| Foreign {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                licence: licence.map(str::to_owned),
            })
            .collect();
        let findings = check(&tree).unwrap();
        findings.into_iter().map(|finding| finding.message).collect()
    }

    /// What would hold for cargo-deny and not here.
    #[test]
    fn rules_that_are_not_understood_are_refused() {
        let rules = |ban: &str| {
            let text = format!("[licenses]\nallow = []\n[bans]\ndeny = [{{ {ban} }}]\n");
            check(&Tree::of(&[(RULES, text.as_str())]))
        };
        assert!(rules("crate = 'openssl'").is_ok());
        for ban in [
            "crate = 'openssl', wrappers = ['a']",
            "crate = 'openssl@0.10'",
            "crate = 'openssl:0.10'",
            "crate = 'openssl', use-instead = 'rustls'",
        ] {
            assert!(rules(ban).is_err(), "{ban}");
        }
    }

    #[test]
    fn the_packages_are_those_that_cargo_deny_looks_at() {
        let rules = "[graph]\nall-features = true\ntargets = ['a', 'b']\n[licenses]\nallow = []\n";
        let all = graph(rules).unwrap();
        assert_eq!(
            all.arguments(),
            ["--all-features", "--target", "a", "--target", "b"]
        );
        let fewer = graph("[graph]\ntargets = ['a']\n").unwrap();
        assert_eq!(fewer.arguments(), ["--target", "a"]);
        assert!(graph("[graph]\ntargets = ['a']\nexclude = ['b']\n").is_err());
    }

    #[test]
    fn what_may_be_used_passes() {
        let fine = [
            ("a", "1.0.0", Some("GPL-3.0-only OR MIT")),
            ("b", "1.0.0", Some("MIT/Apache-2.0")),
            ("c", "1.0.0", Some("Apache-2.0 WITH LLVM-exception")),
            ("c", "2.0.0", Some("MIT")),
            ("tokio", "1.0.0", Some("(MIT OR Zlib) AND Apache-2.0")),
        ];
        assert_eq!(found(&fine), Vec::<String>::new());
    }

    #[test]
    fn licences_bans_and_second_generations_are_found() {
        let wrong = [
            ("a", "1.0.0", Some("GPL-3.0-only")),
            ("b", "1.0.0", Some("MIT AND GPL-2.0-only")),
            ("c", "1.0.0", None),
            ("openssl", "0.10.0", Some("MIT")),
            ("tokio", "1.0.0", Some("MIT")),
            ("tokio", "2.0.0", Some("MIT")),
        ];
        let found = found(&wrong);
        assert_eq!(found.len(), 5, "{found:#?}");
        for (message, part) in found.iter().zip([
            "a 1.0.0: expected a licence",
            "found MIT AND GPL-2.0-only",
            "found none",
            "openssl 0.10.0 is banned: no",
            "expected one tokio, found 1.0.0 and 2.0.0",
        ]) {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
    }
}
