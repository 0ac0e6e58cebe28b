//! The rows that a host answers with.
//!
//! Owns field names and units; a reader ignores fields it does not know, so
//! that an older client understands a newer host.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    code::Code,
    fault::Fault,
    fingerprint::Fingerprint,
    id::{Digest, Generation, PluginName, Serial},
    types::FunctionType,
};

/// What an `admin-reply` envelope's body holds: `{"ok": …}` or
/// `{"fault": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminReply<T> {
    /// It was done; the answer.
    Ok(T),
    /// It was not, and why.
    Fault(Fault),
}

impl<T> AdminReply<T> {
    /// The answer, or the fault.
    ///
    /// # Errors
    ///
    /// The fault that was answered.
    pub fn into_result(self) -> Result<T, Fault> {
        match self {
            AdminReply::Ok(answer) => Ok(answer),
            AdminReply::Fault(fault) => Err(fault),
        }
    }
}

impl<T> From<Result<T, Fault>> for AdminReply<T> {
    fn from(result: Result<T, Fault>) -> Self {
        match result {
            Ok(answer) => AdminReply::Ok(answer),
            Err(fault) => AdminReply::Fault(fault),
        }
    }
}

impl<T: Serialize> AdminReply<T> {
    /// The bytes for an `admin-reply` envelope's body.
    ///
    /// # Errors
    ///
    /// When the answer cannot be written as JSON, which is the host's fault.
    pub fn to_json(&self) -> Result<Vec<u8>, Fault> {
        serde_json::to_vec(self).map_err(|error| {
            Fault::new(
                Code::Internal,
                format!("the answer cannot be written as JSON: {error}"),
            )
        })
    }
}

impl<T: DeserializeOwned> AdminReply<T> {
    /// Reads an `admin-reply` envelope's body.
    ///
    /// # Errors
    ///
    /// When the body is no answer of this type.
    pub fn from_json(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body).map_err(|error| {
            Fault::new(
                Code::ProtocolViolation,
                format!("expected the host's answer as JSON: {error}"),
            )
        })
    }
}

/// What became of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReply {
    /// The plugin as it now is.
    pub plugin: PluginRow,
    /// Whether the native code came from the cache.
    pub from_cache: bool,
    /// How long it took, in microseconds.
    pub elapsed_us: u64,
    /// What the operator should know although it went well.
    #[serde(default)]
    pub warnings: Vec<String>,
}

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

/// What became of a replace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaceReply {
    /// The plugin as it now is.
    pub plugin: PluginRow,
    /// The generation that served before.
    pub from: Generation,
    /// Whether the native code came from the cache.
    pub from_cache: bool,
    /// How long it took, in microseconds.
    pub elapsed_us: u64,
    /// For how much of that no generation took calls, in microseconds: they
    /// waited.
    pub switch_us: u64,
    /// Whether the new generation goes on from the state of the old one.
    pub state_handed_over: bool,
    /// What the operator should know although it went well.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What a plugin may use, and what was changed of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantReply {
    /// The plugin as it now is.
    pub plugin: PluginRow,
    /// What it may use now, in the form of the command line.
    pub grants: Vec<String>,
    /// What of that it could not use before.
    #[serde(default)]
    pub added: Vec<String>,
    /// What it could use before.
    #[serde(default)]
    pub removed: Vec<String>,
    /// What the operator should know although it went well.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What became of an unload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnloadReply {
    /// The plugin that is gone.
    pub name: PluginName,
    /// Its last generation.
    pub generation: Generation,
    /// How many calls in flight were stopped.
    pub interrupted: u64,
}

/// What became of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelReply {
    /// The request had not been started; it never will be.
    Withdrawn,
    /// The request runs and was told to end; its final status follows.
    Signalled,
    /// The request had been told before.
    AlreadySignalled,
    /// Something that this version has no word for.
    #[serde(other)]
    Unknown,
}

/// What the host logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevelReply {
    /// The setting now in force.
    pub directive: String,
}

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
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub limits_hit: std::collections::BTreeMap<String, u64>,
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

/// What a host counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsReply {
    /// In the text format of Prometheus.
    pub text: String,
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
    pub limits: std::collections::BTreeMap<String, String>,
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

/// Where a log line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    /// The host itself.
    Host,
    /// A plugin's standard output.
    Stdout,
    /// A plugin's standard error.
    Stderr,
    /// A plugin's use of the logging interface.
    Log,
    /// A source that this version has no word for.
    #[serde(other)]
    Unknown,
}

/// One line that a plugin or the host wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, in RFC 3339 with UTC.
    pub time: String,
    /// The plugin; absent for the host's own lines.
    pub plugin: Option<PluginName>,
    /// The plugin's generation.
    pub generation: Option<Generation>,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// Where it came from.
    pub stream: LogSource,
    /// The line, without its end.
    pub text: String,
    /// How many lines before this one were dropped because there were too many.
    #[serde(default)]
    pub dropped: u64,
}
