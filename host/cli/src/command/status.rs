//! `odeon status`: how a host is.

use odeon_protocol::{
    AdminRequest, Code, DescriptorRow, DescriptorState, FolderRow, InFlightRow, PluginRow, StatusReport,
    WallRow,
};

use super::{Context, list};
use crate::{
    human,
    output::{Done, clean, lines, table},
};

pub(crate) fn run(context: &Context) -> Done {
    let report: StatusReport = context.ask(&AdminRequest::Status {})?;
    context
        .out
        .either(&serde_json::json!({ "status": report }), || text(&report))
}

fn text(report: &StatusReport) -> String {
    let mut text = format!(
        "odeon {}, process {}, up {}\nsocket  {}\n",
        report.version,
        report.pid,
        human::span(report.uptime_ms),
        report.socket
    );
    if let Some(state) = &report.state_dir {
        text.push_str(&format!("state   {state}\n"));
    }
    for WallRow { process, wall, state } in &report.walls {
        let around = format!("{wall} around the {process}: {state}");
        text.push_str(&format!("wall    {}\n", clean(&around)));
    }
    text.push_str(&format!("\n{}\n", totals(report)));
    if !report.plugins.is_empty() {
        text.push_str(&format!("\n{}\n", list::text(&report.plugins)));
    }
    if let Some(folder) = &report.folder {
        text.push_str(&format!("\n{}\n", descriptors(folder, &report.descriptors)));
    }
    if !report.listeners.is_empty() {
        text.push_str(&format!("\n{}\n", listeners(report)));
    }
    if !report.in_flight.is_empty() {
        text.push_str(&format!("\n{}\n", in_flight(&report.in_flight)));
    }
    text.trim_end().to_owned()
}

/// Where plugins are served over HTTP, and which.
fn listeners(report: &StatusReport) -> String {
    let mut table = table(&["listener", "address", "tls", "connections", "serves"]);
    for row in &report.listeners {
        let here = |plugin: &&PluginRow| {
            let listener = plugin.http.as_deref().and_then(|route| route.split('/').next());
            listener == Some(&*row.name)
        };
        let served = report.plugins.iter().filter(here);
        let served: Vec<String> = served
            .map(|plugin| {
                let route = plugin.http.as_deref().unwrap_or_default();
                format!("{} {}", clean(route.trim_start_matches(&*row.name)), plugin.name)
            })
            .collect();
        table.add_row([
            clean(&row.name),
            clean(&row.address),
            if row.tls { "yes" } else { "no" }.to_owned(),
            row.connections.to_string(),
            served.join("\n"),
        ]);
    }
    lines(&table)
}

/// The requests in numbers, as one line.
pub(crate) fn totals(report: &StatusReport) -> String {
    let requests = &report.requests;
    format!(
        "requests: {} running, {} pending; {} succeeded, {} failed, {} cancelled, {} rejected, {} refused",
        requests.running,
        requests.pending,
        requests.succeeded,
        requests.failed,
        requests.cancelled,
        requests.rejected,
        requests.refused
    )
}

fn descriptors(folder: &FolderRow, rows: &[DescriptorRow]) -> String {
    let how = if folder.watched {
        "watched"
    } else {
        "read at start and on SIGHUP"
    };
    let mut text = format!("descriptors in {}, {how}", clean(&folder.path));
    if let Some(message) = &folder.message {
        text.push_str(&format!("\n{}{}", coded(folder.code), clean(message)));
    }
    if rows.is_empty() {
        return text;
    }
    let mut table = table(&["file", "plugin", "gen", "state", ""]);
    for row in rows {
        table.add_row([
            clean(&row.file),
            row.plugin
                .as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string),
            row.generation
                .map_or_else(|| "-".to_owned(), |number| number.to_string()),
            state(row.state).to_owned(),
            row.message
                .as_deref()
                .map(|message| format!("{}{}", coded(row.code), clean(message)))
                .unwrap_or_default(),
        ]);
    }
    format!("{text}\n{}", lines(&table))
}

/// The descriptors that are not applied, for people; nothing if all are.
pub(crate) fn not_applied(rows: &[DescriptorRow]) -> Vec<String> {
    let bad = rows.iter().filter(|row| row.state != DescriptorState::Serving);
    bad.map(|row| {
        let why = row
            .message
            .as_deref()
            .map(|message| format!(": {}{}", coded(row.code), clean(message)));
        format!(
            "{}: {}{}",
            clean(&row.file),
            state(row.state),
            why.unwrap_or_default()
        )
    })
    .collect()
}

fn coded(code: Option<Code>) -> String {
    code.map(|code| format!("{code} ")).unwrap_or_default()
}

/// The word for a descriptor's state.
fn state(state: DescriptorState) -> &'static str {
    match state {
        DescriptorState::Serving => "serving",
        DescriptorState::Waiting => "waiting",
        DescriptorState::Refused => "refused",
        DescriptorState::Broken => "broken",
        DescriptorState::Held => "held",
        DescriptorState::Superseded => "superseded",
        DescriptorState::Unknown => "unknown",
    }
}

fn in_flight(rows: &[InFlightRow]) -> String {
    let mut table = table(&["request", "method", "state", "age", "by"]);
    for row in rows {
        table.add_row([
            row.serial.to_string(),
            clean(&row.method),
            row.state.clone(),
            human::span(row.age_ms),
            clean(&row.principal),
        ]);
    }
    lines(&table)
}
