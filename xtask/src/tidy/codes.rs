//! Error codes and `docs/errors/`: one page per code, one code per page.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::{Finding, Tree};

const TABLE: &str = "host/protocol/src/code.rs";
const PAGES: &str = "docs/errors";

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let codes = codes(tree.need(TABLE)?);
    if codes.is_empty() {
        bail!("{TABLE}: expected rows like `Name = \"ODN-1001\", …;`, found none");
    }
    let mut findings = Vec::new();
    for (code, summary) in &codes {
        let path = format!("{PAGES}/{code}.md");
        let expected = format!("# {code}: {}", summary.trim_end_matches('.'));
        match tree
            .text(&path)
            .map(|text| text.lines().next().unwrap_or_default())
        {
            None => findings.push(Finding::of(
                &path,
                format!("expected a page that begins with `{expected}`"),
            )),
            Some(first) if first.trim_end_matches('.') != expected => {
                findings.push(Finding::at(
                    &path,
                    1,
                    format!("expected `{expected}`, found `{first}`"),
                ));
            }
            Some(_) => {}
        }
    }
    for (path, _) in tree.below(PAGES, ".md") {
        let stem = path
            .rsplit('/')
            .next()
            .and_then(|name| name.strip_suffix(".md"))
            .unwrap_or_default();
        if stem.starts_with("ODN-") && !codes.contains_key(stem) {
            findings.push(Finding::of(
                path,
                format!("there is no code {stem} in {TABLE}; remove the page"),
            ));
        }
    }
    findings.extend(unused(tree));
    Ok(findings)
}

/// Codes of the table that no code of the host gives.
fn unused(tree: &Tree) -> Vec<Finding> {
    let names = tree.need(TABLE).unwrap_or_default().lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" = \"ODN-")?;
        line.trim().ends_with(';').then_some((name, rest.get(..4)?))
    });
    let is_used = |name: &str| {
        let path = format!("Code::{name}");
        tree.below("host", ".rs")
            .filter(|(path, _)| *path != TABLE && !path.contains("/tests"))
            .any(|(_, text)| {
                text.match_indices(&path).any(|(at, _)| {
                    !text
                        .get(at + path.len()..)
                        .unwrap_or_default()
                        .starts_with(|c: char| c.is_alphanumeric())
                })
            })
    };
    names
        .filter(|(name, _)| !is_used(name))
        .map(|(name, digits)| {
            let message =
                format!("no code of the host gives ODN-{digits} ({name}); use it, or remove it and its page");
            Finding::of(TABLE, message)
        })
        .collect()
}

/// The codes of the table with their summaries: the doc comment above each row.
fn codes(text: &str) -> BTreeMap<String, String> {
    let mut codes = BTreeMap::new();
    let mut summary = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            summary.push_str(doc);
            continue;
        }
        if let Some((_, rest)) = line.split_once(" = \"ODN-")
            && let Some((digits, _)) = rest.split_once('"')
            && line.ends_with(';')
        {
            codes.insert(format!("ODN-{digits}"), summary.trim().to_owned());
        }
        summary.clear();
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str =
        "codes! {\n    /// No such\n    /// plugin.\n    A = \"ODN-1001\", NotFound, Peer, Safe;\n}\n";

    const USE: (&str, &str) = ("host/node/src/load.rs", "Fault::new(Code::A, text)");

    #[test]
    fn rows_are_read_with_their_summaries() {
        assert_eq!(
            codes(ROWS),
            BTreeMap::from([("ODN-1001".to_owned(), "No such plugin.".to_owned())])
        );
    }

    #[test]
    fn a_page_that_agrees_passes_with_or_without_the_full_stop() {
        for page in ["# ODN-1001: No such plugin\n", "# ODN-1001: No such plugin.\n"] {
            assert_eq!(
                check(&Tree::of(&[
                    (TABLE, ROWS),
                    USE,
                    ("docs/errors/ODN-1001.md", page)
                ]))
                .unwrap(),
                []
            );
        }
    }

    #[test]
    fn missing_wrong_and_orphaned_pages_are_found() {
        assert_eq!(check(&Tree::of(&[(TABLE, ROWS), USE])).unwrap().len(), 1);
        let unused = Tree::of(&[
            (TABLE, ROWS),
            ("docs/errors/ODN-1001.md", "# ODN-1001: No such plugin"),
        ]);
        assert!(
            check(&unused).unwrap()[0]
                .message
                .contains("no code of the host gives")
        );
        let wrong = Tree::of(&[
            (TABLE, ROWS),
            USE,
            ("docs/errors/ODN-1001.md", "# ODN-1001: Other"),
            ("docs/errors/ODN-1002.md", "# ODN-1002: Gone"),
            ("docs/errors/README.md", "# Errors"),
        ]);
        let places: Vec<_> = check(&wrong)
            .unwrap()
            .into_iter()
            .map(|finding| finding.place)
            .collect();
        assert_eq!(places, ["docs/errors/ODN-1001.md:1", "docs/errors/ODN-1002.md"]);
        assert!(check(&Tree::of(&[(TABLE, "")])).is_err());
    }
}
