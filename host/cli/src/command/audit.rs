//! `odeon audit`: what was decided and done, from the log itself. Needs no
//! daemon; with `--verify` it also says whether the chain is whole, and with
//! `--export` takes it elsewhere.

use std::path::{Path, PathBuf};

use odeon_authority::{
    AuditError, Exported, PublicKey, Record, Records, Report, SigningKey, export, verify_export, verify_with,
};
use odeon_protocol::Code;
use serde::Serialize;

use super::{Context, trust::read_key};
use crate::{
    failure::Failure,
    output::{Done, clean, lines, table},
    whereabouts::absolute,
};

/// The host's key in the state directory, which signs the head of the audit.
pub(super) const HOST_KEY: &str = "host.key";

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check the chain over all segments and its signed head; a line that was changed, removed, reordered,
    /// inserted or cut off, and a segment that is missing or has another's name, is located
    #[arg(long)]
    verify: bool,
    /// Show this many of the last lines
    #[arg(long, value_name = "N", default_value_t = 20)]
    tail: usize,
    /// Compare with this copy of the head as well
    #[arg(long, value_name = "FILE", requires = "verify")]
    head: Option<PathBuf>,
    /// Write the log and a signed last line to a new file, which can be checked anywhere
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    export: Option<PathBuf>,
    /// Export from this record on
    #[arg(long, value_name = "SEQ", requires = "export")]
    from: Option<u64>,
    /// Check such a file instead of a host's log
    #[arg(long, value_name = "FILE", requires = "verify", conflicts_with = "head")]
    file: Option<PathBuf>,
    /// The host's public key, or its file: who must have signed it
    #[arg(long, value_name = "KEY", requires = "file")]
    key: Option<String>,
}

#[derive(Serialize)]
struct Document {
    audit: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(flatten)]
    report: Option<Verified>,
}

/// What `--verify` says besides.
#[derive(Serialize)]
struct Verified {
    segments: u64,
    first: Option<u64>,
    last: Option<u64>,
    pruned: Option<u64>,
    key: Option<PublicKey>,
}

#[derive(Serialize)]
struct ExportDocument {
    export: Exported,
}

#[derive(Serialize)]
struct FileDocument {
    verified: bool,
    lines: u64,
    first: Option<u64>,
    last: Option<u64>,
    key: Option<PublicKey>,
    /// Whether the key is one that somebody named here.
    vouched: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    if let Some(file) = &args.file {
        return check_file(file, args.key.as_deref(), context);
    }
    let state = context.whereabouts.present_state_dir()?;
    if let Some(to) = &args.export {
        return export_to(&state, &absolute(to)?, args.from, context);
    }
    let audit = Records::last(&state, args.tail).map_err(unaudited)?;
    let report = match args.verify {
        true => {
            let report = verify_with(&state, &host_key(&state)?.public(), args.head.as_deref());
            Some(sound(report.map_err(unaudited)?, "the audit")?)
        }
        false => None,
    };
    let document = Document {
        audit,
        verified: report.as_ref().map(|_| true),
        lines: report.as_ref().map(|report| report.lines),
        report: report.as_ref().map(|report| Verified {
            segments: report.segments,
            first: report.first,
            last: report.head,
            pruned: report.pruned,
            key: report.key,
        }),
    };
    context.out.either(&document, || text(&document))
}

/// Why the audit cannot be read or relied on.
pub(super) fn unaudited(error: AuditError) -> Box<Failure> {
    Failure::new(error.code(), error.to_string())
}

fn host_key(state: &Path) -> Done<SigningKey> {
    SigningKey::load(&state.join(HOST_KEY))
        .map_err(|error| Failure::new(Code::StateUnwritable, error.to_string()))
}

/// The report, unless it found something.
fn sound(report: Report, what: &str) -> Done<Report> {
    if report.is_sound() {
        return Ok(report);
    }
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let more = match report.more {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!(
        "{what} is not whole, expected an unbroken chain; found: {}{more}",
        findings.join("; ")
    );
    let mut failure = Failure::new(Code::AuditUnwritable, message)
        .helped("compare it with an export, or with a copy of the head that was kept elsewhere");
    failure.fault.details = serde_json::to_value(serde_json::json!({
        "findings": report.findings,
        "more": report.more,
    }))
    .ok();
    Err(failure)
}

fn export_to(state: &Path, to: &Path, from: Option<u64>, context: &Context) -> Done {
    let exported = export(state, &host_key(state)?, from, to).map_err(|error| match error {
        AuditError::NothingFrom { .. } => Failure::usage(error.to_string()),
        AuditError::File(error) => error.into(),
        error => unaudited(error),
    })?;
    let document = ExportDocument { export: exported };
    context.out.either(&document, || {
        let Exported { manifest, through } = &document.export;
        let away = match through {
            Some(through) => format!("segments up to record {through} may be taken away"),
            None => "there is a gap before it, so that no segment may be taken away".to_owned(),
        };
        format!(
            "exported: records {} to {} in {}\nsigned:   {}\n{away}",
            manifest.first,
            manifest.last,
            clean(&to.display().to_string()),
            manifest.key
        )
    })
}

fn check_file(file: &Path, key: Option<&str>, context: &Context) -> Done {
    let key = key.map(read_key).transpose()?;
    let report = verify_export(file, key.as_ref()).map_err(|error| match error {
        AuditError::File(error) => error.into(),
        error => unaudited(error),
    })?;
    let report = sound(report, "the export")?;
    let document = FileDocument {
        verified: true,
        lines: report.lines,
        first: report.first,
        last: report.head,
        key: report.key,
        vouched: key.is_some(),
    };
    context.out.either(&document, || {
        let signed = report.key.map(|key| key.to_string()).unwrap_or_default();
        let vouched = match key {
            Some(_) => "",
            None => "\nnobody says here that this is the host's key: compare it, or give it with --key",
        };
        format!(
            "verified: {} lines, records {} to {}, unbroken\nsigned:   {signed}{vouched}",
            report.lines,
            report.first.unwrap_or(0),
            report.head.unwrap_or(0),
        )
    })
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
    if let (Some(count), Some(report)) = (document.lines, &document.report) {
        let segments = match report.segments {
            0 | 1 => String::new(),
            segments => format!(" in {segments} segments"),
        };
        text.push_str(&format!(
            "\nverified: {count} lines{segments}, unbroken, head signed by this host"
        ));
        if let Some(pruned) = report.pruned {
            text.push_str(&format!(
                "\nrecords 1 to {pruned} were exported and may be elsewhere; they are not looked at here"
            ));
        }
    }
    text
}
