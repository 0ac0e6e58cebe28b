//! `cargo xtask tidy`: what no compiler checks.
//!
//! Owns the list of checks; each is a small function from the [`Tree`] to its
//! findings, in a file named after its subject. **Invariant:** a check whose
//! input is missing fails; nothing is skipped.

mod arrows;
mod codes;
mod dependencies;
mod documents;
mod guests;
mod licences;
mod limits;
mod markdown;
mod mutants;
mod sources;
mod tree;
mod wit;

use anyhow::Result;

pub(crate) use self::tree::Tree;
use crate::workspace::Workspace;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// `path` or `path:line`.
    pub(crate) place: String,
    /// What was expected, what was found, what to do.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn at(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding {
            place: format!("{path}:{line}"),
            message: message.into(),
        }
    }

    pub(crate) fn of(path: &str, message: impl Into<String>) -> Finding {
        Finding {
            place: path.to_owned(),
            message: message.into(),
        }
    }
}

/// A named check.
struct Check {
    name: &'static str,
    run: fn(&Tree) -> Result<Vec<Finding>>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "dependencies point down the list of crates",
        run: arrows::check,
    },
    Check {
        name: "every version of the workspace is used",
        run: dependencies::used,
    },
    Check {
        name: "crates inherit the workspace's lints",
        run: sources::lints_inherited,
    },
    Check {
        name: "modules say what they own",
        run: sources::modules_documented,
    },
    Check {
        name: "files and folders have telling names",
        run: sources::names,
    },
    Check {
        name: "nothing is left to be done",
        run: sources::markers,
    },
    Check {
        name: "nothing names a machine",
        run: sources::machines,
    },
    Check {
        name: "locked sources are the public registry",
        run: sources::locked_sources,
    },
    Check {
        name: "dependencies are licensed, and none is banned",
        run: licences::check,
    },
    Check {
        name: "error codes and their pages agree",
        run: codes::check,
    },
    Check {
        name: "limits, their page, guests and tests agree",
        run: limits::check,
    },
    Check {
        name: "the code map lists every crate",
        run: documents::code_map,
    },
    Check {
        name: "the README has the two commands",
        run: documents::readme,
    },
    Check {
        name: "the changelog has Unreleased",
        run: documents::changelog,
    },
    Check {
        name: "relative links lead somewhere",
        run: documents::links,
    },
    Check {
        name: "WIT packages are documented",
        run: wit::check,
    },
    Check {
        name: "every hostile guest has a test",
        run: guests::check,
    },
    Check {
        name: "every mutant finds its line and its tests",
        run: mutants::check,
    },
];

/// Runs all checks and prints what they find. `false` when one found something.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let (passed, failed) = count(workspace)?;
    println!("{passed} checks passed, {failed} failed");
    Ok(failed == 0)
}

/// [`run`], giving how many checks passed and failed.
pub(crate) fn count(workspace: &Workspace) -> Result<(u64, u64)> {
    let tree = Tree::read(workspace)?;
    let (mut passed, mut failed) = (0, 0);
    for check in CHECKS {
        let findings =
            (check.run)(&tree).unwrap_or_else(|error| vec![Finding::of("tidy", format!("{error:#}"))]);
        if findings.is_empty() {
            println!("    ok      {}", check.name);
            passed += 1;
        } else {
            println!("    FAILED  {}", check.name);
            for Finding { place, message } in &findings {
                println!("            {place}: {message}");
            }
            failed += 1;
        }
    }
    Ok((passed, failed))
}
