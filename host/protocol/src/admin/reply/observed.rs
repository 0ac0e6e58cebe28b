//! Core dumps and profiles of a plugin. Says where files are, never what is in
//! them.

use serde::{Deserialize, Serialize};

use crate::{
    code::Code,
    id::{Generation, PluginName, Serial},
};

/// What was ordered of core dumps, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpReply {
    /// The plugin.
    pub name: PluginName,
    /// Its generation.
    pub generation: Generation,
    /// What is left of the order; absent when none holds.
    #[serde(default)]
    pub armed: Option<DumpsArmed>,
    /// The calls that trapped since the last order, the oldest first.
    #[serde(default)]
    pub dumps: Vec<DumpRow>,
    /// What the operator should know although it went well.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What is left of an order for core dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpsArmed {
    /// Calls that leave one if they trap.
    pub traps: u32,
    /// For how long, in milliseconds.
    pub for_ms: u64,
}

/// A call that trapped while core dumps were ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpRow {
    /// When that was written down.
    pub time: String,
    /// The generation.
    pub generation: Generation,
    /// The request, where it had a serial.
    #[serde(default)]
    pub serial: Option<Serial>,
    /// The code of the fault that its caller got.
    pub code: Code,
    /// Where its core dump is, on the host.
    #[serde(default)]
    pub file: Option<String>,
    /// Why there is none.
    #[serde(default)]
    pub left_out: Option<String>,
}

/// The end of a profile that was being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileEndReply {
    /// The plugin.
    pub name: PluginName,
    /// Its generation.
    pub generation: Generation,
    /// Whether there was one.
    pub ended: bool,
}

/// A profile that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileReply {
    /// The plugin.
    pub name: PluginName,
    /// Its generation.
    pub generation: Generation,
    /// Where it is, on the host.
    pub file: String,
    /// Samples in it.
    pub samples: u32,
    /// Samples that were left out.
    pub left_out: u32,
    /// What the operator should know although it went well.
    #[serde(default)]
    pub warnings: Vec<String>,
}
