//! How the host is, in rows.
//!
//! Owns the copying of what is loaded and in flight into what operators read.
//! Nothing here waits for a guest or for a lock that one holds, so that it
//! works while every guest is stuck.

use std::collections::BTreeMap;

use odeon_protocol::{
    DescribeReply, Fault, InFlightRow, LatencyRow, LineRow, LinkRow, ListenerRow, MethodRow, PluginName,
    PluginRow, PluginState, RequestTotals, StatusReport,
};
use odeon_runtime::{InstanceModel, Latencies, LineTable, Plugin};

use crate::daemon::around_compiles;
use crate::host::Host;
use crate::registry::{Loaded, MethodEntry};
use crate::web::Known;

impl Host {
    /// What is loaded, by name.
    pub fn list(&self) -> Vec<PluginRow> {
        self.inner
            .registry
            .all()
            .iter()
            .map(|loaded| row(loaded))
            .collect()
    }

    /// Everything about one plugin.
    ///
    /// # Errors
    ///
    /// When no such plugin is loaded.
    pub fn describe(&self, name: &PluginName) -> Result<DescribeReply, Fault> {
        let loaded = self.inner.registry.get(name)?;
        let spec = loaded.plugin.spec();
        let description = loaded.plugin.description();
        Ok(DescribeReply {
            plugin: row(&loaded),
            methods: loaded.methods().iter().map(method_row).collect(),
            imports: description
                .imports
                .iter()
                .map(|import| import.name.to_string())
                .collect(),
            grants: loaded.plugin.granted().lines(),
            limits: limits(&spec.limits),
            size_bytes: loaded.origin.size,
            lines: lines(loaded.plugin.lines()),
            wit: description.wit.clone(),
        })
    }

    /// The methods of one plugin.
    ///
    /// # Errors
    ///
    /// When no such plugin is loaded.
    pub fn methods(&self, name: &PluginName) -> Result<Vec<MethodRow>, Fault> {
        Ok(self
            .inner
            .registry
            .get(name)?
            .methods()
            .iter()
            .map(method_row)
            .collect())
    }

    /// The requests in numbers.
    pub fn totals(&self) -> RequestTotals {
        self.inner.requests.totals()
    }

    /// How the host is.
    pub fn status(&self) -> StatusReport {
        let inner = &self.inner;
        let (folder, descriptors) = inner.descriptors.rows(self);
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: millis(inner.started.elapsed()),
            socket: String::new(),
            state_dir: inner.state_dir.as_ref().map(|path| path.display().to_string()),
            plugins: self.list(),
            requests: inner.requests.totals(),
            in_flight: inner
                .requests
                .open()
                .into_iter()
                .map(|open| InFlightRow {
                    serial: open.serial,
                    method: open.target.to_string(),
                    state: open.state.as_str().to_owned(),
                    age_ms: millis(open.age),
                    principal: open.principal.to_string(),
                })
                .collect(),
            folder,
            descriptors,
            walls: around_compiles(&inner.runtime),
            listeners: inner.web.all().iter().map(|known| listener_row(known)).collect(),
        }
    }

    /// Everything that helps to understand a host that is stuck, as JSON: the
    /// status, what is being loaded, and the last requests that ended.
    pub fn status_dump(&self) -> serde_json::Value {
        let finished: Vec<serde_json::Value> = self
            .inner
            .requests
            .finished()
            .into_iter()
            .map(|row| {
                serde_json::json!({
                    "serial": row.serial,
                    "method": row.target,
                    "principal": row.principal,
                    "end": row.end.as_str(),
                    "code": row.code,
                    "took_ms": u64::try_from(row.took.as_millis()).unwrap_or(u64::MAX),
                })
            })
            .collect();
        let plugins: BTreeMap<String, serde_json::Value> = self
            .inner
            .registry
            .all()
            .iter()
            .map(|loaded| {
                let stats = loaded.plugin.stats();
                let row = serde_json::json!({
                    "generation": loaded.generation,
                    "rule": loaded.origin.rule,
                    "loaded_by": loaded.origin.principal,
                    "file": loaded.origin.asked.file(),
                    "calls": stats.calls,
                    "faults": stats.faults,
                    "denials": stats.denials,
                    "lines_dropped": stats.lines_dropped,
                    "instances": stats.instances,
                    "in_flight": stats.in_flight,
                    "waiting": stats.waiting,
                    "memory": stats.memory,
                    "limits_hit": stats.limits_hit,
                });
                (loaded.name.to_string(), row)
            })
            .collect();
        serde_json::json!({
            "time": format!("{:.6}", jiff::Timestamp::now()),
            "status": self.status(),
            "plugins": plugins,
            "loading": self.inner.registry.loading(),
            "replaced": self.inner.registry.replaced().iter().map(|loaded| serde_json::json!({
                "name": loaded.name,
                "generation": loaded.generation,
                "in_flight": loaded.plugin.stats().in_flight,
            })).collect::<Vec<_>>(),
            "finished": finished,
        })
    }

    /// The row of one plugin.
    pub(crate) fn row(&self, name: &PluginName) -> Result<PluginRow, Fault> {
        Ok(row(&*self.inner.registry.get(name)?))
    }
}

fn row(loaded: &Loaded) -> PluginRow {
    let stats = loaded.plugin.stats();
    let spec = loaded.plugin.spec();
    PluginRow {
        name: loaded.name.clone(),
        generation: loaded.generation,
        digest: loaded.origin.digest,
        version: loaded.origin.version.as_ref().map(ToString::to_string),
        signed_by: loaded.origin.signed_by.clone(),
        instance: match spec.instances {
            InstanceModel::Fresh => "fresh",
            InstanceModel::Resident { .. } => "resident",
        }
        .to_owned(),
        class: loaded.plugin.description().class.to_string(),
        state: if loaded.is_draining() {
            PluginState::Draining
        } else {
            PluginState::Ready
        },
        transient: loaded.origin.transient,
        calls: stats.calls,
        faults: stats.faults,
        in_flight: stats.in_flight as u64,
        waiting: stats.waiting as u64,
        latency_us: latency(&stats.latencies),
        instances: stats.instances as u64,
        memory_bytes: stats.memory,
        limits_hit: stats
            .limits_hit
            .iter()
            .map(|(limit, times)| ((*limit).to_owned(), *times))
            .collect(),
        links: links(&loaded.plugin),
        http: loaded
            .route
            .as_ref()
            .map(|at| format!("{}{}", at.listener, at.path)),
    }
}

fn listener_row(known: &Known) -> ListenerRow {
    ListenerRow {
        name: known.name.to_string(),
        address: known.address.to_string(),
        tls: known.tls,
        connections: known.counts.connections() as u64,
    }
}

fn links(plugin: &Plugin) -> Vec<LinkRow> {
    let links = plugin.links().map(|(interface, provider)| LinkRow {
        interface: interface.to_owned(),
        provider: provider.clone(),
        generation: plugin
            .spec()
            .neighbours
            .plugin(provider)
            .map(|provider| provider.generation()),
    });
    links.collect()
}

fn latency(latencies: &Latencies) -> Option<LatencyRow> {
    let micros = |percent| {
        let within = latencies.percentile(percent)?;
        Some(u64::try_from(within.as_micros()).unwrap_or(u64::MAX).max(1))
    };
    Some(LatencyRow {
        p50: micros(50)?,
        p99: micros(99)?,
    })
}

pub(crate) fn method_row(method: &MethodEntry) -> MethodRow {
    MethodRow {
        interface: method.interface.as_deref().map(str::to_owned),
        function: method.function.to_string(),
        path: method.path.to_string(),
        ty: (*method.ty).clone(),
        fingerprint: method.fingerprint,
    }
}

/// The limits by the names of a descriptor.
fn lines(table: &LineTable) -> Option<LineRow> {
    let row = LineRow {
        places: table.rows() as u64,
        files: table.files() as u64,
        left_out: table.left_out().into(),
    };
    (row.places > 0 || row.left_out > 0).then_some(row)
}

fn limits(limits: &odeon_authority::Limits) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(limits) else {
        return BTreeMap::new();
    };
    fields
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect()
}
