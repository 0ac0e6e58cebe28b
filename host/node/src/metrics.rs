//! What a host counts, for programs that collect it.
//!
//! Owns the names of the metrics and where each number comes from. The text
//! format is in `text`, the way to it over HTTP in `endpoint`.
//!
//! **Invariant:** a label's value is a plugin's name, a code, a limit's name or
//! a word of this file, never a guest's or a caller's text; and all plugins
//! without a row of their own (see the registry's tally) share one.

mod address;
mod endpoint;
mod text;

use std::sync::atomic::Ordering;

use odeon_runtime::PluginStats;

pub use self::address::{InvalidMetricsAddress, MetricsAddress};
pub(crate) use self::endpoint::{Endpoint, bind};
pub(crate) use self::text::{Kind, Text};
use crate::host::Host;

/// The row of all plugins that have none of their own. No plugin can have this
/// name.
const OTHERS: &str = "(others)";

/// What is said of one plugin.
struct Row {
    plugin: String,
    /// The one that serves; none where several plugins share the row.
    generation: Option<u64>,
    stats: PluginStats,
}

impl Host {
    /// What the host counts, in the text format of Prometheus. Waits for no
    /// guest and for no lock that one holds.
    ///
    /// Counts of a plugin are over all of its generations and only rise, until
    /// it is unloaded. At most 1,000 plugins have rows of their own, those that
    /// were loaded first; the others are summed up as `(others)`.
    pub fn metrics(&self) -> String {
        self.write_metrics().finish()
    }

    pub(crate) fn write_metrics(&self) -> Text {
        let mut text = Text::default();
        self.write_host(&mut text);
        crate::web::write_metrics(&self.inner.web, &mut text);
        if let Some(telemetry) = &self.inner.telemetry {
            telemetry.write_metrics(&mut text);
        }
        let rows = self.rows();
        write_counts(&mut text, &rows);
        write_latencies(&mut text, &rows);
        write_states(&mut text, &rows);
        text
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let (tallies, gone) = self.inner.registry.tallies();
        let mut others = (gone != PluginStats::default()).then_some(gone);
        for (name, generation, tally) in tallies {
            let stats = tally.totals.read();
            if tally.own_row {
                rows.push(Row {
                    plugin: name.to_string(),
                    generation: Some(generation.0),
                    stats,
                });
            } else {
                others.get_or_insert_default().add(&stats);
            }
        }
        rows.extend(others.map(|stats| Row {
            plugin: OTHERS.to_owned(),
            generation: None,
            stats,
        }));
        rows
    }

    fn write_host(&self, text: &mut Text) {
        let inner = &self.inner;
        let version = env!("CARGO_PKG_VERSION");
        text.family("odeon_info", Kind::Gauge, "The host's version.")
            .row(&[("version", version)], 1);
        let uptime = inner.started.elapsed();
        text.family(
            "odeon_uptime_seconds",
            Kind::Gauge,
            "How long the host has been there.",
        )
        .row(&[], text::seconds(uptime));
        text.family("odeon_plugins", Kind::Gauge, "Plugins that are loaded.")
            .row(&[], inner.registry.names().len());
        let requests = inner.requests.totals();
        let mut open = text.family(
            "odeon_requests_open",
            Kind::Gauge,
            "Requests that are not finished.",
        );
        for (state, count) in [("pending", requests.pending), ("running", requests.running)] {
            open.row(&[("state", state)], count);
        }
        let mut ended = text.family(
            "odeon_requests_total",
            Kind::Counter,
            "Requests that ended, or were not accepted (refused).",
        );
        for (outcome, count) in [
            ("succeeded", requests.succeeded),
            ("failed", requests.failed),
            ("rejected", requests.rejected),
            ("cancelled", requests.cancelled),
            ("refused", requests.refused),
        ] {
            ended.row(&[("outcome", outcome)], count);
        }
        let on_record = inner.recorder.on_record();
        for (name, help, count) in [
            ("odeon_loads_total", "Loads that are on record.", &on_record.loads),
            (
                "odeon_unloads_total",
                "Unloads that are on record.",
                &on_record.unloads,
            ),
            (
                "odeon_replaces_total",
                "Replaces that are on record.",
                &on_record.replaces,
            ),
            (
                "odeon_rollbacks_total",
                "Rollbacks that are on record.",
                &on_record.rollbacks,
            ),
        ] {
            text.family(name, Kind::Counter, help)
                .row(&[], count.load(Ordering::Relaxed));
        }
        text.family(
            "odeon_audit_records_total",
            Kind::Counter,
            "Lines that this process wrote into the audit.",
        )
        .row(&[], inner.recorder.audit().written());
        if let Some(bytes) = inner.runtime.cache_bytes() {
            text.family("odeon_cache_bytes", Kind::Gauge, "Native code in the cache.")
                .row(&[], bytes);
        }
    }
}

/// What only rises.
fn write_counts(text: &mut Text, rows: &[Row]) {
    type Count = fn(&PluginStats) -> u64;
    let counts: [(&'static str, &'static str, Count); 3] = [
        (
            "odeon_plugin_calls_total",
            "Calls that ended, with a result or not.",
            |stats| stats.calls,
        ),
        (
            "odeon_plugin_denials_total",
            "Uses that no grant covered.",
            |stats| stats.denials,
        ),
        (
            "odeon_plugin_log_lines_dropped_total",
            "Lines of the plugin's log that were dropped.",
            |stats| stats.lines_dropped_ever,
        ),
    ];
    for (name, help, count) in counts {
        let mut family = text.family(name, Kind::Counter, help);
        for row in rows {
            family.row(&[("plugin", &row.plugin)], count(&row.stats));
        }
    }
    let mut faults = text.family(
        "odeon_plugin_faults_total",
        Kind::Counter,
        "Calls that ended with a fault, by its code.",
    );
    for row in rows {
        for (code, count) in &row.stats.faults_by_code {
            faults.row(&[("plugin", &row.plugin), ("code", code)], count);
        }
    }
    let mut limits = text.family(
        "odeon_plugin_limits_hit_total",
        Kind::Counter,
        "How often a limit said no, by its name in a descriptor.",
    );
    for row in rows {
        for (limit, count) in &row.stats.limits_hit {
            limits.row(&[("plugin", &row.plugin), ("limit", limit)], count);
        }
    }
}

fn write_latencies(text: &mut Text, rows: &[Row]) {
    let mut family = text.family(
        "odeon_plugin_latency_seconds",
        Kind::Histogram,
        "How long calls took from admission to end; of calls on their callers' own threads a sample.",
    );
    for row in rows {
        family.histogram(("plugin", &row.plugin), &row.stats.latencies);
    }
}

/// What is so now.
fn write_states(text: &mut Text, rows: &[Row]) {
    type State = fn(&Row) -> Option<u64>;
    let states: [(&'static str, &'static str, State); 5] = [
        ("odeon_plugin_generation", "The generation that serves.", |row| {
            row.generation
        }),
        ("odeon_plugin_instances", "Instances that exist.", |row| {
            Some(row.stats.instances as u64)
        }),
        (
            "odeon_plugin_memory_bytes",
            "Linear memory of the instances.",
            |row| Some(row.stats.memory),
        ),
        ("odeon_plugin_in_flight", "Calls that run.", |row| {
            Some(row.stats.in_flight as u64)
        }),
        ("odeon_plugin_waiting", "Calls that wait for their turn.", |row| {
            Some(row.stats.waiting as u64)
        }),
    ];
    for (name, help, state) in states {
        let mut family = text.family(name, Kind::Gauge, help);
        for row in rows {
            if let Some(value) = state(row) {
                family.row(&[("plugin", &row.plugin)], value);
            }
        }
    }
}
