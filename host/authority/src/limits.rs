//! What one plugin, and the host as a whole, may cost.
//!
//! Owns the names, units, defaults and ceilings of every limit: one table,
//! from which the types, the file fields and the documentation's check come.
//! It enforces nothing itself; whoever spends a resource reads its limit here.
//!
//! **Invariant:** a manifest only lowers. What it asks for above the
//! operator's number has no effect.

use serde::{Deserialize, Serialize};

use crate::unit::{ByteSize, TimeSpan};

/// One row of the documentation's table of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitField {
    /// The field's name in a file.
    pub name: &'static str,
    /// The default, as it is written in a file.
    pub default: &'static str,
    /// The highest value this host can be set to, as it is written in a file.
    pub ceiling: &'static str,
    /// What the limit stops.
    pub stops: &'static str,
    /// How its value is written in a file.
    pub form: LimitForm,
}

/// How the value of a limit is written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitForm {
    /// As a [`ByteSize`].
    Size,
    /// As a [`TimeSpan`].
    Time,
    /// As a number.
    Number,
}

/// What a limit's value can be.
trait LimitValue {
    const FORM: LimitForm;
}

impl LimitValue for ByteSize {
    const FORM: LimitForm = LimitForm::Size;
}

impl LimitValue for TimeSpan {
    const FORM: LimitForm = LimitForm::Time;
}

impl LimitValue for u64 {
    const FORM: LimitForm = LimitForm::Number;
}

/// What an operator allows and a manifest does not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUnused {
    /// The field.
    pub name: &'static str,
    /// The operator's value.
    pub allowed: String,
    /// The manifest's, which holds.
    pub kept: String,
}

/// A word that is no value of a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit {name}: {problem}")]
pub struct InvalidLimit {
    /// The field, as it was written.
    pub name: String,
    /// What was expected and found.
    pub problem: String,
}

/// A limit that is set higher than it can be enforced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit {name} expected at most {ceiling}, found {found}; lower it")]
pub struct LimitTooHigh {
    /// The field.
    pub name: &'static str,
    /// The highest value that can be enforced.
    pub ceiling: &'static str,
    /// The value that was asked for.
    pub found: String,
}

macro_rules! limits {
    (
        $(#[$outer:meta])* $name:ident, $(#[$patch_outer:meta])* $patch:ident {
            $($(#[$doc:meta])+ $text:literal $field:ident: $type:ty
                = $default:expr, $default_text:literal, at most $ceiling:expr, $ceiling_text:literal, stops $stops:literal;)+
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$doc])+ #[serde(rename = $text)] pub $field: $type,)+ }

        $(#[$patch_outer])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $patch {
            $($(#[$doc])+
            #[serde(rename = $text, default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>,)+
        }

        impl $patch {
            /// These fields, and where they say nothing the other's.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                $patch { $($field: self.$field.or(other.$field),)+ }
            }

            /// The fields of these that are above the other's.
            pub fn above(&self, other: &Self) -> Vec<LimitUnused> {
                let mut unused = Vec::new();
                $(if let (Some(allowed), Some(kept)) = (self.$field, other.$field)
                    && allowed > kept
                {
                    unused.push(LimitUnused {
                        name: $text, allowed: allowed.to_string(), kept: kept.to_string(),
                    });
                })+
                unused
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)+ }
            }
        }

        impl $name {
            /// Every limit, in the order of the documentation.
            pub const FIELDS: &[LimitField] = &[$(LimitField {
                name: $text, default: $default_text, ceiling: $ceiling_text, stops: $stops,
                form: <$type as LimitValue>::FORM,
            },)+];

            /// The highest values there are.
            pub fn ceiling() -> Self {
                $name { $($field: $ceiling,)+ }
            }

            /// Refuses values above [`Self::ceiling`].
            pub fn check(&self) -> Result<(), LimitTooHigh> {
                $(if self.$field > $ceiling {
                    return Err(LimitTooHigh {
                        name: $text, ceiling: $ceiling_text, found: self.$field.to_string(),
                    });
                })+
                Ok(())
            }

            /// These limits with the fields of the patch in place of theirs.
            #[must_use]
            pub fn replaced_by(&self, patch: &$patch) -> Self {
                $name { $($field: patch.$field.unwrap_or(self.$field),)+ }
            }

            /// These limits, lowered where the patch names less.
            #[must_use]
            pub fn lowered_by(&self, patch: &$patch) -> Self {
                $name { $($field: patch.$field.map_or(self.$field, |asked| asked.min(self.$field)),)+ }
            }
        }
    };
}

limits! {
    /// What one plugin may cost. Times and amounts "per call" start anew with
    /// every call.
    Limits,
    /// Some of the fields of [`Limits`], as a manifest or an operator names them.
    LimitsPatch {
        /// Linear memory of one instance: the sum over all its memories.
        "memory" memory: ByteSize = ByteSize::mib(64), "64MiB", at most ByteSize::gib(4), "4GiB",
            stops "growth bombs";
        /// Table elements of one instance: the sum over all its tables.
        "table-elements" table_elements: u64 = 20_000, "20000", at most 10_000_000, "10000000",
            stops "growth bombs in tables";
        /// Core instances inside one component instance.
        "core-instances" core_instances: u64 = 64, "64", at most 10_000, "10000",
            stops "instance bombs";
        /// The guest's stack. Every engine class has this one size: what names
        /// another is refused, because it could not be kept.
        "stack" stack: ByteSize = ByteSize::kib(512), "512KiB", at most ByteSize::kib(512), "512KiB",
            stops "deep recursion";
        /// Wall time of one call, the host's own time included.
        "deadline" deadline: TimeSpan = TimeSpan::secs(30), "30s", at most TimeSpan::secs(86_400), "24h",
            stops "spinning, and sleeping or dripping inside host calls";
        /// Time on a processor in one call.
        "cpu" cpu: TimeSpan = TimeSpan::secs(10), "10s", at most TimeSpan::secs(86_400), "24h",
            stops "spinning, even when the host is busy";
        /// Wall time of the plugin's own `load` and of its `unload`.
        "load-deadline" load_deadline: TimeSpan = TimeSpan::secs(10), "10s", at most TimeSpan::secs(3_600), "1h",
            stops "a load that never ends";
        /// Bytes the host copies for the guest in one host call.
        "host-call-bytes" host_call_bytes: ByteSize = ByteSize::mib(64), "64MiB", at most ByteSize::gib(4), "4GiB",
            stops "making the host buffer without bound";
        /// Handles to host resources that one instance holds at a time.
        "handles" handles: u64 = 1_000, "1000", at most 1_000_000, "1000000",
            stops "filling the host's resource table";
        /// HTTP headers of one message, names and values together.
        "header-bytes" header_bytes: ByteSize = ByteSize::kib(64), "64KiB", at most ByteSize::mib(1), "1MiB",
            stops "header bombs";
        /// The body of one HTTP request that comes in.
        "http-body" http_body: ByteSize = ByteSize::mib(16), "16MiB", at most ByteSize::gib(1024), "1024GiB",
            stops "uploads without end";
        /// Log, stdout and stderr per second; more is dropped and counted.
        "log-rate" log_rate: ByteSize = ByteSize::kib(256), "256KiB", at most ByteSize::mib(64), "64MiB",
            stops "log floods";
        /// One line of log, stdout or stderr; the rest of it is dropped.
        "log-line" log_line: ByteSize = ByteSize::kib(8), "8KiB", at most ByteSize::mib(1), "1MiB",
            stops "endless lines";
        /// Calls that run at the same time.
        "calls-in-flight" calls_in_flight: u64 = 64, "64", at most 10_000, "10000",
            stops "request floods: more wait in the queue";
        /// Calls that wait; callers beyond it see `overloaded`.
        "queue" queue: u64 = 256, "256", at most 1_000_000, "1000000",
            stops "request floods: more are refused";
        /// Arguments or result of one call, encoded.
        "message" message: ByteSize = ByteSize::mib(16), "16MiB", at most ByteSize::gib(1), "1GiB",
            stops "decode bombs by size";
        /// How deep a value may be nested.
        "value-depth" value_depth: u64 = 64, "64", at most 100, "100",
            stops "decode bombs by depth";
        /// Outgoing connections that are open at the same time.
        "connections" connections: u64 = 16, "16", at most 10_000, "10000",
            stops "connection floods";
        /// Bytes sent to the network in one call.
        "egress-bytes" egress_bytes: ByteSize = ByteSize::mib(64), "64MiB", at most ByteSize::gib(1024), "1024GiB",
            stops "exfiltration in bulk";
        /// Name lookups in one call.
        "dns-queries" dns_queries: u64 = 64, "64", at most 100_000, "100000",
            stops "exfiltration through name lookups";
        /// Bytes written to granted directories in one call.
        "fs-bytes-written" fs_bytes_written: ByteSize = ByteSize::mib(256), "256MiB",
            at most ByteSize::gib(1024), "1024GiB", stops "filling the disk";
        /// Files, directories and links created in one call.
        "fs-files-created" fs_files_created: u64 = 1_000, "1000", at most 10_000_000, "10000000",
            stops "filling the disk with names";
        /// The size a file may be given, by writing or by setting its length.
        "fs-file-size" fs_file_size: ByteSize = ByteSize::mib(256), "256MiB", at most ByteSize::gib(1024), "1024GiB",
            stops "sparse growth";
        /// Files and directories that are open at the same time, the granted ones included.
        "open-files" open_files: u64 = 64, "64", at most 10_000, "10000",
            stops "using up the host's descriptors";
        /// Progress reports in one call; more are refused, and the guest is told.
        "progress-reports" progress_reports: u64 = 10_000, "10000", at most 10_000_000, "10000000",
            stops "progress floods";
        /// User data that a caller may attach to one call.
        "user-data" user_data: ByteSize = ByteSize::kib(64), "64KiB", at most ByteSize::mib(1), "1MiB",
            stops "user data as a way around the message limit";
        /// Plugins that a call goes through, one calling the next.
        "link-depth" link_depth: u64 = 8, "8", at most 32, "32",
            stops "circles of plugins that call each other";
    }
}

limits! {
    /// What loading and keeping plugins may cost the host.
    HostLimits,
    /// Some of the fields of [`HostLimits`], as the host's configuration names them.
    HostLimitsPatch {
        /// One component file.
        "component-size" component_size: ByteSize = ByteSize::mib(64), "64MiB", at most ByteSize::gib(1), "1GiB",
            stops "oversized components";
        /// Wall time of compiling one component; its processor time is limited to the same.
        "compile-time" compile_time: TimeSpan = TimeSpan::secs(60), "60s", at most TimeSpan::secs(3_600), "1h",
            stops "compile bombs";
        /// Memory of the compiling process.
        "compile-memory" compile_memory: ByteSize = ByteSize::gib(2), "2GiB", at most ByteSize::gib(64), "64GiB",
            stops "compile bombs that use memory";
        /// Native code of one component.
        "native-size" native_size: ByteSize = ByteSize::mib(512), "512MiB", at most ByteSize::gib(4), "4GiB",
            stops "components that blow up when compiled";
        /// How deep a component's types may be nested.
        "type-depth" type_depth: u64 = 100, "100", at most 100, "100",
            stops "types that overflow the host's stack";
        /// How many types a component's exports may be made of.
        "type-nodes" type_nodes: u64 = 100_000, "100000", at most 1_000_000, "1000000",
            stops "types that double at every level";
        /// Loads that are taken in a minute.
        "loads-per-minute" loads_per_minute: u64 = 600, "600", at most 60_000, "60000",
            stops "load floods";
        /// From the address of a guest's HTTP request to its connection, TLS included.
        "connect-time" connect_time: TimeSpan = TimeSpan::secs(10), "10s", at most TimeSpan::secs(3_600), "1h",
            stops "servers that accept a connection and say nothing";
        /// Connections to HTTP listeners that are open at the same time.
        "http-connections" http_connections: u64 = 1_024, "1024", at most 65_536, "65536",
            stops "connection floods: more wait to be accepted";
        /// The same from one address.
        "http-connections-each" http_connections_each: u64 = 256, "256", at most 65_536, "65536",
            stops "one client that takes all connections";
        /// From the first byte of an HTTP request to the last of its header, and for a TLS handshake.
        "http-head-time" http_head_time: TimeSpan = TimeSpan::secs(10), "10s", at most TimeSpan::secs(3_600), "1h",
            stops "requests whose header never ends";
        /// How long an HTTP connection may stand open between two requests.
        "http-idle-time" http_idle_time: TimeSpan = TimeSpan::secs(60), "60s", at most TimeSpan::secs(3_600), "1h",
            stops "connections that are kept for nothing";
        /// How long an HTTP client may be waited for that sends its request, or reads its response, at less than 1 KiB/s.
        "http-stall-time" http_stall_time: TimeSpan = TimeSpan::secs(10), "10s", at most TimeSpan::secs(3_600), "1h",
            stops "bodies that drip, and clients that do not read";
        /// The cache of native code on disk; the oldest entries go first.
        "cache-size" cache_size: ByteSize = ByteSize::gib(1), "1GiB", at most ByteSize::gib(1024), "1024GiB",
            stops "filling the disk with native code";
        /// How often repeated denials of one kind are written to the audit.
        "audit-interval" audit_interval: TimeSpan = TimeSpan::secs(10), "10s", at most TimeSpan::secs(3_600), "1h",
            stops "filling the disk with denials";
        /// One segment of the audit's log; a longer log goes on in a new one.
        "audit-size" audit_size: ByteSize = ByteSize::mib(64), "64MiB", at most ByteSize::gib(1024), "1024GiB",
            stops "a log that nobody can take away in parts";
        /// The linear memory of an instance that leaves a core dump.
        "dump-size" dump_size: ByteSize = ByteSize::mib(256), "256MiB", at most ByteSize::gib(4), "4GiB",
            stops "copying a guest that is larger than anybody wants to look at";
        /// All core dumps of the state directory together, and all profiles.
        "dumps-size" dumps_size: ByteSize = ByteSize::gib(1), "1GiB", at most ByteSize::gib(1024), "1024GiB",
            stops "filling the disk with core dumps and profiles";
    }
}

impl Limits {
    /// The limits of one plugin: the host's, replaced by the operator's for
    /// this plugin, lowered by what its manifest asks for. An operator's values
    /// above [`Limits::ceiling`] are refused, used or not.
    pub fn for_plugin(
        host_default: &Limits,
        operator: Option<&LimitsPatch>,
        manifest: Option<&LimitsPatch>,
    ) -> Result<Limits, LimitTooHigh> {
        let mut limits = host_default.clone();
        if let Some(patch) = operator {
            limits = limits.replaced_by(patch);
        }
        limits.check()?;
        if let Some(patch) = manifest {
            limits = limits.lowered_by(patch);
        }
        Ok(limits)
    }
}

impl LimitsPatch {
    /// Limits as they are written on a command line, by the names of a
    /// descriptor's `[limits]`.
    pub fn from_words<'a>(words: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, InvalidLimit> {
        let mut patch = LimitsPatch::default();
        for (name, word) in words {
            let one = Self::from_word(name, word).map_err(|error| InvalidLimit {
                name: name.chars().take(40).collect(),
                problem: error.message().to_owned(),
            })?;
            patch = one.or(patch);
        }
        Ok(patch)
    }

    /// Read as a line of a descriptor is. Some limits are numbers, others are
    /// texts with a unit: what is wrong with the text is what people
    /// understand.
    fn from_word(name: &str, word: &str) -> Result<Self, toml::de::Error> {
        let line = |value| Self::deserialize(toml::Table::from_iter([(name.to_owned(), value)]));
        let number = word.parse().map(toml::Value::Integer);
        match number.map(line) {
            Ok(Ok(patch)) => Ok(patch),
            _ => line(toml::Value::String(word.to_owned())),
        }
    }
}
