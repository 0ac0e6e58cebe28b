//! The wasm targets of the toolchain: present, or added with rustup.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{process, workspace::Workspace};

/// Adds what guests are compiled for and the toolchain lacks.
pub(super) fn add_missing(workspace: &Workspace) -> Result<()> {
    let needed: BTreeSet<&str> = workspace
        .guests()
        .map(|(_, guest)| guest.target.as_str())
        .collect();
    for target in needed {
        if is_installed(workspace, target)? {
            continue;
        }
        if !process::exists("rustup") {
            bail!(
                "the toolchain has no standard library for {target} and there is no rustup to add it; \
                 install rustup (https://rustup.rs) or add the target with what manages the toolchain"
            );
        }
        let mut command = Command::new("rustup");
        command
            .args(["target", "add", target])
            .current_dir(&workspace.root);
        process::run(&mut command).with_context(|| {
            format!("cannot add the target {target}; expected `rustup target add {target}` to work by hand")
        })?;
    }
    Ok(())
}

fn is_installed(workspace: &Workspace, target: &str) -> Result<bool> {
    let mut command = Command::new("rustc");
    command
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(&workspace.root);
    let folder = process::capture(&mut command).with_context(|| format!("rustc does not know {target}"))?;
    Ok(Path::new(folder.trim()).is_dir())
}
