//! What the tests need around them: installed where that is possible, named
//! where it is not.
//!
//! Must not change anything outside the target folder, except that root gets
//! missing system packages from apt.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{process, workspace::Workspace};

/// The release of cargo-nextest that is installed when there is none; it
/// compiles with the workspace's own toolchain.
const NEXTEST: &str = "0.9.143";

/// A program of the system and the Debian packages that bring it.
struct Needed {
    program: &'static str,
    packages: &'static [&'static str],
    why: &'static str,
}

const NEEDED: &[Needed] = &[Needed {
    program: "cc",
    packages: &["gcc", "libc6-dev"],
    why: "it links every binary and compiles the C parts of dependencies",
}];

pub(super) fn run(workspace: &Workspace) -> Result<()> {
    system_packages(NEEDED)?;
    nextest(workspace)
}

/// `PATH` with the programs that were installed here behind those of the user.
pub(crate) fn path_with_tools(workspace: &Workspace) -> Result<OsString> {
    #[allow(
        clippy::disallowed_methods,
        reason = "programs are looked up where the shell looks them up"
    )]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([tools(workspace).join("bin")]);
    std::env::join_paths(folders).context("the target folder's name cannot be part of PATH")
}

fn tools(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

fn system_packages(needed: &[Needed]) -> Result<()> {
    let missing: Vec<_> = needed
        .iter()
        .filter(|needed| !process::exists(needed.program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing
        .iter()
        .flat_map(|needed| needed.packages)
        .copied()
        .collect();
    for needed in &missing {
        println!("    missing: {} ({})", needed.program, needed.why);
    }
    if !rustix::process::geteuid().is_root() || !process::exists("apt-get") {
        bail!("install what is missing: apt-get install {}", packages.join(" "));
    }
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--no-install-recommends"]);
    process::run(apt.args(packages))
}

fn nextest(workspace: &Workspace) -> Result<()> {
    if has_nextest(workspace)? {
        return Ok(());
    }
    println!("    cargo-nextest is missing, installing {NEXTEST} below the target folder");
    let mut command = workspace.cargo();
    command.args([
        "install",
        "cargo-nextest",
        "--locked",
        "--version",
        NEXTEST,
        "--root",
    ]);
    command
        .arg(tools(workspace))
        .env("CARGO_TARGET_DIR", tools(workspace).join("build"));
    process::run(&mut command)
        .with_context(|| format!("by hand: cargo install cargo-nextest --locked --version {NEXTEST}"))?;
    if !has_nextest(workspace)? {
        bail!("cargo-nextest was installed but does not start");
    }
    Ok(())
}

fn has_nextest(workspace: &Workspace) -> Result<bool> {
    let mut command = workspace.cargo();
    command
        .env("PATH", path_with_tools(workspace)?)
        .args(["nextest", "--version"]);
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    Ok(status.context("cargo could not be started")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_asked_for() {
        system_packages(&[Needed {
            program: "true",
            packages: &["coreutils"],
            why: "test",
        }])
        .unwrap();
    }
}
