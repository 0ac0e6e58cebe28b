//! Limits: the table in the code, the page, the hostile guest and the test.

use anyhow::{Result, bail};

use super::{Finding, Tree, guests, markdown};

const TABLE: &str = "host/authority/src/limits.rs";
const PAGE: &str = "docs/limits.md";
/// The plugin's limits end here in the table; what follows are the host's.
const HOST: &str = "    HostLimits,";
/// Where limits say no and count it.
const COUNTED: &[&str] = &["host/runtime/src", "host/node/src"];
/// Where the other counters get their names.
const STATUS: &str = "host/node/src/status.rs";
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
    findings.extend(metrics(tree)?);
    Ok(findings)
}

/// What is wrong with the counters that the page names: each limit of a plugin
/// has one that the code has too, or says why there is none.
fn metrics(tree: &Tree) -> Result<Vec<Finding>> {
    let table = tree.need(TABLE)?;
    let of_plugins = table.split_once(HOST).map_or(table, |(plugins, _)| plugins);
    let rows = markdown::rows(tree.need(PAGE)?, &["field", "metric"]);
    let status = tree.text(STATUS).unwrap_or_default();
    let mut findings = Vec::new();
    for Limit { name, .. } in limits(of_plugins) {
        let row = rows.iter().find(|(_, cells)| {
            cells
                .first()
                .is_some_and(|field| markdown::spans(field) == [name])
        });
        let Some((line, metric)) = row.and_then(|(line, cells)| Some((*line, *cells.get(1)?))) else {
            let message = format!("`{name}`: expected a column Metric that names its counter");
            findings.push(Finding::of(PAGE, message));
            continue;
        };
        let spans = markdown::spans(metric);
        if spans.is_empty() && !metric.starts_with("none: ") {
            let message =
                format!("`{name}`: expected a counter, or `none: ` and the reason, found {metric:?}");
            findings.push(Finding::at(PAGE, line, message));
        }
        for span in spans {
            let is_there = match span.strip_prefix("limits_hit.") {
                Some(counted) => counted == name && is_counted(tree, name),
                None => status.contains(&format!("\"{span}\":")),
            };
            if !is_there {
                let message = format!("`{name}`: nothing in {} counts `{span}`", COUNTED.join(" or "));
                findings.push(Finding::at(PAGE, line, message));
            }
        }
    }
    Ok(findings)
}

/// Whether code that enforces something says this name.
fn is_counted(tree: &Tree, name: &str) -> bool {
    let literal = format!("\"{name}\"");
    COUNTED
        .iter()
        .flat_map(|folder| tree.below(folder, ".rs"))
        .any(|(_, text)| text.contains(&literal))
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
            ("host/runtime/src/meter.rs", "counters.hit(\"memory\");"),
            (STATUS, "\"waiting\": stats.waiting,"),
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
        let page = "| Limit | Default | Field | Guest | Test | Metric |\n|---|---|---|---|---|---|\n\
            | m | 64MiB | `memory` | `wat-grow` | `memory_stops` | `limits_hit.memory` |\n\
            | t | `20000` | `table-elements` | `wat-grow` | `limits::tables_stop` | `waiting` |\n";
        assert_eq!(check(&tree(page)).unwrap(), []);
    }

    #[test]
    fn a_counter_that_the_code_does_not_have_is_found() {
        let row = |metric: &str| {
            format!(
                "| Field | Default | Guest | Test | Metric |\n|---|---|---|---|---|\n\
                 | `memory` | 64MiB | `wat-grow` | `memory_stops` | `limits_hit.memory` |\n\
                 | `table-elements` | 20000 | `wat-grow` | `tables_stop` | {metric} |\n"
            )
        };
        for metric in [
            "`limits_hit.table-elements`",
            "`limits_hit.memory`",
            "`gone`",
            "",
            "none",
        ] {
            let found = check(&tree(&row(metric))).unwrap();
            assert_eq!(found.len(), 1, "{metric}: {found:?}");
        }
        assert_eq!(check(&tree(&row("none: it cannot be seen"))).unwrap(), []);
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
        // Two of them have no counter.
        assert_eq!(messages.len(), 9);
    }

    #[test]
    fn a_missing_page_is_an_error() {
        assert!(check(&Tree::of(&[(TABLE, CODE)])).is_err());
    }
}
