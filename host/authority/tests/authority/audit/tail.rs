//! The end of the log: cut, torn by a crash, or not the host's.

use std::fs;

use odeon_authority::{AuditError, Records, verify};
use odeon_protocol::Code;

use super::{audit_with, event, host_with, lines, log, reopen};

// Passes by `Audit::tip` (the length).
#[test]
fn a_cut_log_stops_appends() {
    let host = host_with(4);
    let short = lines(&host)[..2].join("\n") + "\n";
    fs::write(log(&host), short).unwrap();
    let error = host.audit.append(event(5)).unwrap_err();
    assert!(matches!(error, AuditError::CutOff { .. }));
    assert_eq!(error.code(), Code::AuditUnwritable);
}

// Passes by `Audit::tip` (completing the last line from the head).
#[test]
fn a_crash_while_writing_the_last_line_loses_nothing() {
    let (folder, pem, public, audit) = audit_with(3);
    drop(audit);
    let path = folder.path().join("audit.jsonl");
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let heads = fs::read(folder.path().join("audit.head")).unwrap();
    for cut in last..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        fs::write(folder.path().join("audit.head"), &heads).unwrap();
        assert!(!verify(folder.path(), &public).unwrap().is_sound());
        let audit = reopen(folder.path(), &pem);
        let report = verify(folder.path(), &public).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(report.lines, 4);
        let records: Vec<_> = Records::open(folder.path()).unwrap().collect();
        assert_eq!(records[2].event["reason"], "number 3");
        assert_eq!(records[3].event["kind"], "recovered");
        drop(audit);
    }
    assert!(!folder.path().join("audit.torn").exists());
}

// Passes by `Audit::move_away`.
#[test]
fn what_does_not_belong_at_the_end_is_moved_away_and_recorded() {
    let (folder, _pem, public, audit) = audit_with(3);
    let path = folder.path().join("audit.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"seq\":4,\"forged\":tr");
    fs::write(&path, &bytes).unwrap();
    audit.append(event(4)).unwrap();
    assert!(verify(folder.path(), &public).unwrap().is_sound());
    let torn = fs::read_to_string(folder.path().join("audit.torn")).unwrap();
    assert!(torn.contains("forged"));
    let kinds: Vec<_> = Records::open(folder.path())
        .unwrap()
        .map(|record| record.event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["stop", "stop", "stop", "recovered", "stop"]);

    // Nor is it put right without a word by whoever only asks for the last line.
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"seq\":6,\"forged\":tr");
    fs::write(&path, &bytes).unwrap();
    let (seq, _) = audit.head().unwrap().unwrap();
    assert_eq!(seq, 6);
    let last = Records::last(folder.path(), 1).unwrap();
    assert_eq!(last[0].event["kind"], "recovered");
}

// Passes by `Audit::tip`: after a power cut a file may have its length but not
// its bytes.
#[test]
fn a_last_line_of_zeros_is_written_again() {
    let host = host_with(3);
    let mut bytes = fs::read(log(&host)).unwrap();
    let last = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    bytes[last..].fill(0);
    fs::write(log(&host), &bytes).unwrap();
    assert_eq!(host.audit.append(event(4)).unwrap(), 5);
    assert!(verify(host.folder.path(), &host.key).unwrap().is_sound());
    assert!(lines(&host)[2].contains("number 3"));
}
