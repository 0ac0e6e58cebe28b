//! The head: forged, destroyed, half written, and kept a second time.

use std::{fs, path::Path};

use odeon_authority::{AuditError, Finding, Records, verify};

use super::{audit_with, event, host_with, lines, log, reopen};
use crate::fixture::key;

// Passes by `Head::is_signed_by`, asked by `verify` and by `Audit::tip`.
#[test]
fn a_head_that_is_forged_or_missing_is_found_and_stops_appends() {
    let host = host_with(3);
    let head = host.folder.path().join("audit.head");
    let good = fs::read(&head).unwrap();
    let others = fs::read(host_with(3).folder.path().join("audit.head")).unwrap();
    for forged in [others, vec![b'x'; good.len()]] {
        fs::write(&head, forged).unwrap();
        assert_eq!(
            verify(host.folder.path(), &host.key).unwrap().findings,
            [Finding::HeadForged]
        );
        assert!(matches!(host.audit.append(event(4)), Err(AuditError::HeadForged)));
    }
    for missing in [None, Some(vec![0; good.len()]), Some(Vec::new())] {
        fs::remove_file(&head).unwrap();
        if let Some(bytes) = missing {
            fs::write(&head, bytes).unwrap();
        }
        assert_eq!(
            verify(host.folder.path(), &host.key).unwrap().findings,
            [Finding::HeadMissing]
        );
        assert!(matches!(
            host.audit.append(event(4)),
            Err(AuditError::HeadMissing)
        ));
        fs::write(&head, &good).unwrap();
    }
    assert_eq!(host.audit.append(event(4)).unwrap(), 4);
    assert_eq!(
        verify(host.folder.path(), &key().public()).unwrap().findings,
        [Finding::HeadForged]
    );
}

/// Where the slot of this number begins.
fn slot(seq: u64) -> usize {
    (seq % 2) as usize * 576 * 1024
}

// Passes by `slots::read`: the head before the one that was being written is
// whole, and the log ends with its line.
#[test]
fn a_crash_while_writing_a_head_loses_nothing() {
    for lines in [1, 2, 5] {
        let (folder, pem, public, audit) = audit_with(lines);
        let (log_path, head_path) = (
            folder.path().join("audit.jsonl"),
            folder.path().join("audit.head"),
        );
        let (log, before) = (fs::read(&log_path).unwrap(), fs::read(&head_path).unwrap());
        audit.append(event(lines + 1)).unwrap();
        drop(audit);
        let after = fs::read(&head_path).unwrap();
        let at = slot(lines as u64 + 1);
        let end = at
            + after[at..]
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(after.len() - at);
        for written in [at + 1, at + 9, at + 74, at + 100, end - 20] {
            let mut torn = before.clone();
            torn.resize(after.len(), 0);
            let old = torn.clone();
            torn[at..written].copy_from_slice(&after[at..written]);
            if torn == old {
                continue;
            }
            fs::write(&head_path, torn).unwrap();
            fs::write(&log_path, &log).unwrap();
            let findings = verify(folder.path(), &public).unwrap().findings;
            assert_eq!(findings, [Finding::HeadTorn], "{written}");
            let audit = reopen(folder.path(), &pem);
            let report = verify(folder.path(), &public).unwrap();
            assert!(report.is_sound(), "{:?}", report.findings);
            let records: Vec<_> = Records::open(folder.path()).unwrap().collect();
            assert_eq!(records.len(), lines + 1, "every line that was reported is there");
            assert_eq!(records[lines].event["kind"], "recovered");
            assert_eq!(audit.append(event(9)).unwrap(), lines as u64 + 2);
        }
    }
}

// Passes by `slots::read` and `Audit::note_recovery`: whoever destroys the last
// head to have the last line forgotten leaves a record of that.
#[test]
fn a_destroyed_head_is_on_record() {
    let host = host_with(4);
    let head = host.folder.path().join("audit.head");
    let mut bytes = fs::read(&head).unwrap();
    bytes[slot(4)..slot(4) + 4096].fill(0);
    fs::write(&head, bytes).unwrap();
    fs::write(log(&host), lines(&host)[..3].join("\n") + "\n").unwrap();
    assert_eq!(
        verify(host.folder.path(), &host.key).unwrap().findings,
        [Finding::HeadTorn]
    );
    assert_eq!(host.audit.append(event(5)).unwrap(), 5);
    assert!(lines(&host)[3].contains("\"recovered\""));
}

// Passes by `slots::write`: an append costs no new file and no new name.
#[test]
fn the_head_is_written_in_place() {
    use std::os::unix::fs::MetadataExt as _;
    let host = host_with(2);
    let path = host.folder.path().join("audit.head");
    let facts = |path: &Path| {
        fs::metadata(path)
            .map(|it| (it.ino(), it.len(), it.blocks()))
            .unwrap()
    };
    let before = facts(&path);
    (3..=20).for_each(|number| assert_eq!(host.audit.append(event(number)).unwrap(), number as u64));
    assert_eq!(facts(&path), before);
    let other = host_with(1);
    assert_eq!(facts(&other.folder.path().join("audit.head")).1, before.1);
}

// Passes by `Audit::copy_head` and `Walk::compare`.
#[test]
fn an_audit_that_was_replaced_as_a_whole_is_older_than_its_copy() {
    let (folder, pem, public, audit) = audit_with(0);
    assert_eq!(audit.copy_head().unwrap(), None);
    (1..=3).for_each(|number| assert!(audit.append(event(number)).is_ok()));
    let files = ["audit.jsonl", "audit.head"].map(|name| folder.path().join(name));
    let old = files.clone().map(|path| fs::read(path).unwrap());
    (4..=6).for_each(|number| assert!(audit.append(event(number)).is_ok()));
    let copy = audit.copy_head().unwrap().unwrap();
    assert_eq!(Some((copy.seq, copy.hash)), audit.head().unwrap());
    assert!(verify(folder.path(), &public).unwrap().is_sound());

    files
        .iter()
        .zip(&old)
        .for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    assert_eq!(
        verify(folder.path(), &public).unwrap().findings,
        [Finding::OtherThanCopy {
            seq: 6,
            file: "audit.head.copy".to_owned()
        }]
    );
    assert!(matches!(
        audit.copy_head(),
        Err(AuditError::OlderThanCopy {
            found: 3,
            expected: 6
        })
    ));
    // Grown beyond it again, it is still not the same.
    (4..=7).for_each(|number| assert!(audit.append(event(number)).is_ok()));
    assert_eq!(
        verify(folder.path(), &public).unwrap().findings,
        [Finding::OtherThanCopy {
            seq: 6,
            file: "audit.head.copy".to_owned()
        }]
    );
    // Nor is it taken for the one that goes on from the copy: by whoever made it,
    // and by whoever only finds it.
    let kept = fs::read(folder.path().join("audit.head.copy")).unwrap();
    for audit in [audit, reopen(folder.path(), &pem)] {
        assert!(matches!(
            audit.copy_head(),
            Err(AuditError::OlderThanCopy {
                found: 7,
                expected: 6
            })
        ));
    }
    assert_eq!(fs::read(folder.path().join("audit.head.copy")).unwrap(), kept);
}
