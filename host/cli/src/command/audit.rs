//! `odeon audit`: what was decided and done, from the log itself. Needs no
//! daemon; with `--verify` it also says whether the chain is whole.

use std::collections::VecDeque;

use odeon_authority::{Record, Records, SigningKey, verify};
use odeon_protocol::Code;
use serde::Serialize;

use super::Context;
use crate::{
    failure::Failure,
    output::{Done, clean, lines, table},
};

/// The host's key in the state directory, which signs the head of the audit.
pub(super) const HOST_KEY: &str = "host.key";

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check the chain and its signed head; a line that was changed, removed,
    /// reordered, inserted or cut off is located
    #[arg(long)]
    verify: bool,
    /// Show this many of the last lines
    #[arg(long, value_name = "N", default_value_t = 20)]
    tail: usize,
}

#[derive(Serialize)]
struct Document {
    audit: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let state = context.whereabouts.present_state_dir()?;
    let failed = |error: odeon_authority::AuditError| Failure::new(error.code(), error.to_string());
    let mut last = VecDeque::new();
    for record in Records::open(&state).map_err(failed)? {
        if last.len() >= args.tail {
            last.pop_front();
        }
        if args.tail > 0 {
            last.push_back(record);
        }
    }
    let (mut verified, mut count) = (None, None);
    if args.verify {
        let key = SigningKey::load(&state.join(HOST_KEY))
            .map_err(|error| Failure::new(Code::StateUnwritable, error.to_string()))?;
        let report = verify(&state, &key.public()).map_err(failed)?;
        if !report.is_sound() {
            let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
            let message = format!(
                "the audit is not whole, expected an unbroken chain; found: {}",
                findings.join("; ")
            );
            return Err(Failure::new(Code::AuditUnwritable, message)
                .helped("compare it with a copy of audit.head that was kept elsewhere"));
        }
        (verified, count) = (Some(true), Some(report.lines));
    }
    let document = Document {
        audit: last.into(),
        verified,
        lines: count,
    };
    context.out.either(&document, || text(&document))
}

fn text(document: &Document) -> String {
    let mut rows = table(&["seq", "time", "event", "facts"]);
    for record in &document.audit {
        let mut facts = Vec::new();
        let mut kind = "";
        for (name, value) in record.event.as_object().into_iter().flatten() {
            match value.as_str() {
                Some(text) if name == "kind" => kind = text,
                Some(text) => facts.push(format!("{name}={text}")),
                None if value.is_null() => {}
                None => facts.push(format!("{name}={value}")),
            }
        }
        let time = record.time.split('.').next().unwrap_or_default();
        rows.add_row([&record.seq.to_string(), time, kind, &clean(&facts.join(" "))]);
    }
    let mut text = lines(&rows);
    if let Some(count) = document.lines {
        text.push_str(&format!(
            "\nverified: {count} lines, unbroken, head signed by this host"
        ));
    }
    text
}
