//! What a host answers an operator.
//!
//! Owns field names and units; a reader ignores fields it does not know, so
//! that an older client understands a newer host. The rows are by what they
//! are about: `plugin`, `status`, `observed` and `log`.

mod log;
mod observed;
mod plugin;
mod status;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    log::{LogLevelReply, LogLine, LogSource},
    observed::{DumpReply, DumpRow, DumpsArmed, ProfileEndReply, ProfileReply},
    plugin::{DescribeReply, LatencyRow, LineRow, LinkRow, MethodRow, PluginRow, PluginState},
    status::{
        DescriptorRow, DescriptorState, FolderRow, InFlightRow, ListenerRow, MetricsReply, RequestTotals,
        StatusReport, WallRow,
    },
};
use crate::{
    code::Code,
    fault::Fault,
    id::{Generation, PluginName},
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
