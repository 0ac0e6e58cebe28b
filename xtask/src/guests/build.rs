//! Compiling guests: one cargo per target, and finding what it made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::component;
use crate::{process, workspace::Workspace};

/// Compiles every guest package below `home` and encodes it; by package name.
///
/// Cargo decides what is fresh. All packages that cannot be encoded are
/// reported together.
pub(super) fn compile(workspace: &Workspace, home: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut modules = BTreeMap::new();
    for target in targets(workspace) {
        let mut command = cargo(workspace, home, "build", target);
        command.arg("--message-format=json-render-diagnostics");
        eprintln!("    $ {}", process::line(&command));
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("`{}` could not be started", process::line(&command)))?;
        if !output.status.success() {
            bail!(
                "the guests for {target} do not compile ({}); nothing was changed",
                output.status
            );
        }
        modules.extend(artifacts(&String::from_utf8_lossy(&output.stdout)));
    }

    let mut components = BTreeMap::new();
    let mut failures = Vec::new();
    for (package, guest) in workspace.guests() {
        let folder = workspace.root.join(&package.dir);
        let manifest = guest.manifest.as_ref().map(|manifest| folder.join(manifest));
        let encoded = undeclared(&folder, manifest.as_deref())
            .and_then(|()| the_one(modules.get(&folder.join("Cargo.toml"))))
            .and_then(|module| fs::read(&module).with_context(|| format!("cannot read {}", module.display())))
            .and_then(|bytes| component::encode(bytes, manifest.as_deref()));
        match encoded {
            Ok(bytes) => drop(components.insert(package.name.clone(), bytes)),
            Err(error) => failures.push(format!("{}: {error:#}", package.dir)),
        }
    }
    if !failures.is_empty() {
        bail!("{}\nnothing was changed", failures.join("\n"));
    }
    Ok(components)
}

/// Lints every guest package; a warning is an error.
pub(super) fn clippy(workspace: &Workspace, home: &Path) -> Result<()> {
    for target in targets(workspace) {
        process::run(cargo(workspace, home, "clippy", target).args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn targets(workspace: &Workspace) -> BTreeSet<&str> {
    workspace
        .guests()
        .map(|(_, guest)| guest.target.as_str())
        .collect()
}

/// A cargo that does `verb` to all guests of one target.
fn cargo(workspace: &Workspace, home: &Path, verb: &str, target: &str) -> Command {
    let mut command = workspace.cargo();
    // Flags that were chosen for the machine itself make no sense for wasm, and
    // would replace those of .cargo/config.toml.
    command
        .env("CARGO_TARGET_DIR", home)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.args([verb, "--profile", "guest", "--target", target]);
    for (package, _) in workspace.guests().filter(|(_, guest)| guest.target == target) {
        command.args(["-p", &package.name]);
    }
    command
}

/// A manifest lying about that nobody embeds is a mistake worth a word.
fn undeclared(folder: &Path, declared: Option<&Path>) -> Result<()> {
    if declared.is_none() && folder.join("odeon.toml").exists() {
        bail!("there is an odeon.toml, expected `manifest = \"odeon.toml\"` in [package.metadata.odeon]");
    }
    Ok(())
}

fn the_one(modules: Option<&Vec<PathBuf>>) -> Result<PathBuf> {
    match modules.map(Vec::as_slice) {
        Some([one]) => Ok(one.clone()),
        Some(several) if several.len() > 1 => {
            bail!(
                "expected one .wasm, cargo made {}: keep one cdylib or one binary",
                several.len()
            )
        }
        _ => bail!("expected one .wasm, cargo made none: set `crate-type = [\"cdylib\"]` under [lib]"),
    }
}

/// The `.wasm` files that cargo reports, by the manifest of their package.
fn artifacts(messages: &str) -> BTreeMap<PathBuf, Vec<PathBuf>> {
    let mut files: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for line in messages.lines() {
        // Other kinds of messages have other fields; they are not of interest.
        let Ok(artifact) = serde_json::from_str::<Artifact>(line) else {
            continue;
        };
        let wasm = artifact
            .filenames
            .into_iter()
            .filter(|file| file.extension().is_some_and(|e| e == "wasm"));
        files.entry(artifact.manifest_path).or_default().extend(wasm);
    }
    files
}

#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_found_by_package_among_other_messages() {
        let messages = concat!(
            r#"{"reason":"build-script-executed","package_id":"x"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/r/a/Cargo.toml","filenames":["/t/a.wasm","/t/liba.rlib"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let files = artifacts(messages);
        assert_eq!(files[Path::new("/r/a/Cargo.toml")], [PathBuf::from("/t/a.wasm")]);
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn no_module_and_two_modules_are_both_errors() {
        assert!(the_one(None).is_err());
        assert!(the_one(Some(&vec![])).is_err());
        assert!(the_one(Some(&vec!["a".into(), "b".into()])).is_err());
        assert_eq!(the_one(Some(&vec!["a".into()])).unwrap(), PathBuf::from("a"));
    }
}
