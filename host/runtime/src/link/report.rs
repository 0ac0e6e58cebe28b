//! What does not link, for people and for programs.
//!
//! Owns the words and the shape of the report, not the finding of mismatches.
//! Names in it were written by the component's author: they are cut to a
//! length, and control characters in them are escaped.

use std::fmt;

use serde::Serialize;

/// How many mismatches a person is shown.
const SHOWN: usize = 20;

/// How many mismatches are kept; the rest is counted.
pub(super) const KEPT: usize = 256;

/// Every import of a component that neither the host nor a provider can satisfy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkReport {
    /// The mismatches, in the order of the component's imports.
    pub mismatches: Vec<Mismatch>,
    /// How many more there are than are listed.
    pub more: usize,
    /// The engine's own words, when it refuses what the comparison does not
    /// explain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// One import that cannot be satisfied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The interface as the component names it, version included. For a
    /// function outside of interfaces, that function's name.
    pub interface: String,
    /// The function, when the interface itself is there.
    pub function: Option<String>,
    /// What is wrong with it.
    pub problem: Problem,
    /// What the host has.
    pub expected: String,
    /// What the component imports.
    pub found: String,
    /// The most similar thing that the host has.
    pub nearest: Option<String>,
    /// What to do.
    pub fix: String,
}

/// What can be wrong with an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// The host, or the provider, has no such interface in any version.
    UnknownInterface,
    /// The host, or the provider, has the interface in a version that is not
    /// compatible.
    Version,
    /// The interface has no such function.
    UnknownFunction,
    /// The function has another type.
    FunctionType,
    /// A function that belongs to no interface.
    WorldFunction,
    /// The function takes or gives what cannot go from one plugin to another.
    NotProxied,
}

impl Problem {
    fn words(self) -> &'static str {
        match self {
            Problem::UnknownInterface => "there is no such interface",
            Problem::Version => "it is there in another version",
            Problem::UnknownFunction => "the interface has no such function",
            Problem::FunctionType => "the function has another type",
            Problem::WorldFunction => "a function that belongs to no interface",
            Problem::NotProxied => "the function has a type that cannot go from one plugin to another",
        }
    }
}

impl LinkReport {
    /// Whether nothing was found to be wrong.
    pub fn is_empty(&self) -> bool {
        self.mismatches.is_empty() && self.engine.is_none()
    }

    /// Keeps what is about these interfaces alone.
    pub(crate) fn retain(&mut self, of: impl Fn(&str) -> bool) {
        self.mismatches.retain(|mismatch| of(&mismatch.interface));
    }

    /// Adds one. Its words are made only if they are kept: finding the nearest
    /// name takes long, and a component may have a hundred thousand wrong ones.
    pub(super) fn push(&mut self, mismatch: impl FnOnce() -> Mismatch) {
        if self.mismatches.len() < KEPT {
            self.mismatches.push(mismatch());
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for LinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mismatches.len() + self.more;
        match (count, &self.engine) {
            (0, None) => return f.write_str("every import is there"),
            (0, Some(engine)) => {
                return write!(
                    f,
                    "the component does not link: {engine}; build it against the interfaces in this host's wit/"
                );
            }
            (1, _) => f.write_str("one import of the component does not link:")?,
            _ => write!(f, "{count} imports of the component do not link:")?,
        }
        for mismatch in self.mismatches.iter().take(SHOWN) {
            write!(f, "\n- {mismatch}")?;
        }
        match count.saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interface)?;
        if let Some(function) = &self.function {
            write!(f, " {function}")?;
        }
        write!(
            f,
            ": {}\n  expected {}, found {}",
            self.problem.words(),
            self.expected,
            self.found
        )?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; the nearest is {nearest}")?;
        }
        write!(f, "\n  {}", self.fix)
    }
}
