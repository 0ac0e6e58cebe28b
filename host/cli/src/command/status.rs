//! `odeon status`: how a host is.

use odeon_protocol::{AdminRequest, InFlightRow, StatusReport};

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
    text.push_str(&format!("\n{}\n", totals(report)));
    if !report.plugins.is_empty() {
        text.push_str(&format!("\n{}\n", list::text(&report.plugins)));
    }
    if !report.in_flight.is_empty() {
        text.push_str(&format!("\n{}\n", in_flight(&report.in_flight)));
    }
    text.trim_end().to_owned()
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
