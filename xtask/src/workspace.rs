//! What the workspace consists of, as cargo sees it.
//!
//! Owns the reading of `cargo metadata`; nothing else asks where a package,
//! a guest or the target folder is.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;

/// The repository, its packages and its target folder.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds to, whatever chose it.
    pub(crate) target: PathBuf,
    /// Every member, in the order of its name.
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder, relative to the root, with `/` between its parts.
    pub(crate) dir: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// Set for what is compiled to WebAssembly by `cargo xtask guests`.
    pub(crate) guest: Option<Guest>,
}

/// A package that is not of this repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Foreign {
    pub(crate) name: String,
    pub(crate) version: String,
    /// As its author wrote it, an SPDX expression most often.
    pub(crate) licence: Option<String>,
}

/// `[graph]` of `deny.toml`: which packages are looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Graph {
    #[serde(default)]
    all_features: bool,
    targets: Vec<String>,
}

impl Graph {
    /// The same for `cargo tree`.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        let features = self.all_features.then_some("--all-features");
        let targets = self.targets.iter().flat_map(|target| ["--target", target]);
        features.into_iter().chain(targets).collect()
    }
}

/// One line of a `[dependencies]` table, of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// The folder relative to the root, if it is a crate of this repository.
    pub(crate) dir: Option<String>,
}

/// `[package.metadata.odeon]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guest {
    /// The target to compile for.
    pub(crate) target: String,
    /// The manifest to embed, relative to the package.
    pub(crate) manifest: Option<String>,
}

impl Workspace {
    /// Asks cargo about the workspace this program was compiled from.
    pub(crate) fn load() -> Result<Workspace> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("cargo");
        command
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(here);
        let text = process::capture(&mut command).context("the workspace cannot be read")?;
        Self::from_metadata(&text)
    }

    fn from_metadata(text: &str) -> Result<Workspace> {
        let metadata: Metadata =
            serde_json::from_str(text).context("`cargo metadata` printed something else")?;
        let root = PathBuf::from(metadata.workspace_root);
        let mut packages = metadata
            .packages
            .into_iter()
            .map(|package| Package::from_metadata(&root, package))
            .collect::<Result<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Workspace {
            root,
            target: PathBuf::from(metadata.target_directory),
            packages,
        })
    }

    /// Everything from elsewhere that is compiled into something, with these
    /// features on these systems. The lock file has more.
    pub(crate) fn foreign(&self, graph: &Graph) -> Result<Vec<Foreign>> {
        let list = |more: &[&str]| {
            let mut command = self.cargo();
            command.args(["tree", "--workspace", "--locked"]).args(more);
            command.args(graph.arguments());
            command.args(["--prefix", "none", "--format", "{p}|{l}|"]);
            process::capture(&mut command)
        };
        // The network is asked only where a package was never downloaded.
        let text = list(&["--offline"])
            .or_else(|_| list(&[]))
            .context("the dependencies cannot be listed")?;
        let mut foreign: Vec<_> = text.lines().filter_map(Foreign::parse).collect();
        foreign.sort();
        foreign.dedup();
        Ok(foreign)
    }

    /// A `cargo` that runs at the root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.root);
        command
    }

    /// The members that run on the machine itself: all but guests and what is
    /// compiled only as a part of them.
    pub(crate) fn native(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| package.guest.is_none() && package.dir != "guest-sdk")
    }

    /// The members that become components.
    pub(crate) fn guests(&self) -> impl Iterator<Item = (&Package, &Guest)> {
        self.packages
            .iter()
            .filter_map(|package| Some((package, package.guest.as_ref()?)))
    }

    /// Where `cargo xtask guests` leaves the components.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("guests").join("components")
    }
}

impl Foreign {
    /// Reads `name v1.2.3 (proc-macro)|licence|`; a package of this repository
    /// has its folder in the place of that note.
    fn parse(line: &str) -> Option<Foreign> {
        let mut parts = line.split('|');
        let (package, licence) = (parts.next()?, parts.next()?);
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        if words.any(|word| word.starts_with("(/")) {
            return None;
        }
        Some(Foreign {
            name: name.to_owned(),
            version: version.strip_prefix('v')?.to_owned(),
            licence: (!licence.is_empty()).then(|| licence.to_owned()),
        })
    }
}

impl Package {
    fn from_metadata(root: &Path, package: PackageMetadata) -> Result<Package> {
        let dir = package
            .manifest_path
            .parent()
            .and_then(|dir| relative(root, dir))
            .with_context(|| format!("package {} is outside of the workspace", package.name))?;
        let guest = match package.metadata.as_ref().and_then(|tables| tables.get("odeon")) {
            Some(table) => Some(Guest::deserialize(table).with_context(|| {
                format!(
                    "{dir}/Cargo.toml: [package.metadata.odeon] expected `target` and optionally `manifest`"
                )
            })?),
            None if dir.starts_with("sample-plugins/") || dir.starts_with("tests/guests/") => {
                bail!(
                    "{dir}/Cargo.toml: expected [package.metadata.odeon] with the target to compile for, \
                     such as `target = \"wasm32-wasip2\"`"
                )
            }
            None => None,
        };
        let dependencies = package
            .dependencies
            .into_iter()
            .map(|dependency| Dependency {
                dir: dependency.path.and_then(|path| relative(root, &path)),
                name: dependency.name,
            })
            .collect();
        Ok(Package {
            name: package.name,
            dir,
            dependencies,
            guest,
        })
    }
}

/// `path` below `root`, with `/` between its parts.
fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts: Vec<_> = path
        .strip_prefix(root)
        .ok()?
        .iter()
        .map(|part| part.to_string_lossy())
        .collect();
    Some(parts.join("/"))
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: String,
    target_directory: String,
    packages: Vec<PackageMetadata>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<DependencyMetadata>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct DependencyMetadata {
    name: String,
    path: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
