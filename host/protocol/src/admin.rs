//! What an operator asks of a running host, and what it answers.
//!
//! Owns the JSON in the body of `admin` and `admin-reply` envelopes. The
//! fields of the reply rows are what `--json` prints, so their names are part
//! of the contract. Decides nothing: who may ask is the host's matter.

mod reply;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use reply::{
    AdminReply, CancelReply, DescribeReply, DescriptorRow, DescriptorState, DumpReply, DumpRow, DumpsArmed,
    FolderRow, GrantReply, InFlightRow, LatencyRow, LineRow, LinkRow, ListenerRow, LoadReply, LogLevelReply,
    LogLine, LogSource, MethodRow, MetricsReply, PluginRow, PluginState, ProfileEndReply, ProfileReply,
    ReplaceReply, RequestTotals, StatusReport, UnloadReply, WallRow,
};

use crate::{
    code::Code,
    fault::Fault,
    id::{PluginName, Serial},
};

/// The longest request of an operator, in bytes of JSON.
pub const MAX_ADMIN_REQUEST: usize = 64 * 1024;
/// The most grants that one request names.
pub const MAX_GRANTS: usize = 256;
/// The most limits that one request names.
pub const MAX_LIMITS: usize = 64;
/// The most links of one plugin.
pub const MAX_LINKS: usize = 64;
/// The most lines of the past that one request for logs gets.
pub const MAX_LOG_TAIL: u32 = 10_000;
/// The longest path of a file, in bytes.
pub const MAX_PATH: usize = 4096;
/// The most calls that one order for core dumps is for.
pub const MAX_DUMPS: u32 = 16;
/// The longest such an order holds.
pub const MAX_DUMP_TIME: Duration = Duration::from_hours(24);
/// The longest profile.
pub const MAX_PROFILE_TIME: Duration = Duration::from_mins(10);
/// The longest directive for the log level, in bytes.
pub const MAX_LOG_DIRECTIVE: usize = 1024;

/// What an operator asks for. `{"op": "load", …}`; an unknown field is an
/// error, so that a misspelt one is never silently without effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdminRequest {
    /// Loads a component or what a descriptor names. Answer: [`LoadReply`].
    Load(Load),
    /// Puts another generation in the place of a loaded plugin. Answer:
    /// [`ReplaceReply`].
    Replace(Replace),
    /// Changes what a loaded plugin may use, or says it. Answer: [`GrantReply`].
    Grant {
        /// The plugin.
        name: PluginName,
        /// What the operator allows besides, as on the command line.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<String>,
        /// What he does not allow any more; taken out before that is added.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        revoke: Vec<String>,
    },
    /// Takes a plugin out of service. Answer: [`UnloadReply`].
    Unload {
        /// The plugin.
        name: PluginName,
        /// Stops the calls in flight instead of waiting for them.
        #[serde(default)]
        now: bool,
        /// How long calls in flight may go on, in milliseconds; absent: as
        /// the host is configured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drain_ms: Option<u64>,
    },
    /// What is loaded. Answer: a list of [`PluginRow`].
    List {},
    /// Everything about one plugin. Answer: [`DescribeReply`].
    Describe {
        /// The plugin.
        name: PluginName,
        /// The answer holds the component's WIT.
        #[serde(default)]
        wit: bool,
    },
    /// The methods of one plugin. Answer: a list of [`MethodRow`].
    Methods {
        /// The plugin.
        name: PluginName,
    },
    /// How the host is. Answer: [`StatusReport`].
    Status {},
    /// What the host counts, for a program that collects it. Answer:
    /// [`MetricsReply`].
    Metrics {},
    /// Ends the host: it takes no new calls, waits, then interrupts. Answer:
    /// null, before the host goes.
    Stop {
        /// How long calls in flight may go on, in milliseconds; absent: as
        /// configured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drain_ms: Option<u64>,
    },
    /// Cancels one request. Answer: [`CancelReply`].
    Cancel {
        /// The request.
        serial: Serial,
    },
    /// What plugins and the host wrote. Answers: one [`LogLine`] each, all but
    /// the last marked `more`; the last is null. Ended by a cancel envelope of
    /// the same id.
    Logs {
        /// Of this plugin alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<PluginName>,
        /// Goes on with new lines as they are written.
        #[serde(default)]
        follow: bool,
        /// How many lines of the past come first, up to [`MAX_LOG_TAIL`].
        #[serde(default)]
        tail: u32,
    },
    /// Reads or sets what the host logs. Answer: [`LogLevelReply`].
    LogLevel {
        /// The new setting (`info,odeon=debug`); absent: only read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directive: Option<String>,
    },
    /// Has calls of a plugin that trap leave core dumps, ends that, or says what
    /// came of it. Answer: [`DumpReply`].
    Dump {
        /// The plugin.
        name: PluginName,
        /// Which of it.
        what: DumpAsk,
    },
    /// Makes a profile of a plugin. Answer: [`ProfileReply`], when it is there. It
    /// is given up when the connection ends.
    Profile {
        /// The plugin.
        name: PluginName,
        /// How long it is observed, in milliseconds, up to [`MAX_PROFILE_TIME`].
        for_ms: u64,
    },
    /// Has the profile of a plugin that is being made end now, with what there is.
    /// Answer: [`ProfileEndReply`].
    EndProfile {
        /// The plugin.
        name: PluginName,
    },
}

/// What is asked about core dumps of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DumpAsk {
    /// So many of the next calls that trap leave one, in the place of what was
    /// ordered before.
    Order {
        /// How many, from 1 to [`MAX_DUMPS`].
        traps: u32,
        /// For how long, in milliseconds, up to [`MAX_DUMP_TIME`].
        for_ms: u64,
    },
    /// None does any more.
    Off,
    /// What came of the last order.
    Show,
}

/// What is to be loaded, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The component's or the descriptor's absolute path on the host.
    pub path: String,
    /// The plugin's name; absent: as the manifest or the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PluginName>,
    /// Loads it although nothing vouches for it. Implies `transient`.
    #[serde(default)]
    pub allow_unsigned: bool,
    /// Loads it although a higher version of it was accepted before.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// The load is not remembered over a restart.
    #[serde(default)]
    pub transient: bool,
    /// What the plugin may touch, as on the command line (`fs=/srv/data,rw`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// Limits by the names and in the form of a descriptor's `[limits]`
    /// (`memory` to `64MiB`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
    /// The plugins that serve interfaces which it imports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, PluginName>,
    /// Where it is served over HTTP (`web/hello`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}

/// What is to come in the place of a loaded plugin. What is not named here
/// stays as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The plugin.
    pub name: PluginName,
    /// The new component's or descriptor's absolute path on the host; absent:
    /// what it was loaded from, read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Loads it although nothing vouches for it. Implies `transient`.
    #[serde(default)]
    pub allow_unsigned: bool,
    /// Loads it although a higher version of it was accepted before.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// How long calls of the old generation may go on, in milliseconds;
    /// absent: as the host is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_ms: Option<u64>,
    /// How long the new generation is watched, in milliseconds; absent: ten
    /// seconds; 0: it is not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_ms: Option<u64>,
    /// Replaces it although plugins that are linked to it would not link any
    /// more.
    #[serde(default)]
    pub break_links: bool,
}

impl AdminRequest {
    /// Reads an `admin` envelope's body.
    ///
    /// # Errors
    ///
    /// When it is longer than [`MAX_ADMIN_REQUEST`], no request, or one whose
    /// fields break a limit.
    pub fn from_json(body: &[u8]) -> Result<Self, AdminError> {
        if body.len() > MAX_ADMIN_REQUEST {
            return Err(AdminError::TooLong { length: body.len() });
        }
        let request: AdminRequest =
            serde_json::from_slice(body).map_err(|error| AdminError::NoRequest(error.to_string()))?;
        request.check()?;
        Ok(request)
    }

    /// The bytes for an `admin` envelope's body.
    ///
    /// # Errors
    ///
    /// When [`from_json`](Self::from_json) would not take them.
    pub fn to_json(&self) -> Result<Vec<u8>, AdminError> {
        self.check()?;
        let body = serde_json::to_vec(self).map_err(|error| AdminError::NoRequest(error.to_string()))?;
        if body.len() > MAX_ADMIN_REQUEST {
            return Err(AdminError::TooLong { length: body.len() });
        }
        Ok(body)
    }

    fn check(&self) -> Result<(), AdminError> {
        let within = |field, count: usize, max: usize| {
            if count > max {
                Err(AdminError::Limit { field, count, max })
            } else {
                Ok(())
            }
        };
        let between = |field, found: u64, most: u64| match (1..=most).contains(&found) {
            true => Ok(()),
            false => Err(AdminError::Range { field, found, most }),
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let absolute = |path: &str| {
            within("path", path.len(), MAX_PATH)?;
            match path.starts_with('/') && !path.contains('\0') {
                true => Ok(()),
                false => Err(AdminError::RelativePath),
            }
        };
        match self {
            AdminRequest::Replace(replace) => replace.path.as_deref().map_or(Ok(()), absolute),
            AdminRequest::Load(load) => {
                absolute(&load.path)?;
                within("grants", load.grants.len(), MAX_GRANTS)?;
                within("limits", load.limits.len(), MAX_LIMITS)?;
                within("http", load.http.as_ref().map_or(0, String::len), MAX_PATH)?;
                within("links", load.links.len(), MAX_LINKS)
            }
            AdminRequest::Grant { add, revoke, .. } => {
                within("add", add.len(), MAX_GRANTS)?;
                within("revoke", revoke.len(), MAX_GRANTS)
            }
            AdminRequest::Logs { tail, .. } => within(
                "tail",
                usize::try_from(*tail).unwrap_or(usize::MAX),
                usize::try_from(MAX_LOG_TAIL).unwrap_or(usize::MAX),
            ),
            AdminRequest::LogLevel { directive } => within(
                "directive",
                directive.as_ref().map_or(0, String::len),
                MAX_LOG_DIRECTIVE,
            ),
            AdminRequest::Dump {
                what: DumpAsk::Order { traps, for_ms },
                ..
            } => {
                between("traps", u64::from(*traps), u64::from(MAX_DUMPS))?;
                between("for_ms", *for_ms, millis(MAX_DUMP_TIME))
            }
            AdminRequest::Profile { for_ms, .. } => between("for_ms", *for_ms, millis(MAX_PROFILE_TIME)),
            AdminRequest::Unload { .. }
            | AdminRequest::Dump { .. }
            | AdminRequest::EndProfile { .. }
            | AdminRequest::List {}
            | AdminRequest::Describe { .. }
            | AdminRequest::Methods { .. }
            | AdminRequest::Status {}
            | AdminRequest::Metrics {}
            | AdminRequest::Stop { .. }
            | AdminRequest::Cancel { .. } => Ok(()),
        }
    }
}

/// Why bytes are no request of an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Longer than [`MAX_ADMIN_REQUEST`].
    #[error("an operator's request has at most {MAX_ADMIN_REQUEST} bytes, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not the JSON of any request; says where and what was expected.
    #[error("expected an operator's request as JSON: {0}")]
    NoRequest(String),
    /// A field is longer or larger than it may be.
    #[error("{field} is limited to {max}, this request has {count}")]
    Limit {
        /// The field.
        field: &'static str,
        /// What was there: bytes of a text, entries of a list, or a number.
        count: usize,
        /// The most that is taken.
        max: usize,
    },
    /// A number is none or larger than it may be.
    #[error("{field} expected from 1 to {most}, found {found}")]
    Range {
        /// The field.
        field: &'static str,
        /// What was there.
        found: u64,
        /// The most that is taken.
        most: u64,
    },
    /// The path does not start at the root, and the host's working directory
    /// is not the caller's.
    #[error("expected an absolute path, without NUL")]
    RelativePath,
}

impl From<AdminError> for Fault {
    fn from(error: AdminError) -> Self {
        let code = match &error {
            AdminError::TooLong { .. } => Code::MessageTooLarge,
            AdminError::NoRequest(_) => Code::ProtocolViolation,
            AdminError::Limit { .. } | AdminError::Range { .. } | AdminError::RelativePath => {
                Code::InvalidArguments
            }
        };
        Fault::new(code, error.to_string())
    }
}
