//! Documents: what they must hold, and whether their links lead somewhere.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Finding, Tree, markdown};

const CODE_MAP: &str = "ARCHITECTURE.md";
const COMMANDS: &[&str] = &["cargo xtask demo", "cargo xtask test"];

/// Samples and fixtures are listed as one; every other crate by its folder.
pub(super) fn code_map(tree: &Tree) -> Result<Vec<Finding>> {
    let text = tree.need(CODE_MAP)?;
    let folders: BTreeSet<&str> = tree.packages.iter().map(|package| folder(&package.dir)).collect();
    let missing = folders
        .into_iter()
        .filter(|folder| !text.contains(&format!("`{folder}`")));
    Ok(missing
        .map(|folder| Finding::of(CODE_MAP, format!("expected a line on `{folder}` in the code map")))
        .collect())
}

fn folder(dir: &str) -> &str {
    ["sample-plugins", "tests/guests"]
        .into_iter()
        .find(|group| dir.starts_with(group))
        .unwrap_or(dir)
}

pub(super) fn readme(tree: &Tree) -> Result<Vec<Finding>> {
    let text = tree.need("README.md")?;
    let missing = COMMANDS.iter().filter(|command| !text.contains(**command));
    Ok(missing
        .map(|command| Finding::of("README.md", format!("expected the command `{command}`")))
        .collect())
}

pub(super) fn changelog(tree: &Tree) -> Result<Vec<Finding>> {
    let first = tree
        .need("CHANGELOG.md")?
        .lines()
        .find(|line| line.starts_with("## "));
    let is_unreleased = first.is_some_and(|line| line.trim_matches(['#', ' ', '[', ']']) == "Unreleased");
    let message = "expected `## Unreleased` as the first section";
    Ok(if is_unreleased {
        Vec::new()
    } else {
        vec![Finding::of("CHANGELOG.md", message)]
    })
}

pub(super) fn links(tree: &Tree) -> Result<Vec<Finding>> {
    tree.need("README.md")?;
    let mut findings = Vec::new();
    for (path, text) in tree
        .texts()
        .filter(|(path, _)| path.ends_with(".md") && !path.starts_with("wit/deps/"))
    {
        for (line, target) in markdown::links(text) {
            let (file, anchor) = target
                .split_once('#')
                .map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            if file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let Some(resolved) = resolve(path, file) else {
                findings.push(Finding::at(
                    path,
                    line,
                    format!("the link `{target}` leads out of the repository"),
                ));
                continue;
            };
            if !tree.exists(&resolved) {
                findings.push(Finding::at(
                    path,
                    line,
                    format!("there is no `{resolved}` for the link `{target}`"),
                ));
            } else if let (Some(anchor), Some(text)) = (anchor, tree.text(&resolved))
                && resolved.ends_with(".md")
                && !anchors(text).contains(anchor)
            {
                findings.push(Finding::at(
                    path,
                    line,
                    format!("`{resolved}` has no heading `#{anchor}`"),
                ));
            }
        }
    }
    Ok(findings)
}

/// `link` as seen from the file `from`; nothing if it leaves the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that headings get: lower case, spaces as `-`, punctuation dropped.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    let keep = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    };
    headings
        .map(|heading| heading.to_lowercase().chars().filter_map(keep).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_and_dead_anchors_are_found() {
        let tree = Tree::of(&[
            (
                "README.md",
                "[a](docs/a.md) [b](docs/b.md) [c](https://example.org/x) [d](docs/a.md#what-it-is)",
            ),
            (
                "docs/a.md",
                "# What it is\n[up](../README.md)\n[out](../../x)\n[dead](#gone)\n[folder](.)",
            ),
        ]);
        let places: Vec<_> = links(&tree)
            .unwrap()
            .into_iter()
            .map(|finding| finding.place)
            .collect();
        assert_eq!(places, ["README.md:1", "docs/a.md:3", "docs/a.md:4"]);
    }

    #[test]
    fn the_changelog_begins_with_unreleased() {
        for text in ["# Changelog\n\n## Unreleased\n", "## [Unreleased]\n\n## 1.0.0\n"] {
            assert_eq!(changelog(&Tree::of(&[("CHANGELOG.md", text)])).unwrap(), []);
        }
        assert_eq!(
            changelog(&Tree::of(&[("CHANGELOG.md", "## 1.0.0\n## Unreleased")]))
                .unwrap()
                .len(),
            1
        );
        assert!(changelog(&Tree::of(&[])).is_err());
    }

    #[test]
    fn samples_are_mapped_as_one() {
        assert_eq!(folder("sample-plugins/calculator"), "sample-plugins");
        assert_eq!(folder("tests/guests/spin"), "tests/guests");
        assert_eq!(folder("guest-sdk/macros"), "guest-sdk/macros");
    }
}
