//! How much of the audit was exported, so that it may be taken away.
//!
//! Owns `audit.exported`: number and hash of the last record of an unbroken
//! export from the first one on, signed by the host. Segments up to it may be
//! missing; without it a missing segment is damage.

use std::path::Path;

use odeon_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::{
    AuditError,
    chain::{hex, unhex},
};
use crate::{
    file::{self, FileError, Others},
    key::{PublicKey, SigningKey},
};

const NAME: &str = "audit.exported";
const MAX: u64 = 4096;

/// What was exported without a gap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Known {
    /// The last record.
    pub(super) through: u64,
    /// Its hash.
    pub(super) hash: Digest,
    signature: String,
}

impl Known {
    pub(super) const FILE: &str = NAME;

    pub(super) fn signed(through: u64, hash: Digest, key: &SigningKey) -> Self {
        Known {
            through,
            hash,
            signature: hex(&key.sign(&message(through, &hash))),
        }
    }

    /// What this host wrote down in a folder. What somebody else did says
    /// nothing.
    pub(super) fn read(folder: &Path, key: &PublicKey) -> Result<Option<Self>, AuditError> {
        let bytes = match file::read_owned(&folder.join(NAME), Others::MayRead, MAX) {
            Ok(bytes) => bytes,
            Err(FileError::Missing { .. } | FileError::TooLong { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let known: Option<Known> = serde_json::from_slice(&bytes).ok();
        Ok(known.filter(|known| {
            let message = message(known.through, &known.hash);
            unhex(&known.signature).is_some_and(|signature| key.verifies(&message, &signature))
        }))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), AuditError> {
        let text = serde_json::to_vec(self).map_err(AuditError::Form)?;
        Ok(file::replace(&folder.join(NAME), &text, 0o600)?)
    }
}

fn message(through: u64, hash: &Digest) -> Vec<u8> {
    format!("odeon audit exported v1\n{through}\n{hash}\n").into_bytes()
}
