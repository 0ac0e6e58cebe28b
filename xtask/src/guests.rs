//! `cargo xtask guests`: source to components.
//!
//! Owns `<target>/guests`: cargo's own folder for wasm builds, and
//! `components/`, where each guest ends up as `<package>.wasm`.
//! **Invariant:** `components/` changes only after everything was built and
//! encoded, file by file with a rename; a failure leaves what was there.

mod build;
mod component;
mod targets;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Builds every guest and says what changed.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let began = Instant::now();
    let home = workspace.target.join("guests");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let lock = File::create(home.join(".lock")).context("cannot make the lock of the guests folder")?;
    lock.lock().context("cannot lock the guests folder")?;

    targets::add_missing(workspace)?;
    let mut components = build::compile(workspace, &home)?;
    for (name, component) in assemble(&workspace.root.join("tests/guests/wat"))? {
        if components.insert(name.clone(), component).is_some() {
            bail!("{name} is the name of a package and of a file in tests/guests/wat; expected another name");
        }
    }
    if components.is_empty() {
        bail!("expected at least one guest under sample-plugins/ or tests/guests/, found none");
    }
    let changed = publish(&workspace.components(), &components)?;
    eprintln!(
        "{} components in {}, {changed} changed, {:.1} s",
        components.len(),
        workspace.components().display(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Lints the guests and their SDK for the targets they are made for.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    targets::add_missing(workspace)?;
    build::clippy(workspace, &workspace.target.join("guests"))
}

/// The components written by hand in `folder`, as `wat-<file stem>`. Those in
/// its `invalid/` are bytes that no host may load, so they need not be components.
fn assemble(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut components = BTreeMap::new();
    for (path, valid) in hand_written(folder, true)?
        .into_iter()
        .chain(hand_written(&folder.join("invalid"), false)?)
    {
        let bytes =
            wat::parse_file(&path).with_context(|| format!("{} does not assemble", path.display()))?;
        if valid && !component::is_component(&bytes) {
            bail!(
                "{}: expected a `(component …)`, found a core module",
                path.display()
            );
        }
        let name = format!("wat-{}", path.file_stem().unwrap_or_default().to_string_lossy());
        if components.insert(name, bytes).is_some() {
            bail!(
                "{}: there is another file of this name; expected another name",
                path.display()
            );
        }
    }
    Ok(components)
}

/// The `.wat` files of a folder, each with `valid`; none where there is no folder.
fn hand_written(folder: &Path, valid: bool) -> Result<Vec<(PathBuf, bool)>> {
    let mut files = Vec::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let known = path.is_dir() && path.ends_with("invalid");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wat") => files.push((path, valid)),
            Some("md") => {}
            _ if known => {}
            _ => bail!("{}: expected .wat files and `invalid/` here", path.display()),
        }
    }
    files.sort();
    Ok(files)
}

/// Brings `folder` to hold exactly `components`; gives how many files changed.
fn publish(folder: &Path, components: &BTreeMap<String, Vec<u8>>) -> Result<usize> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut changed = 0;
    for (name, bytes) in components {
        let path = folder.join(format!("{name}.wasm"));
        let same = fs::read(&path).is_ok_and(|old| old == *bytes);
        if !same {
            let new = folder.join(format!("{name}.wasm.new"));
            fs::write(&new, bytes).with_context(|| format!("cannot write {}", new.display()))?;
            fs::rename(&new, &path).with_context(|| format!("cannot replace {}", path.display()))?;
            changed += 1;
        }
        eprintln!(
            "    {:>9} B  {name}{}",
            bytes.len(),
            if same { "" } else { "  (new)" }
        );
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let wanted = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".wasm"));
        if !wanted.is_some_and(|name| components.contains_key(name)) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            eprintln!("    removed, no longer a guest: {}", path.display());
            changed += 1;
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
