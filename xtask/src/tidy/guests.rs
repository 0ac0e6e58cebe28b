//! Hostile guests: none is forgotten by the tests.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::{Finding, Tree};

const HOSTILE: &str = "tests/guests";

/// The names of all guests: packages, and `wat-` and the stem for what is written by hand.
pub(super) fn all(tree: &Tree) -> BTreeSet<String> {
    let packages = tree
        .packages
        .iter()
        .filter(|package| package.guest.is_some())
        .map(|package| package.name.clone());
    packages.chain(hand_written(tree)).collect()
}

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let packages = tree
        .packages
        .iter()
        .filter(|package| package.dir.starts_with("tests/guests/"));
    let hostile: BTreeSet<String> = packages
        .map(|package| package.name.clone())
        .chain(hand_written(tree))
        .collect();
    if hostile.is_empty() {
        bail!("{HOSTILE}: expected hostile guests, found none");
    }
    let unused = hostile.iter().filter(|name| !is_mentioned(tree, name));
    let message =
        |name: &String| format!("no test under tests/ mentions the guest `{name}`; write one or remove it");
    Ok(unused.map(|name| Finding::of(HOSTILE, message(name))).collect())
}

fn hand_written(tree: &Tree) -> impl Iterator<Item = String> {
    tree.below("tests/guests/wat", ".wat")
        .filter_map(|(path, _)| Some(format!("wat-{}", path.rsplit('/').next()?.strip_suffix(".wat")?)))
}

/// Whether a test names the guest, as text or as a constant.
fn is_mentioned(tree: &Tree, name: &str) -> bool {
    let name = normal(name);
    tree.below("tests", ".rs")
        .filter(|(path, _)| !path.starts_with("tests/guests/"))
        .any(|(_, text)| {
            let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
            words.map(normal).any(|word| word == name)
        })
}

fn normal(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_no_test_mentions_is_found() {
        let guests = [
            ("tests/guests/wat/fs-escape.wat", ""),
            ("tests/guests/wat/spin.wat", ""),
        ];
        let both = Tree::of(&[
            guests[0],
            guests[1],
            ("tests/a.rs", "load(\"wat-fs-escape\"); guests::WAT_SPIN"),
        ]);
        assert_eq!(check(&both).unwrap(), []);
        let part = Tree::of(&[
            guests[0],
            guests[1],
            ("tests/a.rs", "load(\"wat-fs-escape\"); wat-spinner"),
        ]);
        assert!(check(&part).unwrap()[0].message.contains("`wat-spin`"));
        assert!(check(&Tree::of(&[])).is_err());
    }
}
