//! The versions that were accepted before.
//!
//! Owns the memory behind "a lower version is refused": for every name the
//! version that was accepted last, which without a permitted step back is the
//! highest. It decides nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use odeon_protocol::{Code, PluginName};

use crate::file::{self, FileError, Others};

/// Versions by name, kept in one file.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    versions: BTreeMap<PluginName, semver::Version>,
}

/// A ledger that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read or written.
    #[error("the record of accepted versions cannot be used: {0}")]
    File(#[from] FileError),
    /// Not the expected form.
    #[error(
        "the record of accepted versions cannot be read ({0}); restore it, or remove it to forget all versions"
    )]
    Syntax(serde_json::Error),
}

impl LedgerError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::StateUnwritable
    }
}

impl Ledger {
    const MAX: u64 = 16 * 1024 * 1024;

    /// Reads the ledger; a file that is not there is an empty one.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Ok(Ledger {
            path: path.to_owned(),
            versions: Self::read(path)?,
        })
    }

    fn read(path: &Path) -> Result<BTreeMap<PluginName, semver::Version>, LedgerError> {
        match file::read_owned(path, Others::MayRead, Self::MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(LedgerError::Syntax),
            Err(FileError::Missing { .. }) => Ok(BTreeMap::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The same versions, and whatever is accepted from now on is kept there.
    #[must_use]
    pub fn kept_at(mut self, path: &Path) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Takes up what other processes have accepted meanwhile.
    pub fn refresh(&mut self) -> Result<(), LedgerError> {
        let kept = Self::read(&self.path)?;
        self.versions.extend(kept);
        Ok(())
    }

    /// The version of this name that was accepted last.
    pub fn accepted(&self, name: &PluginName) -> Option<&semver::Version> {
        self.versions.get(name)
    }

    /// Remembers a version, durably, beside what other processes remembered in
    /// the same file meanwhile. Call it for what was let in to stay, with a
    /// version that somebody signed or the operator let in by digest.
    pub fn accept(&mut self, name: &PluginName, version: &semver::Version) -> Result<(), LedgerError> {
        if self.versions.get(name) == Some(version) {
            return Ok(());
        }
        let mut lock_path = self.path.clone().into_os_string();
        lock_path.push(".lock");
        let _lock = file::lock(Path::new(&lock_path))?;
        let mut versions = self.versions.clone();
        versions.extend(Self::read(&self.path)?);
        versions.insert(name.clone(), version.clone());
        let text = serde_json::to_vec_pretty(&versions).map_err(LedgerError::Syntax)?;
        file::replace(&self.path, &text, 0o600)?;
        self.versions = versions;
        Ok(())
    }
}
