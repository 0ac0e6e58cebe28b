//! Where a state directory's trust policy is.
//!
//! Owns the word about it: `trust.toml`, unless the file `trust-policy` beside
//! it names another. A host that is told to use another file writes that down
//! before it reads it, so that whoever changes or asks the policy of that state
//! directory comes to the file that counts.

use std::{
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::{Policy, PolicyError};
use crate::file::{self, FileError, Others};

const USUAL: &str = "trust.toml";
const ELSEWHERE: &str = "trust-policy";
const MAX: u64 = 8 * 1024;

impl Policy {
    /// The trust policy's file of the host with this state directory.
    pub fn file_of(state: &Path) -> Result<PathBuf, PolicyError> {
        let path = state.join(ELSEWHERE);
        let bytes = match file::read_owned(&path, Others::MayRead, MAX) {
            Ok(bytes) => bytes,
            Err(FileError::Missing { .. }) => return Ok(state.join(USUAL)),
            Err(error) => return Err(error.into()),
        };
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let named = PathBuf::from(std::ffi::OsString::from_vec(line.to_vec()));
        if !named.is_absolute() || line.contains(&b'\n') || line.contains(&0) {
            return Err(PolicyError::Place { path });
        }
        Ok(named)
    }

    /// Has this be the trust policy's file of the host with this state
    /// directory, for everybody who asks from now on.
    pub fn keep_in(state: &Path, policy: &Path) -> Result<(), PolicyError> {
        let wrong = |error| PolicyError::from(FileError::io(policy, error));
        let policy = std::path::absolute(policy).map_err(wrong)?;
        let pointer = state.join(ELSEWHERE);
        if policy == state.join(USUAL)
            || std::path::absolute(state).is_ok_and(|state| policy == state.join(USUAL))
        {
            return match std::fs::remove_file(&pointer) {
                Ok(()) => Ok(file::sync_parent(&pointer)?),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(FileError::io(&pointer, error).into()),
            };
        }
        if Self::file_of(state).is_ok_and(|now| now == policy) {
            return Ok(());
        }
        let mut line = policy.as_os_str().as_bytes().to_vec();
        if line.contains(&b'\n') {
            return Err(PolicyError::Place { path: pointer });
        }
        line.push(b'\n');
        Ok(file::replace(&pointer, &line, 0o600)?)
    }
}
