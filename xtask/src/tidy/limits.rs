//! Limits: the table in the code, the page, the hostile guest and the test.

use anyhow::{Result, bail};

use super::{Finding, Tree, guests, markdown};

const TABLE: &str = "host/authority/src/limits.rs";
const PAGE: &str = "docs/limits.md";
const COLUMNS: &[&str] = &["field", "default", "guest", "test"];

/// A row of the table in the code.
#[derive(Debug, PartialEq, Eq)]
struct Limit<'a> {
    name: &'a str,
    default: &'a str,
}

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let limits = limits(tree.need(TABLE)?);
    if limits.is_empty() {
        bail!("{TABLE}: expected rows like `\"memory\" memory: ByteSize = …, \"64MiB\", …;`, found none");
    }
    let rows = markdown::rows(tree.need(PAGE)?, COLUMNS);
    let mut findings = Vec::new();
    let mut documented = Vec::new();
    for (line, cells) in &rows {
        let [field, default, guest, test] = cells.as_slice() else {
            continue;
        };
        let [name] = *markdown::spans(field).as_slice() else {
            findings.push(Finding::at(
                PAGE,
                *line,
                format!("expected one `field` in backticks, found {field:?}"),
            ));
            continue;
        };
        documented.push(name);
        match limits.iter().find(|limit| limit.name == name) {
            None => {
                let message =
                    format!("there is no limit `{name}` in {TABLE}; remove the row or name the limit");
                findings.push(Finding::at(PAGE, *line, message));
            }
            Some(limit) if default.trim_matches('`') != limit.default => {
                let message = format!(
                    "`{name}`: expected the default {}, found {default}",
                    limit.default
                );
                findings.push(Finding::at(PAGE, *line, message));
            }
            Some(_) => {}
        }
        findings.extend(proof(tree, *line, name, guest, test));
    }
    for limit in limits.iter().filter(|limit| !documented.contains(&limit.name)) {
        let message = format!(
            "expected a row for `{}` with the columns {}",
            limit.name,
            COLUMNS.join(", ")
        );
        findings.push(Finding::of(PAGE, message));
    }
    Ok(findings)
}

/// What is wrong with the guest and the test of a row.
fn proof(tree: &Tree, line: usize, name: &str, guest: &str, test: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let named = markdown::spans(guest);
    if named.is_empty() {
        findings.push(Finding::at(
            PAGE,
            line,
            format!("`{name}`: expected the guest that this limit stops"),
        ));
    }
    for missing in named
        .iter()
        .filter(|guest| !guests::all(tree).iter().any(|known| known == *guest))
    {
        let message = format!("`{name}`: there is no guest `{missing}` in tests/guests or sample-plugins");
        findings.push(Finding::at(PAGE, line, message));
    }
    let named = markdown::spans(test);
    if named.is_empty() {
        findings.push(Finding::at(
            PAGE,
            line,
            format!("`{name}`: expected the test that proves it"),
        ));
    }
    for missing in named
        .iter()
        .filter(|test| !tree.has_function("tests", test.rsplit("::").next().unwrap_or(test)))
    {
        findings.push(Finding::at(
            PAGE,
            line,
            format!("`{name}`: there is no test `{missing}` in tests/"),
        ));
    }
    findings
}

/// The rows `"name" field: Type = default, "default as text", …;` of the code.
fn limits(text: &str) -> Vec<Limit<'_>> {
    let mut limits = Vec::new();
    for statement in text.split(';') {
        let Some(row) = statement.lines().map(str::trim).position(is_row) else {
            continue;
        };
        let start: usize = statement.split_inclusive('\n').take(row).map(str::len).sum();
        let mut texts = statement
            .get(start..)
            .unwrap_or_default()
            .split('"')
            .skip(1)
            .step_by(2);
        if let (Some(name), Some(default)) = (texts.next(), texts.next()) {
            limits.push(Limit { name, default });
        }
    }
    limits
}

/// Whether a line begins with `"name" field: `.
fn is_row(line: &str) -> bool {
    let field = line.strip_prefix('"').and_then(|rest| rest.split_once("\" "));
    field
        .and_then(|(_, rest)| rest.split_once(": "))
        .is_some_and(|(field, _)| {
            !field.is_empty()
                && field
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = r#"limits! {
        /// Doc; with a semicolon.
        "memory" memory: ByteSize = ByteSize::mib(64), "64MiB", at most ByteSize::gib(4), "4GiB",
            stops "growth bombs";
        /// Doc.
        "table-elements" table_elements: u64 = 20_000, "20000", at most 1, "1", stops "x";
    }"#;

    fn tree(page: &str) -> Tree {
        Tree::of(&[
            (TABLE, CODE),
            (PAGE, page),
            ("tests/guests/wat/grow.wat", ""),
            (
                "tests/suites/limits.rs",
                "fn memory_stops() {}\nfn tables_stop() {}",
            ),
        ])
    }

    #[test]
    fn rows_of_the_code_are_read() {
        let names = [("memory", "64MiB"), ("table-elements", "20000")];
        assert_eq!(limits(CODE), names.map(|(name, default)| Limit { name, default }));
    }

    #[test]
    fn a_page_that_agrees_passes() {
        let page = "| Limit | Default | Field | Guest | Test |\n|---|---|---|---|---|\n\
            | m | 64MiB | `memory` | `wat-grow` | `memory_stops` |\n\
            | t | `20000` | `table-elements` | `wat-grow` | `limits::tables_stop` |\n";
        assert_eq!(check(&tree(page)).unwrap(), []);
    }

    #[test]
    fn every_disagreement_is_found() {
        let page = "| Field | Default | Guest | Test |\n|---|---|---|---|\n\
            | `memory` | 65MiB | `gone` | `not_there` |\n| `other` | 1 | | |\n";
        let messages: Vec<_> = check(&tree(page))
            .unwrap()
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        let found = messages.join("\n");
        for part in [
            "default 64MiB",
            "no guest `gone`",
            "no test `not_there`",
            "no limit `other`",
            "expected the guest",
            "expected the test",
            "row for `table-elements`",
        ] {
            assert!(found.contains(part), "{part} in:\n{found}");
        }
        assert_eq!(messages.len(), 7);
    }

    #[test]
    fn a_missing_page_is_an_error() {
        assert!(check(&Tree::of(&[(TABLE, CODE)])).is_err());
    }
}
