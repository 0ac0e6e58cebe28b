//! How a plugin's instances are kept: fresh or resident, how many workers,
//! which engine class.
//!
//! Owns the wishes of author and operator and how they are settled; what a
//! class means is the runtime's.

use serde::{Deserialize, Serialize};

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceMode {
    /// Every call gets an instance of its own.
    #[default]
    Fresh,
    /// One instance per worker, state kept between calls.
    Resident,
}

/// The engine class a component is made for; the host chooses by imports,
/// exports and size when nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWish {
    /// No component concurrency, pooled.
    Fast,
    /// WASI 0.3, streams.
    Async,
    /// Large guests of other languages.
    Heavy,
}

/// What one side says about how to run a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placing {
    /// Fresh or resident.
    pub instance: Option<InstanceMode>,
    /// How many resident instances share the calls. More than one says that
    /// the plugin's state may be split.
    pub workers: Option<u32>,
    /// The engine class.
    pub class: Option<ClassWish>,
}

/// How a plugin is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Fresh or resident.
    pub instance: InstanceMode,
    /// How many resident instances there are; 1 for fresh ones, where it has
    /// no meaning.
    pub workers: u32,
    /// The engine class somebody asked for.
    pub class: Option<ClassWish>,
}

/// A number of workers that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("workers: expected {expected}, found {found}")]
pub struct InvalidWorkers {
    /// What it must be.
    pub expected: &'static str,
    /// What it is.
    pub found: String,
}

impl Placing {
    /// The most workers of one plugin.
    pub const MAX_WORKERS: u32 = 256;

    /// Refuses numbers of workers out of range, or for fresh instances.
    pub fn check(&self) -> Result<(), InvalidWorkers> {
        match (self.workers, self.instance) {
            (None, _) => Ok(()),
            (Some(1..=Self::MAX_WORKERS), None | Some(InstanceMode::Resident)) => Ok(()),
            (Some(workers @ 1..=Self::MAX_WORKERS), Some(InstanceMode::Fresh)) => Err(InvalidWorkers {
                expected: "instance = \"resident\" beside it (fresh instances are not shared)",
                found: format!("workers = {workers} with instance = \"fresh\""),
            }),
            (Some(workers), _) => Err(InvalidWorkers {
                expected: "1 to 256",
                found: workers.to_string(),
            }),
        }
    }

    /// How to run the plugin: as the operator says, else as its author does.
    pub fn settle(operator: &Placing, author: &Placing) -> Result<Placement, InvalidWorkers> {
        let instance = operator.instance.or(author.instance).unwrap_or_default();
        let workers = match instance {
            InstanceMode::Resident => operator.workers.or(author.workers).unwrap_or(1),
            InstanceMode::Fresh => {
                // An author's number is about a mode the operator did not choose.
                Placing {
                    instance: Some(instance),
                    workers: operator.workers,
                    class: None,
                }
                .check()?;
                1
            }
        };
        Placing {
            instance: Some(InstanceMode::Resident),
            workers: Some(workers),
            class: None,
        }
        .check()?;
        Ok(Placement {
            instance,
            workers,
            class: operator.class.or(author.class),
        })
    }
}
