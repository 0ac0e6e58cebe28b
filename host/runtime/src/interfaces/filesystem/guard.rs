//! Whether what is open may be used now.
//!
//! Owns the question that every use of a descriptor asks first: is its directory
//! granted, for this, in the present call?

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use odeon_authority::{Access, Wanted};
use wasmtime_wasi::p2::StreamError;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::Intent;
use crate::warrant::Present;

const READING_ONLY: &str = "the directory is granted for reading only; allow it with fs=HOSTDIR::GUESTDIR,rw";

/// A granted directory as it was when something in it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) host: PathBuf,
    pub(super) guest: String,
}

/// A directory that is not granted for this now.
pub(super) struct Refused {
    access: Access,
}

impl Root {
    fn wanted(&self, access: Access) -> Wanted<'_> {
        Wanted::Directory {
            host: &self.host,
            guest: &self.guest,
            access,
        }
    }

    /// Writes down that something in it was not written to, as it is granted for
    /// reading only.
    pub(super) fn deny_writing(&self, present: &Present, target: &str) {
        present.deny("fs", target, READING_ONLY, &self.wanted(Access::ReadWrite));
    }

    /// Whether something in it may be used like this.
    pub(super) fn check(&self, present: &Present, intent: Intent) -> Result<(), Refused> {
        let access = match intent {
            Intent::Look => Access::Read,
            Intent::Change => Access::ReadWrite,
        };
        match present.allows(&self.wanted(access)) {
            true => Ok(()),
            // What it was opened for by then is told by the file system itself,
            // unless it was more.
            false => Err(Refused { access }),
        }
    }
}

impl Refused {
    /// Writes it down, and makes it the guest's error.
    pub(super) fn told(&self, present: &Present, root: &Root, target: &str) -> ErrorCode {
        let reason = match present.allows(&root.wanted(Access::Read)) {
            true => READING_ONLY,
            false => "the directory is not granted now",
        };
        present.deny("fs", target, reason, &root.wanted(self.access));
        ErrorCode::NotPermitted
    }
}

/// Asks for a stream or a listing, which outlives its descriptor.
pub(super) struct Guard {
    present: Arc<Present>,
    root: Arc<Root>,
    path: Arc<str>,
    told: bool,
}

impl Guard {
    pub(super) fn new(present: &Arc<Present>, root: &Arc<Root>, path: &Arc<str>) -> Self {
        Guard {
            present: present.clone(),
            root: root.clone(),
            path: path.clone(),
            told: false,
        }
    }

    /// Whether it may be used now. The first no is in the audit.
    pub(super) fn check(&mut self, intent: Intent) -> Result<(), ErrorCode> {
        match self.root.check(&self.present, intent) {
            Ok(()) => self.told = false,
            Err(_) if self.told => return Err(ErrorCode::NotPermitted),
            Err(refused) => {
                self.told = true;
                return Err(refused.told(&self.present, &self.root, &self.path));
            }
        }
        Ok(())
    }

    /// The same for a stream.
    pub(super) fn check_stream(&mut self, intent: Intent) -> Result<(), StreamError> {
        self.check(intent).map_err(|_| {
            let error = io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the directory is not granted now",
            );
            StreamError::LastOperationFailed(error.into())
        })
    }
}
