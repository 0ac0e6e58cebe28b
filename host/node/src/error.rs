//! Why a host or a daemon does not start, and what the system says in words.

use odeon_authority::{AuditError, KeyError, LedgerError, LimitTooHigh, PolicyError};
use odeon_protocol::{Code, Fault};
use odeon_runtime::StartError;

/// Why the system did not do something with a file, as people say it: without
/// the system's own numbers.
pub fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::IsADirectory => "expected a file, found a directory".into(),
        ErrorKind::NotADirectory => "a part of the path before the last is no directory".into(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        ErrorKind::StorageFull => "the disk is full".into(),
        _ => {
            let text = error.to_string();
            match text.split_once(" (os error ") {
                Some((words, _)) => words.to_lowercase(),
                None => text,
            }
        }
    }
}

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartHostError {
    /// There is no tokio runtime around the call.
    #[error("HostBuilder::start expected to be called inside a tokio runtime, found none")]
    NoRuntime,
    /// The state directory cannot be made or used.
    #[error("the state directory {path} cannot be used: {source}")]
    StateDir {
        /// The directory.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can reach into the state directory.
    #[error("the state directory {path} expected mode 0700, found {mode:04o}; run chmod 700 on it")]
    StateDirOpen {
        /// The directory.
        path: std::path::PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The state directory is somebody else's.
    #[error("the state directory {path} belongs to uid {owner}, expected {expected}")]
    StateDirOwner {
        /// The directory.
        path: std::path::PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs the host.
        expected: u32,
    },
    /// The key that signs the audit cannot be used.
    #[error(
        "the key that signs this host's audit cannot be used: {0}. The audit's chain is signed with it: restore the file, \
         or move it away together with the audit to begin a new one"
    )]
    Key(#[from] KeyError),
    /// Nothing says reliably where the trust policy is.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The audit cannot be continued.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The head of the audit cannot be kept there.
    #[error("audit-head expected {problem}, found {}; name another file", path.display())]
    AuditHead {
        /// The file.
        path: std::path::PathBuf,
        /// What it must be.
        problem: &'static str,
    },
    /// The header fields for the collector cannot be used.
    #[error("telemetry.headers: {} cannot be used: {problem}", path.display())]
    OtlpHeaders {
        /// Their file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The record of accepted versions cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A limit is higher than it can be enforced.
    #[error(transparent)]
    Limit(#[from] LimitTooHigh),
    /// The runtime does not start.
    #[error(transparent)]
    Runtime(#[from] StartError),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

impl StartHostError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            StartHostError::NoRuntime => Code::WrongState,
            StartHostError::StateDir { .. }
            | StartHostError::StateDirOpen { .. }
            | StartHostError::StateDirOwner { .. }
            | StartHostError::Key(_)
            | StartHostError::Runtime(StartError::Cache(_)) => Code::StateUnwritable,
            StartHostError::Audit(error) => error.code(),
            StartHostError::Ledger(error) => error.code(),
            StartHostError::Policy(error) => error.code(),
            StartHostError::Limit(_)
            | StartHostError::AuditHead { .. }
            | StartHostError::OtlpHeaders { .. } => Code::ConfigInvalid,
            StartHostError::Runtime(_) | StartHostError::Thread(_) => Code::Internal,
        }
    }
}

impl From<StartHostError> for Fault {
    fn from(error: StartHostError) -> Self {
        Fault::new(error.code(), error.to_string())
    }
}
