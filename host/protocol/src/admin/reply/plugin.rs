//! A plugin: in a list, and everything about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    fingerprint::Fingerprint,
    id::{Digest, Generation, PluginName},
    types::FunctionType,
};

/// Whether a plugin takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// It takes calls.
    Ready,
    /// It finishes what it has and takes no more.
    Draining,
    /// A state that this version has no word for.
    #[serde(other)]
    Unknown,
}

/// One plugin in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRow {
    /// Its name.
    pub name: PluginName,
    /// Its generation.
    pub generation: Generation,
    /// The digest of its component.
    pub digest: Digest,
    /// The version its manifest states.
    pub version: Option<String>,
    /// Who signed it: the keys' names; empty if nobody did.
    #[serde(default)]
    pub signed_by: Vec<String>,
    /// `fresh` or `resident`.
    pub instance: String,
    /// The engine class that serves it.
    pub class: String,
    /// Whether it takes calls.
    pub state: PluginState,
    /// Whether it is forgotten when the host ends.
    pub transient: bool,
    /// How many calls were made of it.
    pub calls: u64,
    /// How many of them ended in a fault.
    pub faults: u64,
    /// How many run now.
    pub in_flight: u64,
    /// How many wait for their turn.
    #[serde(default)]
    pub waiting: u64,
    /// How long the calls of this generation took; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<LatencyRow>,
    /// How many instances live now.
    pub instances: u64,
    /// The memory that its live instances use, in bytes.
    pub memory_bytes: u64,
    /// How often each limit said no, by its name in a descriptor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits_hit: BTreeMap<String, u64>,
    /// The interfaces that other plugins serve for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkRow>,
    /// Where it is served over HTTP: a listener and a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}

/// An interface that one plugin serves for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// The interface, as the one that imports it names it.
    pub interface: String,
    /// The plugin that serves it.
    pub provider: PluginName,
    /// The generation of it that does now; absent while it is not loaded.
    pub generation: Option<Generation>,
}

/// How long calls took from their admission to their end, in microseconds, as
/// well as the buckets of the host's histogram tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// Half of them took no longer.
    pub p50: u64,
    /// All but one in a hundred took no longer.
    pub p99: u64,
}

/// Everything about one plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribeReply {
    /// What the list says.
    pub plugin: PluginRow,
    /// Its methods.
    pub methods: Vec<MethodRow>,
    /// What it imports, by the names of the interfaces.
    pub imports: Vec<String>,
    /// What it may touch, in the form of the command line.
    pub grants: Vec<String>,
    /// The limits in force, by the names of a descriptor.
    pub limits: BTreeMap<String, String>,
    /// The component's size in bytes.
    pub size_bytes: u64,
    /// The lines of its source that are known; absent where it says nothing of
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LineRow>,
    /// Its WIT, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wit: Option<String>,
}

/// What is known of the lines of a plugin's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRow {
    /// Places in the component whose lines are known.
    pub places: u64,
    /// The files that they are in.
    pub files: u64,
    /// Places, and pieces of debug information, that were too much or broken.
    pub left_out: u64,
}

/// One method of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodRow {
    /// The interface as exported; absent for a function of the world.
    pub interface: Option<String>,
    /// The function's name.
    pub function: String,
    /// The shortest path that names it.
    pub path: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: FunctionType,
    /// Its type's fingerprint.
    pub fingerprint: Fingerprint,
}
