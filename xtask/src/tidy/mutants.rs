//! The cheap part of `cargo xtask mutants`: the table fits the tree.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Finding, Tree};
use crate::mutants::{TABLE, Table};

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let table = Table::parse(tree.need(TABLE)?)?;
    if table.mutant.is_empty() {
        bail!("{TABLE}: expected a row for every limit and trust check, found none");
    }
    let mut findings = Vec::new();
    for mutant in &table.mutant {
        let name = &mutant.name;
        match tree.text(&mutant.file) {
            None => findings.push(Finding::of(TABLE, format!("{name}: there is no {}", mutant.file))),
            Some(text) => findings.extend(
                mutant
                    .apply(text, Path::new("on"))
                    .err()
                    .map(|error| Finding::of(TABLE, error.to_string())),
            ),
        }
        let Some(package) = tree
            .packages
            .iter()
            .find(|package| package.name == mutant.package)
        else {
            findings.push(Finding::of(
                TABLE,
                format!("{name}: there is no package {}", mutant.package),
            ));
            continue;
        };
        match mutant.test_names() {
            Err(error) => findings.push(Finding::of(TABLE, error.to_string())),
            Ok(tests) => findings.extend(
                tests
                    .iter()
                    .filter(|test| !tree.has_function(&package.dir, test))
                    .map(|test| {
                        Finding::of(
                            TABLE,
                            format!("{name}: there is no test `{test}` in {}", package.dir),
                        )
                    }),
            ),
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    fn tree(row: &str) -> Tree {
        let mut tree = Tree::of(&[
            (TABLE, row),
            ("host/a/src/a.rs", "if size > max { refuse() }\n"),
            ("tests/suites/a.rs", "fn too_large_is_refused() {}"),
        ]);
        tree.packages.push(Package {
            name: "odeon-tests".to_owned(),
            dir: "tests".to_owned(),
            dependencies: Vec::new(),
            guest: None,
        });
        tree
    }

    fn row(find: &str, test: &str) -> String {
        format!(
            "[[mutant]]\nname = 'size'\nfile = 'host/a/src/a.rs'\nfind = '{find}'\nreplace = '!MUTATED && {find}'\n\
             package = 'odeon-tests'\ntests = '{test}'\n"
        )
    }

    #[test]
    fn a_row_that_fits_passes() {
        assert_eq!(
            check(&tree(&row("size > max", "test(too_large_is_refused)"))).unwrap(),
            []
        );
    }

    #[test]
    fn a_line_that_is_gone_and_a_test_that_is_gone_are_found() {
        assert_eq!(check(&tree(&row("size >= max", "test(other)"))).unwrap().len(), 2);
        assert!(check(&tree("")).is_err());
    }
}
