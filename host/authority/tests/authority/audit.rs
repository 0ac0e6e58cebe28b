//! What the audit keeps, and what it notices.

mod chain;
mod head;
mod tail;
mod writers;

use std::{
    fs,
    path::{Path, PathBuf},
};

use odeon_authority::{Audit, Event, PublicKey, Records, SigningKey, Text, verify};
use tempfile::TempDir;

use crate::fixture::Host;

fn event(number: usize) -> Event {
    Event::Stop {
        reason: Text::from(format!("number {number}")),
    }
}

/// A host whose audit has this many lines.
fn host_with(lines: usize) -> Host {
    let host = Host::new();
    (1..=lines).for_each(|number| assert_eq!(host.audit.append(event(number)).unwrap(), number as u64));
    host
}

fn log(host: &Host) -> PathBuf {
    host.folder.path().join("audit.jsonl")
}

fn lines(host: &Host) -> Vec<String> {
    fs::read_to_string(log(host))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn an_untouched_audit_is_sound_and_reads_back() {
    let host = host_with(5);
    let report = verify(host.folder.path(), &host.key).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.lines, report.head), (5, Some(5)));
    let records: Vec<_> = Records::open(host.folder.path()).unwrap().collect();
    assert_eq!(
        records.iter().map(|record| record.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    assert_eq!(records[2].event["reason"], "number 3");
    assert_eq!(host.audit.head().unwrap().unwrap().0, 5);
}

/// A folder with a key and an audit of this many lines. Its key is known, so that
/// it can be opened again.
fn audit_with(lines: usize) -> (TempDir, PathBuf, PublicKey, Audit) {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("host.key");
    let key = SigningKey::load_or_create(&pem).unwrap();
    let public = key.public();
    let audit = Audit::open(folder.path(), key).unwrap();
    (1..=lines).for_each(|number| assert!(audit.append(event(number)).is_ok()));
    (folder, pem, public, audit)
}

/// The same audit once more.
fn reopen(folder: &Path, pem: &Path) -> Audit {
    Audit::open(folder, SigningKey::load(pem).unwrap()).unwrap()
}

// Passes by `Text::from`.
#[test]
fn texts_are_bounded_and_plain() {
    let exact = "x".repeat(Text::MAX);
    assert_eq!(Text::from(exact.as_str()).as_str(), exact);
    let cut = Text::from(format!("{exact}y"));
    assert_eq!(cut.as_str(), format!("{exact}…"));
    assert_eq!(Text::from("a\nb\u{1b}[31m").as_str(), "a b [31m");
}
