//! The versions that the workspace chooses, and who uses them.

use anyhow::{Context, Result};

use super::{Finding, Tree};

const ROOT: &str = "Cargo.toml";

/// A version that nobody uses is a promise that nothing checks: it is in no
/// build, and in no lock file.
pub(super) fn used(tree: &Tree) -> Result<Vec<Finding>> {
    let manifest: toml::Table = tree
        .need(ROOT)?
        .parse()
        .with_context(|| format!("{ROOT} is no TOML"))?;
    let versions = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .with_context(|| format!("{ROOT}: expected a table [workspace.dependencies], found none"))?;
    let unused = versions.keys().filter(|name| {
        let mut dependencies = tree.packages.iter().flat_map(|package| &package.dependencies);
        !dependencies.any(|dependency| dependency.name == **name)
    });
    Ok(unused
        .map(|name| {
            let message = format!("no member depends on `{name}`; remove it from [workspace.dependencies]");
            Finding::of(ROOT, message)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, Package};

    fn tree(manifest: &str) -> Tree {
        let mut tree = Tree::of(&[(ROOT, manifest)]);
        tree.packages.push(Package {
            name: "odeon-rmi".to_owned(),
            dir: "host/rmi".to_owned(),
            dependencies: vec![Dependency {
                name: "serde".to_owned(),
                dir: None,
            }],
            guest: None,
        });
        tree
    }

    #[test]
    fn a_version_that_nobody_uses_is_found() {
        let fine = tree("[workspace.dependencies]\nserde = '1'\n");
        assert_eq!(used(&fine).unwrap(), []);
        let found = used(&tree("[workspace.dependencies]\nserde = '1'\nsecrecy = '0.10'\n")).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("`secrecy`"), "{found:?}");
        assert!(used(&tree("")).is_err());
    }
}
