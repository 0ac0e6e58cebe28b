//! `cargo xtask bench`: runs the measurements and keeps their newest rows.
//!
//! Owns `target/bench/latest.json` and the verdict of each row against
//! `xtask/targets.toml`. Must not measure anything itself: the rows come, one
//! JSON object per line, from the `bench` binary of the tests package.

mod row;
mod table;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use self::{
    row::{Row, Target, Verdict},
    table::Table,
};
use crate::{guests, process, workspace::Workspace};

/// The flags of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print the rows of this run as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure only this section
    section: Option<String>,
}

/// Measures, merges, prints. `false` when a gate does not hold.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let targets = Target::read(&workspace.root.join("xtask/targets.toml"))?;
    guests::run(workspace)?;
    let mut fresh = measure(workspace, options.section.as_deref())?;
    for row in &mut fresh {
        row.complete(&targets)?;
    }
    let missing = row::missing(&targets, &fresh, options.section.as_deref());
    store(&workspace.target.join("bench"), &fresh)?;

    if options.json {
        println!("{}", serde_json::to_string_pretty(&fresh)?);
    } else {
        print!("{}", Table::of(&fresh, &targets));
        for target in &missing {
            println!(
                "{}/{}: not measured, expected by xtask/targets.toml",
                target.section, target.id
            );
        }
    }
    let holds = fresh.iter().all(|row| row.verdict(&targets) != Verdict::Missed);
    Ok(holds && missing.is_empty())
}

fn measure(workspace: &Workspace, section: Option<&str>) -> Result<Vec<Row>> {
    // Built with the packages that the tests are built with: another selection
    // would compile the engine anew.
    let mut build = workspace.cargo();
    build.args(["build", "--release", "--bin", "bench"]);
    for package in workspace.native() {
        build.args(["-p", &package.name]);
    }
    process::run(&mut build)?;
    let mut command = Command::new(workspace.target.join("release").join("bench"));
    command.args(section).arg("--json");
    eprintln!("    $ {}", process::line(&command));
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!(
            "the measurements ended with {}; nothing was stored",
            output.status
        );
    }
    row::parse(&String::from_utf8_lossy(&output.stdout))
}

/// Merges `fresh` into `latest.json` in `folder`: new written, then renamed.
fn store(folder: &Path, fresh: &[Row]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("latest.json");
    let kept = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is no array of rows; remove it", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let new = folder.join("latest.json.new");
    let text = serde_json::to_string_pretty(&row::merge(kept, fresh))?;
    fs::write(&new, text + "\n").with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, &path).with_context(|| format!("cannot replace {}", path.display()))
}

#[cfg(test)]
mod tests;
