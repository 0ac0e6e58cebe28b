//! The audit taken elsewhere, and the head kept elsewhere.

use std::{fs, path::PathBuf};

use odeon_authority::{
    AuditError, Exported, FileError, Finding, Place, Report, export, verify, verify_export, verify_with,
};

use crate::{
    fixture::key,
    ground::{Ground, event, seq},
};

fn exported(ground: &Ground, from: Option<u64>, name: &str) -> Result<(PathBuf, Exported), AuditError> {
    let path = ground.path().join(name);
    export(ground.path(), &ground.key(), from, &path).map(|exported| (path, exported))
}

fn checked(path: &std::path::Path) -> Report {
    verify_export(path, None).unwrap()
}

/// Enforced by `Copying::continues` and `verify_export`.
#[test]
fn an_export_has_the_log_and_can_be_checked_without_its_host() {
    let ground = Ground::with_segments(3);
    let (path, made) = exported(&ground, None, "all.jsonl").unwrap();
    let all: Vec<String> = ground.log().iter().flat_map(|name| ground.lines(name)).collect();
    let lines = ground.lines("all.jsonl");
    assert_eq!(lines[..all.len()], all);
    assert_eq!(lines.len(), all.len() + 1);
    let last = seq(all.last().unwrap());
    assert_eq!(
        (made.manifest.first, made.manifest.last, made.through),
        (1, last, Some(last))
    );
    let report = verify_export(&path, Some(&ground.public())).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(
        (report.first, report.head, report.lines),
        (Some(1), Some(last), last)
    );
    assert_eq!(checked(&path).key, Some(ground.public()));
    assert_eq!(
        verify_export(&path, Some(&key().public())).unwrap().findings,
        [Finding::ManifestForged]
    );
    // From any record on.
    for from in [2, last / 2, last] {
        let (path, made) = exported(&ground, Some(from), &format!("from-{from}")).unwrap();
        assert_eq!((made.manifest.first, made.manifest.last), (from, last));
        let report = checked(&path);
        assert!(report.is_sound(), "{from}: {:?}", report.findings);
        assert_eq!(report.lines, last - from + 1);
    }
    assert!(ground.report().is_sound());
}

/// Enforced by `Out::new` and `Out::finish`.
#[test]
fn an_export_writes_over_nothing() {
    let ground = Ground::with_segments(1);
    fs::write(ground.path().join("there"), "mine").unwrap();
    let error = exported(&ground, None, "there").unwrap_err();
    assert!(
        matches!(error, AuditError::File(FileError::Taken { .. })),
        "{error}"
    );
    assert_eq!(ground.lines("there"), ["mine"]);
}

#[test]
fn there_is_nothing_to_export_beyond_the_log() {
    let ground = Ground::with_segments(1);
    let last = ground.report().head.unwrap();
    for from in [0, last + 1, u64::MAX] {
        let error = exported(&ground, Some(from), "none").unwrap_err();
        assert!(
            error.to_string().contains(&format!("from 1 to {last}")),
            "{error}"
        );
        assert!(!ground.path().join("none").exists());
    }
}

/// Enforced by `Copying::continues`: an export vouches for what is in it.
#[test]
fn a_broken_chain_is_not_exported() {
    for file in 0..2 {
        let ground = Ground::with_segments(1);
        let name = &ground.log()[file];
        let mut lines = ground.lines(name);
        lines[1] = lines[1].replace("number", "nombre");
        ground.write_lines(name, &lines);
        let error = exported(&ground, None, "none").unwrap_err();
        assert!(
            matches!(&error, AuditError::Broken { file, line: 3 } if file == name),
            "{error}"
        );
        lines.remove(1);
        ground.write_lines(name, &lines);
        assert!(exported(&ground, None, "none").is_err());
    }
    let ground = Ground::with_segments(1);
    let mut lines = ground.lines("audit.jsonl");
    lines.pop();
    ground.write_lines("audit.jsonl", &lines);
    let error = exported(&ground, None, "none").unwrap_err();
    assert!(matches!(error, AuditError::CutOff { .. }), "{error}");
}

/// Enforced by `export` (what is known is not given up): an audit that was put
/// back does not take the place of what was exported.
#[test]
fn an_export_of_an_older_audit_does_not_count() {
    for more in [1, 2] {
        let ground = Ground::with_segments(1);
        let old = ground.files();
        let audit = ground.open();
        (0..2).for_each(|_| assert!(audit.append(event(1)).is_ok()));
        drop(audit);
        exported(&ground, None, "all").unwrap();
        let known = fs::read(ground.path().join("audit.exported")).unwrap();
        // Two records ago; then others, fewer or as many.
        ground.restore(&old);
        fs::write(ground.path().join("audit.exported"), &known).unwrap();
        let audit = ground.open();
        (0..more).for_each(|_| assert!(audit.append(event(2)).is_ok()));
        let error = exported(&ground, None, "other").unwrap_err();
        assert!(matches!(error, AuditError::OlderThanCopy { .. }), "{error}");
        assert_eq!(fs::read(ground.path().join("audit.exported")).unwrap(), known);
        assert!(!ground.path().join("other").exists());
    }
}

/// Enforced by `verify_export`: the last line is signed for all of them.
#[test]
fn whatever_is_changed_in_an_export_is_found_where_it_is() {
    let ground = Ground::with_segments(1);
    let (path, _) = exported(&ground, Some(2), "out").unwrap();
    let lines = ground.lines("out");
    let findings = |lines: &[String]| {
        ground.write_lines("out", lines);
        checked(&path).findings
    };
    let at = |line: usize, seq: u64| Place {
        file: "out".to_owned(),
        line: line as u64 + 1,
        seq,
    };
    let last = lines.len() - 2;
    for line in 0..lines.len() - 1 {
        let seq = line as u64 + 2;
        let mut changed = lines.clone();
        changed[line] = changed[line].replacen("\"time\":\"2", "\"time\":\"1", 1);
        let expected = match line == last {
            true => Finding::Rewritten { seq },
            false => Finding::Changed { at: at(line, seq) },
        };
        assert_eq!(findings(&changed), [expected]);
        let mut removed = lines.clone();
        removed.remove(line);
        let expected = match line == last {
            true => Finding::CutOff {
                last_seq: seq - 1,
                head_seq: seq,
            },
            false => Finding::Removed {
                from_seq: seq,
                to_seq: seq,
                at: at(line, seq + 1),
            },
        };
        assert_eq!(findings(&removed), [expected]);
        let cut = findings(&lines[..line + 1]);
        assert_eq!(cut, [Finding::ManifestMissing], "cut off behind line {line}");
    }
    for (from, to) in [("\"first\":2", "\"first\":1"), ("\"time\":\"2", "\"time\":\"1")] {
        let mut forged = lines.clone();
        let manifest = forged.last_mut().unwrap();
        *manifest = manifest.replace(from, to);
        assert!(findings(&forged).contains(&Finding::ManifestForged), "{from}");
    }
    let mut unfinished = lines.join("\n");
    unfinished.pop();
    fs::write(&path, unfinished).unwrap();
    assert!(checked(&path).findings.contains(&Finding::ManifestMissing));
}

/// Enforced by `verify::beginning` and `Known::read`.
#[test]
fn segments_that_were_exported_may_be_taken_away() {
    let ground = Ground::with_segments(3);
    let firsts = ground.ended();
    let remove = |first: u64| fs::remove_file(ground.path().join(format!("audit.{first}.jsonl"))).unwrap();
    exported(&ground, None, "all").unwrap();
    remove(firsts[0]);
    let report = ground.report();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(
        (report.pruned, report.first),
        (Some(firsts[1] - 1), Some(firsts[1]))
    );
    // What goes on from there counts as well.
    let audit = ground.open();
    while ground.ended().len() < 4 {
        audit.append(event(0)).unwrap();
    }
    let (_, made) = exported(&ground, None, "more").unwrap();
    assert_eq!(
        (made.manifest.first, made.through),
        (firsts[1], Some(made.manifest.last))
    );
    let ended = ground.ended();
    ended.iter().for_each(|first| remove(*first));
    let report = ground.report();
    assert!(report.is_sound(), "{:?}", report.findings);
    audit.append(event(0)).unwrap();
    assert!(ground.report().is_sound());
    // One from its middle on leaves a gap before it.
    let ground = Ground::with_segments(2);
    let made = exported(&ground, Some(3), "part").unwrap().1;
    assert_eq!(made.through, None);
    let second = ground.ended()[1];
    fs::remove_file(ground.path().join("audit.1.jsonl")).unwrap();
    let missing = Finding::SegmentMissing {
        from_seq: 1,
        to_seq: second - 1,
    };
    assert_eq!(ground.report().findings, [missing]);
}

/// Enforced by `Known::read`: who says that something was exported is the host.
#[test]
fn what_was_not_exported_by_the_host_may_not_be_taken_away() {
    let (ground, other) = (Ground::with_segments(1), Ground::with_segments(1));
    exported(&other, None, "all").unwrap();
    fs::copy(
        other.path().join("audit.exported"),
        ground.path().join("audit.exported"),
    )
    .unwrap();
    let next = seq(&ground.lines("audit.jsonl")[0]);
    fs::remove_file(ground.path().join("audit.1.jsonl")).unwrap();
    let missing = Finding::SegmentMissing {
        from_seq: 1,
        to_seq: next - 1,
    };
    assert_eq!(ground.report().findings, [missing]);
}

/// Enforced by `verify::vouched`: what was exported is what there was.
#[test]
fn a_log_that_was_rewritten_after_an_export_is_not_the_exported_one() {
    let ground = Ground::with_segments(1);
    let old = ground.files();
    let audit = ground.open();
    (0..2).for_each(|_| assert!(audit.append(event(1)).is_ok()));
    let (_, made) = exported(&ground, None, "all").unwrap();
    let known = fs::read(ground.path().join("audit.exported")).unwrap();
    drop(audit);
    ground.restore(&old);
    let audit = ground.open();
    (0..4).for_each(|_| assert!(audit.append(event(2)).is_ok()));
    fs::write(ground.path().join("audit.exported"), known).unwrap();
    let other = Finding::OtherThanCopy {
        seq: made.manifest.last,
        file: "audit.exported".to_owned(),
    };
    assert_eq!(ground.report().findings, [other]);
}

/// Enforced by `Audit::keep_head`, `Audit::say_elsewhere` and
/// `verify::vouched`.
#[test]
fn a_head_that_is_kept_elsewhere_finds_an_audit_that_was_put_back() {
    let ground = Ground::with_segments(1);
    let away = tempfile::tempdir().unwrap();
    let place = away.path().join("head");
    let old = ground.files();
    let audit = ground.open();
    audit.say_elsewhere(Some(&place)).unwrap();
    assert_eq!(
        ground.report().findings,
        [Finding::CopyMissing {
            file: place.display().to_string()
        }],
        "it was to be kept and is not"
    );
    (0..2).for_each(|_| assert!(audit.append(event(1)).is_ok()));
    let seq = audit.keep_head(&place).unwrap().unwrap();
    assert_eq!(Some(seq), ground.report().head);
    assert!(ground.report().is_sound());
    let written = fs::metadata(&place).unwrap().modified().unwrap();
    audit.keep_head(&place).unwrap();
    assert_eq!(
        fs::metadata(&place).unwrap().modified().unwrap(),
        written,
        "nothing new, nothing written"
    );
    drop(audit);

    // Everything in the state directory as it was two records ago.
    ground.restore(&old);
    assert!(ground.report().is_sound(), "by itself it is whole");
    let other = [Finding::OtherThanCopy {
        seq,
        file: place.display().to_string(),
    }];
    let report = verify_with(ground.path(), &ground.public(), Some(&place)).unwrap();
    assert_eq!(report.findings, other);
    let audit = ground.open();
    audit.say_elsewhere(Some(&place)).unwrap();
    assert_eq!(verify(ground.path(), &ground.public()).unwrap().findings, other);
    assert!(matches!(
        audit.keep_head(&place),
        Err(AuditError::OlderThanCopy { .. })
    ));
    (0..2).for_each(|_| assert!(audit.append(event(2)).is_ok()));
    assert_eq!(ground.report().findings, other, "as long as it was, and another");
    assert!(matches!(
        audit.keep_head(&place),
        Err(AuditError::OlderThanCopy { .. })
    ));
    // Grown beyond it, it does not continue it either.
    assert!(audit.append(event(3)).is_ok());
    let kept = fs::read(&place).unwrap();
    assert!(matches!(
        audit.keep_head(&place),
        Err(AuditError::OlderThanCopy { .. })
    ));
    assert_eq!(fs::read(&place).unwrap(), kept);
    audit.say_elsewhere(None).unwrap();
    assert!(ground.report().is_sound());
}

/// Enforced by `HeadCopy::is_signed_by`, asked by `Audit::keep_head` and
/// `verify::vouched`.
#[test]
fn a_copy_of_somebody_elses_head_is_found_and_left_alone() {
    let (ground, other) = (Ground::with_segments(1), Ground::with_segments(1));
    let away = tempfile::tempdir().unwrap();
    for (name, bytes) in [("theirs", None), ("nonsense", Some(&b"nonsense"[..]))] {
        let place = away.path().join(name);
        match bytes {
            None => drop(other.open().keep_head(&place).unwrap()),
            Some(bytes) => fs::write(&place, bytes).unwrap(),
        }
        let before = fs::read(&place).unwrap();
        let file = place.display().to_string();
        let report = verify_with(ground.path(), &ground.public(), Some(&place)).unwrap();
        assert_eq!(report.findings, [Finding::CopyForged { file }]);
        let error = ground.open().keep_head(&place).unwrap_err();
        assert!(matches!(error, AuditError::ForeignCopy { .. }), "{error}");
        assert_eq!(fs::read(&place).unwrap(), before);
    }
}

/// Enforced by `Walk::fill` (`MAX_GAPS`): without it this takes minutes. What has
/// no room is told all the same.
#[test]
fn a_file_of_gaps_within_gaps_is_checked_in_bounded_memory() {
    const LINES: u64 = 300_000;
    let ground = Ground::new();
    let line = |seq: u64| format!(r#"{{"seq":{seq},"prev":"{}","event":{{}}}}"#, "0".repeat(64));
    let far = 1 << 40;
    let lines: Vec<String> = [1, far]
        .into_iter()
        .chain((1..=LINES).map(|n| n * 3))
        .map(line)
        .collect();
    ground.write_lines("made", &lines);
    let report = checked(&ground.path().join("made"));
    let told = report.findings.len() as u64 + report.more;
    assert!(
        told > LINES,
        "each line, and some of what is missing before it: {told}"
    );
}
