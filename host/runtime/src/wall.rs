//! The second wall: what the kernel refuses a process, whatever its code does.
//!
//! Owns the rules: Landlock for files and connections, seccomp for system calls
//! ([`calls`]). Neither can be taken back, and what the process starts has both.
//! The first wall is the sandbox, and nothing relies on this one: a kernel
//! without it is no error, and whoever raises it is told what stands.
//!
//! **Invariant:** raised while the process has one thread; others would stay
//! outside.

mod calls;

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

pub(crate) use self::calls::refuse_all_but_compiling;
pub use self::calls::refuse_meddling;

/// What is asked of Landlock. A kernel that knows less gives what it has.
const KNOWN: ABI = ABI::V6;

/// How much of a wall there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All of it.
    Whole,
    /// What the kernel has of it.
    Part,
    /// The kernel has nothing of it, or gives it to nobody here.
    Missing,
}

impl Standing {
    /// Of its number.
    pub(crate) fn decode(number: u8) -> Option<Self> {
        let all = [Standing::Whole, Standing::Part, Standing::Missing];
        all.into_iter().find(|standing| *standing as u8 == number)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Whole => "whole",
            Standing::Part => "part",
            Standing::Missing => "missing",
        }
    }
}

/// A wall that cannot be raised as it is wanted.
#[derive(Debug, thiserror::Error)]
pub enum WallError {
    /// A path that is to stay open.
    #[error("{}: expected a file or folder that can be left open to the host, found {found}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why it cannot.
        found: String,
    },
    /// The rules for files are not what the kernel takes.
    #[error("the rules for files: {0}")]
    Files(String),
    /// The rules for system calls are not what the kernel takes.
    #[error("the rules for system calls: {0}")]
    Calls(String),
}

/// What may be done with a path and with everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Reading, and starting programs.
    Read,
    /// Everything.
    Write,
}

/// From now on this process opens, makes and removes no file, connects to
/// nothing, and signals nobody else. What is open stays open.
pub fn refuse_all_files() -> Result<Standing, WallError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(KNOWN)))
        .and_then(|rules| rules.scope(Scope::from_all(KNOWN)))
        .and_then(Ruleset::create)
        .map_err(wrong)?;
    stand(rules)
}

/// From now on this process reaches no other files than these, and what is below
/// them.
pub fn refuse_other_files(open: &[(PathBuf, Opening)]) -> Result<Standing, WallError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(Ruleset::create)
        .map_err(wrong)?;
    for (path, opening) in open {
        let (place, allowed) = beneath(path, *opening)?;
        rules = rules.add_rule(PathBeneath::new(place, allowed)).map_err(wrong)?;
    }
    stand(rules)
}

/// The place itself, and what of the opening a place of its kind has.
fn beneath(path: &Path, opening: Opening) -> Result<(PathFd, BitFlags<AccessFs>), WallError> {
    let unusable = |found: String| WallError::Path {
        path: path.to_owned(),
        found,
    };
    let allowed = match opening {
        Opening::Read => AccessFs::from_read(KNOWN),
        Opening::Write => AccessFs::from_all(KNOWN),
    };
    let metadata = path.metadata().map_err(|error| unusable(error.to_string()))?;
    let place = PathFd::new(path).map_err(|error| unusable(error.to_string()))?;
    Ok(match metadata.is_dir() {
        true => (place, allowed),
        false => (place, allowed & AccessFs::from_file(KNOWN)),
    })
}

fn stand(rules: RulesetCreated) -> Result<Standing, WallError> {
    let status = rules.restrict_self().map_err(wrong)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Standing::Whole,
        RulesetStatus::PartiallyEnforced => Standing::Part,
        RulesetStatus::NotEnforced => Standing::Missing,
    })
}

fn wrong(error: landlock::RulesetError) -> WallError {
    WallError::Files(error.to_string())
}
