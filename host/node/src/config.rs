//! The host's configuration file, `odeon.toml` of `odeon serve`.
//!
//! Owns its fields. Whoever reads the file applies it to a builder and a
//! daemon; what a command line says counts more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use odeon_authority::{
    ByteSize, HostLimits, HostLimitsPatch, Limits, LimitsPatch, is_secret_name, read_operators_text,
};
use odeon_protocol::{Code, Fault};
use odeon_runtime::PoolSize;
use serde::Deserialize;

use crate::daemon::WallConfig;
use crate::host::HostBuilder;
use crate::metrics::MetricsAddress;
use crate::telemetry::{OtlpAddress, OtlpConfig, SampleShare};
use crate::web::ListenerConfig;

/// The longest configuration file, in bytes.
const MAX: u64 = 1 << 20;
/// The most workers there may be.
const MAX_WORKERS: usize = 1024;
/// The most instances one worker's pool may have.
const MAX_INSTANCES: u32 = 100_000;
/// The largest memory a component can have, in bytes.
const MAX_POOL_MEMORY: u64 = 4 << 30;
/// The smallest segment of the audit.
const MIN_SEGMENT: ByteSize = ByteSize::kib(4);

/// A configuration that has been read and checked. Relative paths are relative
/// to the file's own folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostConfig {
    /// Engines and pools side by side.
    pub workers: Option<usize>,
    /// Instances one worker's pool has room for.
    pub pool_instances: Option<u32>,
    /// The largest memory of one pooled instance, in bytes.
    pub pool_memory: Option<usize>,
    /// What one plugin may cost when nobody says otherwise.
    pub limits: LimitsPatch,
    /// What loading and keeping plugins may cost the host.
    pub host_limits: HostLimitsPatch,
    /// The folder of descriptors.
    pub plugins: Option<PathBuf>,
    /// Whether changes in it are applied when they are made.
    pub watch: Option<bool>,
    /// The trust policy's file.
    pub trust_policy: Option<PathBuf>,
    /// The second file for the audit's head.
    pub audit_head: Option<PathBuf>,
    /// The control socket.
    pub socket: Option<PathBuf>,
    /// How long calls may go on at a stop.
    pub drain: Option<std::time::Duration>,
    /// Files of secrets that any plugin with a grant for them may read.
    pub secrets: BTreeMap<String, PathBuf>,
    /// Where metrics are served over HTTP.
    pub metrics: Option<MetricsAddress>,
    /// Where traces and logs are told.
    pub otlp: Option<OtlpConfig>,
    /// The files that the daemon is left with; absent: all of its user's.
    pub wall: Option<WallConfig>,
    /// Where plugins are.
    pub listeners: Vec<ListenerConfig>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    host: HostTable,
    #[serde(default)]
    limits: LimitsPatch,
    #[serde(default)]
    host_limits: HostLimitsPatch,
    plugins: Option<PathBuf>,
    watch: Option<bool>,
    trust_policy: Option<PathBuf>,
    audit_head: Option<PathBuf>,
    #[serde(default)]
    secrets: BTreeMap<String, PathBuf>,
    #[serde(default)]
    telemetry: TelemetryTable,
    wall: Option<WallTable>,
    #[serde(default)]
    listener: Vec<ListenerConfig>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HostTable {
    workers: Option<usize>,
    pool_instances: Option<u32>,
    pool_memory: Option<ByteSize>,
    socket: Option<PathBuf>,
    drain: Option<odeon_authority::TimeSpan>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TelemetryTable {
    metrics: Option<MetricsAddress>,
    otlp: Option<OtlpAddress>,
    sample: Option<SampleShare>,
    headers: Option<PathBuf>,
}

impl TelemetryTable {
    /// The collector, with a path relative to this folder. What is said about one
    /// that is not there would do nothing.
    fn otlp(&self, folder: &Path) -> Result<Option<OtlpConfig>, String> {
        let Some(address) = self.otlp else {
            let said = [
                ("sample", self.sample.is_some()),
                ("headers", self.headers.is_some()),
            ];
            return match said.iter().find(|(_, said)| *said) {
                Some((field, _)) => Err(format!(
                    "telemetry.{field}: expected `otlp` beside it, the collector that it is about; found none"
                )),
                None => Ok(None),
            };
        };
        Ok(Some(OtlpConfig {
            address,
            sample: self.sample.unwrap_or_default(),
            headers: self.headers.as_ref().map(|path| folder.join(path)),
        }))
    }
}

/// What is said about traces without a collector would do nothing.
fn check_traces(listeners: &[ListenerConfig], otlp: Option<&OtlpConfig>) -> Result<(), String> {
    let mut saying = listeners.iter().filter(|listener| listener.says_trace());
    match (saying.next(), otlp) {
        (Some(listener), None) => Err(format!(
            "listener {}: trace: expected `otlp` in [telemetry], the collector that it is about; found none",
            listener.name()
        )),
        _ => Ok(()),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WallTable {
    #[serde(default)]
    read: Vec<PathBuf>,
    #[serde(default)]
    write: Vec<PathBuf>,
}

impl HostConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// `ODN-3016` with the place in the file.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        let invalid =
            |problem: String| Fault::new(Code::ConfigInvalid, format!("{}: {problem}", path.display()));
        // It names the policy and the files of secrets: only the operator says those.
        let text = read_operators_text(path, MAX).map_err(|error| {
            Fault::new(
                Code::ConfigInvalid,
                format!("the configuration cannot be used: {error}"),
            )
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(invalid)
    }

    /// Reads a configuration whose relative paths are relative to `folder`.
    ///
    /// # Errors
    ///
    /// What is wrong, with line and column where it is the text.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let in_range = |name: &str, found: u64, most: u64| match found {
            found if (1..=most).contains(&found) => Ok(()),
            _ => Err(format!("host.{name}: expected 1 to {most}, found {found}")),
        };
        if let Some(workers) = written.host.workers {
            in_range("workers", workers as u64, MAX_WORKERS as u64)?;
        }
        if let Some(instances) = written.host.pool_instances {
            in_range("pool-instances", instances.into(), MAX_INSTANCES.into())?;
        }
        if let Some(memory) = written.host.pool_memory {
            in_range("pool-memory", memory.bytes(), MAX_POOL_MEMORY)?;
        }
        if let Some(name) = written.secrets.keys().find(|name| !is_secret_name(name)) {
            let shown: String = name.chars().take(80).collect();
            return Err(format!(
                "secrets: expected names of 1 to 64 of a-z, A-Z, 0-9, -, _ and ., found {shown:?}"
            ));
        }
        if let Some(size) = written.host_limits.audit_size.filter(|size| *size < MIN_SEGMENT) {
            return Err(format!(
                "host-limits.audit-size: expected at least {MIN_SEGMENT}, found {size}; a segment that small is a file \
                 for every few lines"
            ));
        }
        if written.watch.is_some() && written.plugins.is_none() {
            return Err("watch: expected `plugins` beside it, the folder to watch; found none".to_owned());
        }
        let limits = Limits::default().replaced_by(&written.limits).check();
        let host_limits = HostLimits::default().replaced_by(&written.host_limits).check();
        limits.and(host_limits).map_err(|error| error.to_string())?;
        let beside = |path: PathBuf| folder.join(path);
        let otlp = written.telemetry.otlp(folder)?;
        check_traces(&written.listener, otlp.as_ref())?;
        Ok(HostConfig {
            workers: written.host.workers,
            pool_instances: written.host.pool_instances,
            pool_memory: written
                .host
                .pool_memory
                .map(|size| usize::try_from(size.bytes()).unwrap_or(usize::MAX)),
            limits: written.limits,
            host_limits: written.host_limits,
            plugins: written.plugins.map(beside),
            watch: written.watch,
            trust_policy: written.trust_policy.map(beside),
            audit_head: written.audit_head.map(beside),
            socket: written.host.socket.map(beside),
            drain: written.host.drain.map(|time| time.duration()),
            secrets: written
                .secrets
                .into_iter()
                .map(|(name, path)| (name, beside(path)))
                .collect(),
            metrics: written.telemetry.metrics,
            otlp,
            wall: written.wall.map(|wall| WallConfig {
                read: wall.read.into_iter().map(beside).collect(),
                write: wall.write.into_iter().map(beside).collect(),
            }),
            listeners: written
                .listener
                .into_iter()
                .map(|listener| listener.beside(folder))
                .collect(),
        })
    }

    /// Sets a builder up as the file says.
    #[must_use]
    pub fn apply(&self, mut builder: HostBuilder) -> HostBuilder {
        let pool = PoolSize::default();
        builder = builder
            .pool(PoolSize {
                instances: self.pool_instances.unwrap_or(pool.instances),
                memory: self.pool_memory.unwrap_or(pool.memory),
            })
            .limits(Limits::default().replaced_by(&self.limits))
            .host_limits(HostLimits::default().replaced_by(&self.host_limits))
            .secrets(self.secrets.clone());
        if let Some(workers) = self.workers {
            builder = builder.workers(workers);
        }
        if let Some(policy) = &self.trust_policy {
            builder = builder.trust_policy(policy);
        }
        if let Some(path) = &self.audit_head {
            builder = builder.audit_head(path);
        }
        if let Some(otlp) = &self.otlp {
            builder = builder.otlp(otlp.clone());
        }
        builder
    }
}

#[cfg(test)]
mod tests;
