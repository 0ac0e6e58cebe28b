//! The first look at a folder, before anything in it is loaded.

use std::path::{Path, PathBuf};
use std::time::Instant;

use odeon_protocol::{Code, Fault};

use super::applied::Problem;
use super::scan::Scan;
use crate::host::Host;

/// A folder that is about to be loaded for the first time.
pub(crate) struct Begun {
    pub(super) path: PathBuf,
    pub(super) scan: Scan,
    pub(super) started: Instant,
}

impl Begun {
    /// Looks at the folder once, before anything in it is loaded: what changes
    /// afterwards is seen as a change. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When it cannot be used.
    pub(crate) fn look(host: &Host, path: &Path) -> Result<Self, Fault> {
        let unusable = |problem: Problem| Fault::new(problem.code, problem.message);
        let path = std::path::absolute(path).map_err(|error| {
            let why = crate::error::io_words(&error);
            Fault::new(Code::FileUnreadable, format!("{}: {why}", path.display()))
        })?;
        let mut scan = Scan::new(host.clone(), path.clone());
        let started = Instant::now();
        scan.look(started, 0).map_err(unusable)?;
        Ok(Begun { path, scan, started })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
