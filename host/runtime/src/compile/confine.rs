//! What a compile child may use: limits, and the second wall.
//!
//! Owns taking both upon the process, for good, before it reads a byte of a
//! component. The limits have to hold; the wall is what the kernel has of it.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal};

use super::CompileLimits;
use crate::wall::{Standing, WallError, refuse_all_but_compiling, refuse_all_files};

/// How much lower the priority of a compile is.
const NICE: i32 = 10;

/// What stands around a process that compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confined {
    /// Against opening files, connecting and signalling.
    pub files: Standing,
    /// Against every system call that compiling does not need.
    pub calls: Standing,
}

impl Confined {
    /// Bytes of what a child says of it.
    pub(super) const ENCODED: usize = 2;

    /// As a child says it, before it reads anything.
    pub(super) fn encode(self) -> [u8; Self::ENCODED] {
        [self.files as u8, self.calls as u8]
    }

    /// What a child said; none if that is nothing.
    pub(super) fn decode([files, calls]: [u8; Self::ENCODED]) -> Option<Self> {
        Some(Confined {
            files: Standing::decode(files)?,
            calls: Standing::decode(calls)?,
        })
    }
}

/// A process that cannot be confined as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A limit cannot be set.
    #[error("a limit of the compile child cannot be set: {0}")]
    Limit(#[from] rustix::io::Errno),
    /// The wall's rules are wrong.
    #[error(transparent)]
    Wall(#[from] WallError),
}

/// Confines this process to compiling. Call it while it has one thread.
pub fn confine(limits: &CompileLimits) -> Result<Confined, ConfineError> {
    rustix::thread::set_no_new_privs(true)?;
    // First: its rules are a file, and none can be opened later.
    let files = refuse_all_files()?;
    let both = |value: u64| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    rustix::process::setrlimit(Resource::As, both(limits.memory))?;
    // The wall limit is the parent's to keep; this one holds if it is gone.
    let cpu = limits
        .time
        .max(Duration::from_secs(1))
        .as_secs()
        .saturating_mul(64);
    rustix::process::setrlimit(Resource::Cpu, both(cpu))?;
    rustix::process::setrlimit(Resource::Core, both(0))?;
    rustix::process::setrlimit(Resource::Fsize, both(0))?;
    // What is open stays open; nothing else of this user's can be opened.
    rustix::process::setrlimit(Resource::Nofile, both(0))?;
    // Calls go before compiles. Without the permission it stays as it is.
    rustix::process::setpriority_process(None, NICE).ok();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Last: none of the above is left after it.
    let calls = refuse_all_but_compiling()?;
    Ok(Confined { files, calls })
}
