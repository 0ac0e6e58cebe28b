//! The host as a whole: how it is, and what it counts.

use serde::{Deserialize, Serialize};

use super::PluginRow;
use crate::{
    code::Code,
    id::{Generation, PluginName, Serial},
};

/// What a host counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsReply {
    /// In the text format of Prometheus.
    pub text: String,
}

/// How the host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The host's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// Its control socket.
    pub socket: String,
    /// Its state directory.
    pub state_dir: Option<String>,
    /// What is loaded.
    pub plugins: Vec<PluginRow>,
    /// The requests in numbers.
    pub requests: RequestTotals,
    /// The requests that are not finished.
    pub in_flight: Vec<InFlightRow>,
    /// The folder of descriptors, if the host has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderRow>,
    /// What became of each descriptor in it.
    #[serde(default)]
    pub descriptors: Vec<DescriptorRow>,
    /// What the kernel refuses the host and what it starts.
    #[serde(default)]
    pub walls: Vec<WallRow>,
    /// Where plugins are served over HTTP.
    #[serde(default)]
    pub listeners: Vec<ListenerRow>,
}

/// A wall around a process, besides the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallRow {
    /// Around which one: `host` or `compile child`.
    pub process: String,
    /// What it is made of: `seccomp` or `landlock`.
    pub wall: String,
    /// Whether it stands, in words.
    pub state: String,
}

/// A listener for HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRow {
    /// Its name.
    pub name: String,
    /// Its address and port.
    pub address: String,
    /// Whether clients have to speak TLS.
    pub tls: bool,
    /// How many connections there are.
    pub connections: u64,
}

/// The folder of descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRow {
    /// Where it is.
    pub path: String,
    /// Whether changes in it are applied when they are made; else when the
    /// host is told to.
    pub watched: bool,
    /// Why it cannot be used now, if it cannot: what runs stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The code of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// What became of one descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorRow {
    /// Its file's name.
    pub file: String,
    /// The plugin that it describes, as far as that is known.
    pub plugin: Option<PluginName>,
    /// The generation that serves under that name because of it.
    pub generation: Option<Generation>,
    /// What became of it.
    pub state: DescriptorState,
    /// The code of what is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What is wrong with it, or why it is not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DescriptorState {
    /// What it describes serves.
    Serving,
    /// It is being written or applied, or waits for its turn.
    Waiting,
    /// What it describes was refused. It is tried again when it changes, its
    /// component or the trust policy does, or the host is told to.
    Refused,
    /// It cannot be used: it describes nothing, or what another one describes.
    Broken,
    /// Its plugin was unloaded by hand. It stays so until it changes.
    Held,
    /// Something else was put in the place of its plugin, by hand or because
    /// that was bad. It stays so until it or its component changes.
    Superseded,
    /// A state that this version has no word for.
    #[serde(other)]
    Unknown,
}

/// The requests of a host in numbers: the first two now, the others since the
/// host started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTotals {
    /// Accepted and not started.
    pub pending: u64,
    /// Started and not finished.
    pub running: u64,
    /// Finished with a result.
    pub succeeded: u64,
    /// Finished with a fault.
    pub failed: u64,
    /// Never started, because they could not or must not be.
    pub rejected: u64,
    /// Ended by their caller, an operator or a deadline.
    pub cancelled: u64,
    /// Not even accepted, because a bound was reached.
    pub refused: u64,
}

/// A request that is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlightRow {
    /// The request.
    pub serial: Serial,
    /// The method it calls.
    pub method: String,
    /// `pending`, `running` or `cancelling`.
    pub state: String,
    /// How long ago it was accepted, in milliseconds.
    pub age_ms: u64,
    /// Who asked.
    pub principal: String,
}
