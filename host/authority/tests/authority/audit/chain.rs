//! A log whose lines are not the ones that the host wrote.

use std::fs;

use odeon_authority::{Finding, Place, verify};

use super::{host_with, lines, log};
use crate::fixture::Host;

fn findings_after(host: &Host, lines: &[String]) -> Vec<Finding> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(log(host), text).unwrap();
    verify(host.folder.path(), &host.key).unwrap().findings
}

/// A line of the log that never rotated, where line and record have one number
/// unless somebody changed that.
fn at(line: u64, seq: u64) -> Place {
    Place {
        file: "audit.jsonl".to_owned(),
        line,
        seq,
    }
}

// Passes by `verify::Walk::step` (the link to the line before).
#[test]
fn a_changed_line_is_found() {
    for at in 0..4 {
        let host = host_with(5);
        let mut lines = lines(&host);
        lines[at] = lines[at].replace("number", "nombre");
        assert_eq!(
            findings_after(&host, &lines),
            [Finding::Changed {
                at: self::at(at as u64 + 1, at as u64 + 1)
            }]
        );
    }
}

// Passes by `verify::Walk::end` (the head is signed for the last line).
#[test]
fn a_changed_last_line_is_found() {
    let host = host_with(5);
    let mut lines = lines(&host);
    lines[4] = lines[4].replace("number", "nombre");
    assert_eq!(findings_after(&host, &lines), [Finding::Rewritten { seq: 5 }]);
}

// Passes by `verify::Walk::step` (numbers) and `Walk::end`.
#[test]
fn removed_lines_are_found() {
    let host = host_with(6);
    let all = lines(&host);
    let without = |gone: &[usize]| -> Vec<String> {
        all.iter()
            .enumerate()
            .filter(|(at, _)| !gone.contains(at))
            .map(|(_, line)| line.clone())
            .collect()
    };
    assert_eq!(
        findings_after(&host, &without(&[0])),
        [Finding::Removed {
            from_seq: 1,
            to_seq: 1,
            at: at(1, 2)
        }]
    );
    assert_eq!(
        findings_after(&host, &without(&[2, 3])),
        [Finding::Removed {
            from_seq: 3,
            to_seq: 4,
            at: at(3, 5)
        }]
    );
    assert_eq!(
        findings_after(&host, &without(&[5])),
        [Finding::CutOff {
            last_seq: 5,
            head_seq: 6
        }]
    );
    assert_eq!(
        findings_after(&host, &without(&[3, 4, 5])),
        [Finding::CutOff {
            last_seq: 3,
            head_seq: 6
        }]
    );
    assert_eq!(
        findings_after(&host, &[]),
        [Finding::CutOff {
            last_seq: 0,
            head_seq: 6
        }]
    );
    fs::remove_file(log(&host)).unwrap();
    let report = verify(host.folder.path(), &host.key).unwrap();
    assert_eq!(
        report.findings,
        [Finding::CutOff {
            last_seq: 0,
            head_seq: 6
        }]
    );
}

// Passes by `verify::Walk::fill`.
#[test]
fn reordered_lines_are_found() {
    let host = host_with(6);
    let mut lines = lines(&host);
    lines.swap(2, 3);
    assert_eq!(
        findings_after(&host, &lines),
        [Finding::Reordered { at: at(4, 3) }]
    );
}

// Passes by `verify::Walk::step` (a number that was there already).
#[test]
fn inserted_lines_are_found() {
    let host = host_with(5);
    let all = lines(&host);
    let mut copied = all.clone();
    copied.insert(4, all[1].clone());
    assert_eq!(
        findings_after(&host, &copied),
        [Finding::Inserted { at: at(5, 2) }]
    );
    // One that is linked as it should be, before the line it stands for.
    let mut forged = all.clone();
    forged.insert(2, all[2].replace("number", "nombre"));
    assert_eq!(
        findings_after(&host, &forged),
        [Finding::Inserted { at: at(4, 3) }]
    );
    let mut noise = all;
    noise.insert(2, "nonsense".to_owned());
    assert!(findings_after(&host, &noise).contains(&Finding::Unreadable { at: at(3, 3) }));
}

// Passes by `verify::Walk::end`.
#[test]
fn a_line_the_host_did_not_write_is_found() {
    let host = host_with(2);
    let other = host_with(3);
    let mut longer = lines(&host);
    // Linked by somebody who knows how, but cannot sign.
    let prev = odeon_protocol::Digest::of(longer[1].as_bytes());
    longer.push(format!(
        "{{\"seq\":3,\"time\":\"t\",\"prev\":\"{prev}\",\"event\":{{\"kind\":\"stop\"}}}}"
    ));
    assert_eq!(
        findings_after(&host, &longer),
        [Finding::Appended { from_seq: 3 }]
    );
    // A whole other chain under this host's head.
    assert!(!findings_after(&host, &lines(&other)[..2]).is_empty());
}
