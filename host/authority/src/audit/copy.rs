//! The head kept a second time, for when the audit is replaced as a whole.
//!
//! Owns `audit.head.copy`: number and hash of the last line at the time the
//! copy was made. It is worth most on another machine, which is why whoever
//! makes it writes it to the host's log as well.

use std::path::Path;

use odeon_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::{Audit, AuditError, copy_path};
use crate::file::{self, FileError, Others};

/// Which line was the last when the copy was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadCopy {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// When the copy was made: UTC, RFC 3339.
    pub time: String,
}

impl HeadCopy {
    const MAX: u64 = 4096;

    /// The copy in a folder, if one was made. One that cannot be read says
    /// nothing.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, AuditError> {
        match file::read_owned(&copy_path(folder), Others::MayRead, Self::MAX) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(FileError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Audit {
    /// Copies the head to `audit.head.copy` and returns it, to be kept
    /// elsewhere too. Nothing when there is no line yet.
    ///
    /// A copy that is newer than the audit stays as it is and is an error:
    /// somebody put an older audit in its place.
    pub fn copy_head(&self) -> Result<Option<HeadCopy>, AuditError> {
        let Some((seq, hash)) = self.head()? else {
            return Ok(None);
        };
        let before = HeadCopy::read(&self.folder)?;
        if let Some(before) = before.filter(|before| before.seq > seq) {
            return Err(AuditError::OlderThanCopy {
                found: seq,
                expected: before.seq,
            });
        }
        let time = format!("{:.0}", jiff::Timestamp::now());
        let copy = HeadCopy { seq, hash, time };
        let text = serde_json::to_vec(&copy).map_err(AuditError::Form)?;
        file::replace(&copy_path(&self.folder), &text, 0o600)?;
        Ok(Some(copy))
    }
}
