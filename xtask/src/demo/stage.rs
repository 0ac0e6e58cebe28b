//! Where a demo plays: a folder of its own, the binary, the background host.
//!
//! Dropping the stage ends the host and removes the folder.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tempfile::TempDir;

use super::{
    server::Server,
    step::{self, Output},
};
use crate::{process, workspace::Workspace};

/// The longest that any one command of the demo may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A temporary folder with the components in it, and the host that runs there.
pub(super) struct Stage {
    // Before `folder`: fields are dropped in this order, and the host writes there.
    server: Option<Server>,
    folder: TempDir,
    binaries: PathBuf,
    interrupted: Arc<AtomicBool>,
    played: usize,
}

impl Stage {
    /// Makes the folder, copies the components into it and starts to watch for ctrl-c.
    pub(super) fn set(workspace: &Workspace) -> Result<Stage> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .context("cannot watch for ctrl-c")?;
        }
        // A socket's path has a short limit, so the folder is not made below the target folder.
        let folder = tempfile::Builder::new()
            .prefix("odeon-demo-")
            .tempdir()
            .context("cannot make a folder")?;
        let stage = Stage {
            server: None,
            folder,
            binaries: workspace.target.join("release"),
            interrupted,
            played: 0,
        };
        let components = workspace.components();
        for entry in
            fs::read_dir(&components).with_context(|| format!("cannot read {}", components.display()))?
        {
            let entry = entry?;
            fs::copy(entry.path(), stage.desk().join(entry.file_name()))
                .context("cannot copy a component")?;
        }
        Ok(stage)
    }

    /// The working directory of every command.
    pub(super) fn desk(&self) -> &Path {
        self.folder.path()
    }

    /// Prints what a reader types first to follow along.
    pub(super) fn introduce(&self) {
        println!("\nTo type along, with the components of target/guests/components at hand:");
        println!(
            "   export PATH={}:$PATH",
            process::quoted(&self.binaries.display().to_string())
        );
        println!("   cd {}", process::quoted(&self.desk().display().to_string()));
        println!("   export ODEON_STATE=state");
    }

    /// How many commands were played.
    pub(super) fn played(&self) -> usize {
        self.played
    }

    /// Says something between two commands.
    pub(super) fn say(&self, text: &str) {
        println!("   # {text}");
    }

    /// Puts a file on the desk.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.desk().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Plays `odeon` with these arguments; it has to end with this exit status.
    pub(super) fn odeon(&mut self, expected: i32, arguments: &[&str]) -> Result<Output> {
        self.played += 1;
        step::play(self.command(arguments), expected, PATIENCE, &self.interrupted)
    }

    /// Runs `odeon` unseen until its output has this text, which must happen
    /// soon.
    pub(super) fn until(&self, arguments: &[&str], text: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let output = self.command(arguments).output()?;
            if String::from_utf8_lossy(&output.stdout).contains(text) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("expected `{text}` soon from odeon {}", arguments.join(" "));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// [`Stage::odeon`] with several commands that run at the same time.
    ///
    /// Their outputs are shown one after the other, in the order given.
    pub(super) fn odeon_together(&mut self, rows: &[(i32, &[&str])]) -> Result<Vec<Output>> {
        self.played += rows.len();
        let commands = rows
            .iter()
            .map(|(expected, arguments)| (*expected, self.command(arguments)))
            .collect();
        step::play_together(commands, PATIENCE, &self.interrupted)
    }

    /// Starts `odeon serve` and waits until it is ready.
    pub(super) fn serve(&mut self, arguments: &[&str]) -> Result<()> {
        if self.server.is_some() {
            bail!("the host of the demo is running already");
        }
        self.played += 1;
        self.server = Some(Server::start(
            self.command(arguments),
            PATIENCE,
            &self.interrupted,
        )?);
        Ok(())
    }

    /// Waits until the host has ended by itself, with success.
    pub(super) fn served(&mut self) -> Result<()> {
        let server = self
            .server
            .take()
            .context("the host of the demo is not running")?;
        server.ended(PATIENCE, &self.interrupted)
    }

    /// Removes the folder, and says so if that fails.
    pub(super) fn clear(&mut self) -> Result<()> {
        drop(self.server.take());
        let path = self.desk().to_owned();
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.join("odeon"));
        command
            .args(arguments)
            .current_dir(self.desk())
            .env("ODEON_STATE", "state")
            .env_remove("ODEON_SOCKET");
        command.env("PATH", self.path());
        command
    }

    fn path(&self) -> OsString {
        #[allow(
            clippy::disallowed_methods,
            reason = "the demo's commands find what the user's shell finds"
        )]
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.binaries.clone()).chain(std::env::split_paths(&path));
        std::env::join_paths(folders).unwrap_or(path)
    }
}
