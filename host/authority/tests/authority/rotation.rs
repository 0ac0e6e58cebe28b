//! A log that goes on in segments: what ends one, and what a crash leaves.

use std::fs;

use odeon_authority::{Audit, AuditError, ByteSize, Event, Finding, Records, Text};
use odeon_protocol::{Code, Digest};

use crate::ground::{Files, Ground, SEGMENT, SLOT, event, seq};

/// Enforced by `Audit::write` and `Audit::rotate`.
#[test]
fn a_log_that_would_grow_beyond_its_size_goes_on_in_a_new_segment() {
    let ground = Ground::with_segments(3);
    for name in ground.log() {
        let lines = ground.lines(&name);
        let size = fs::metadata(ground.path().join(&name)).unwrap().len();
        assert!(size <= SEGMENT, "{name}: {size}");
        let last: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        if name == "audit.jsonl" {
            continue;
        }
        assert!(lines.len() > 2, "it is used up before the next is begun");
        assert_eq!(last["event"]["kind"], "rotate");
        assert_eq!(name, format!("audit.{}.jsonl", last["event"]["first"]));
        assert_eq!(last["event"]["first"], seq(&lines[0]));
        assert_eq!(last["event"]["next"], last["seq"].as_u64().unwrap() + 1);
    }
    let report = ground.report();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.segments, report.first), (4, Some(1)));
    let seqs: Vec<u64> = Records::open(ground.path()).unwrap().map(|it| it.seq).collect();
    assert_eq!(seqs, (1..=report.lines).collect::<Vec<_>>());
    assert_eq!(Some(report.lines), report.head);
    let last = Records::last(ground.path(), 8).unwrap();
    let last: Vec<u64> = last.iter().map(|record| record.seq).collect();
    assert_eq!(last, seqs[seqs.len() - 8..], "over the end of a segment");
}

/// Enforced by `Audit::write`: a segment has a line in any case.
#[test]
fn a_line_that_is_longer_than_a_segment_has_one_of_its_own() {
    let ground = Ground::new();
    let audit = ground.open();
    let long = || Event::TrustChange {
        change: Text::from("x"),
        principal: Text::from("x".repeat(512)),
    };
    let tiny = Audit::open_sized(ground.path(), ground.key(), ByteSize::new(0)).unwrap();
    drop(audit);
    (0..4).for_each(|_| assert!(tiny.append(long()).is_ok()));
    assert_eq!(ground.ended(), [1, 3, 5]);
    assert!(ground.report().is_sound());
}

/// Enforced by the lock of `Audit::in_turn`, and by `Held::is_still`: whoever
/// holds a segment open that another process ended writes to the next.
#[test]
fn several_writers_rotate_one_chain() {
    let ground = Ground::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let audit = ground.open();
                (0..20).for_each(|number| assert!(audit.append(event(number)).is_ok()));
            });
        }
    });
    let report = ground.report();
    assert!(report.is_sound(), "{:?}", report.findings);
    let rotated = ground.ended().len() as u64;
    assert!(rotated > 5);
    assert_eq!(report.lines, 80 + rotated);
}

/// What the folder looks like after each step of a rotation. The head's slots
/// are for even and odd numbers.
fn states(ground: &Ground) -> Vec<(String, Files)> {
    let audit = ground.open();
    let (mut before, mut after) = (Files::new(), ground.files());
    while ground.ended().is_empty() {
        before = after;
        audit.append(event(1)).unwrap();
        after = ground.files();
    }
    let ended = after["audit.1.jsonl"].clone();
    let whole = after["audit.jsonl"].clone();
    let rotate = ended[..ended.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    assert_eq!(ended[..rotate], before["audit.jsonl"]);
    let last = seq(std::str::from_utf8(&ended[rotate..ended.len() - 1]).unwrap()) as usize;
    let slot = |files: &Files, of: usize| {
        let mut bytes = files["audit.head"].clone();
        bytes.resize(2 * SLOT, 0);
        bytes[of % 2 * SLOT..][..SLOT].to_vec()
    };
    let head = |even: Vec<u8>, odd: Vec<u8>| [even, odd].concat();
    let with = |files: &Files, of: usize, new: Vec<u8>| match of % 2 {
        0 => head(new, slot(files, 1)),
        _ => head(slot(files, 0), new),
    };
    // The head of the rotate line beside the one before it.
    let rotating = with(&before, last, slot(&after, last));
    let state = |head: &[u8], log: Option<&[u8]>, is_ended: bool| {
        let mut files = before.clone();
        files.insert("audit.head".into(), head.to_vec());
        files.remove("audit.jsonl");
        files.extend(log.map(|log| ("audit.jsonl".to_owned(), log.to_vec())));
        files.extend(is_ended.then(|| ("audit.1.jsonl".to_owned(), ended.clone())));
        files
    };
    let mut states = Vec::new();
    for cut in [rotate, rotate + 1, ended.len() - 1] {
        let name = format!("2. rotate in the head, log cut at {cut}");
        states.push((name, state(&rotating, Some(&ended[..cut]), false)));
    }
    states.push((
        "3. rotate in the log".into(),
        state(&rotating, Some(&ended), false),
    ));
    states.push(("4. renamed".into(), state(&rotating, None, true)));
    states.push(("5. begun".into(), state(&rotating, Some(b""), true)));
    let next = slot(&after, last + 1);
    let full = with(
        &Files::from([("audit.head".into(), rotating.clone())]),
        last + 1,
        next.clone(),
    );
    for (log, name) in [
        (None, "no log"),
        (Some(0), "an empty log"),
        (Some(1), "a byte"),
        (Some(whole.len() - 1), "no end"),
    ] {
        let log = log.map(|cut| &whole[..cut]);
        states.push((
            format!("6. head of the next segment, {name}"),
            state(&full, log, true),
        ));
    }
    let mut half = next;
    half[100..].fill(0);
    let half = with(&Files::from([("audit.head".into(), rotating)]), last + 1, half);
    states.push((
        "5. begun, and the next head torn".into(),
        state(&half, Some(b""), true),
    ));
    states
}

/// Enforced by `Audit::tip`: every state of the table in `audit/tip.rs` is
/// completed by the next start, and nothing that was reported is lost.
#[test]
fn a_crash_at_any_step_of_a_rotation_loses_nothing() {
    let ground = Ground::new();
    let states = states(&ground);
    let reported: Vec<u64> = (1..=seq(ground.lines("audit.1.jsonl").last().unwrap())).collect();
    for (name, files) in states {
        ground.restore(&files);
        let findings = ground.report().findings;
        let unfinished = name.starts_with('2') || name.starts_with('6');
        let is_expected = |finding: &Finding| match finding {
            Finding::CutOff { .. } | Finding::Unfinished { .. } => unfinished,
            Finding::HeadTorn => name.contains("torn"),
            _ => false,
        };
        assert!(findings.iter().all(is_expected), "{name}: {findings:?}");
        assert_eq!(
            findings.is_empty(),
            !unfinished && !name.contains("torn"),
            "{name}"
        );
        drop(ground.open());
        let report = ground.report();
        assert!(report.is_sound(), "{name}: {:?}", report.findings);
        assert_eq!(ground.ended(), [1], "{name}");
        let audit = ground.open();
        let number = audit.append(event(2)).unwrap();
        let report = ground.report();
        assert!(report.is_sound(), "{name}: {:?}", report.findings);
        let records: Vec<_> = Records::open(ground.path()).unwrap().collect();
        let seqs: Vec<u64> = records.iter().map(|record| record.seq).collect();
        assert_eq!(seqs, (1..=number).collect::<Vec<_>>(), "{name}");
        assert_eq!(seqs[..reported.len()], reported, "{name}");
        let recovered = records
            .iter()
            .filter(|record| record.event["kind"] == "recovered");
        assert_eq!(
            recovered.count(),
            usize::from(unfinished || name.contains("torn")),
            "{name}: what had to be put right is on record"
        );
        assert!(!ground.path().join("audit.torn").exists(), "{name}");
    }
}

/// Enforced by `Audit::end_again`.
#[test]
fn what_stands_in_a_log_that_was_not_begun_is_moved_away() {
    let ground = Ground::new();
    let (_, mut files) = states(&ground).remove(5);
    files.insert("audit.jsonl".into(), b"{\"seq\":9,\"forged".to_vec());
    ground.restore(&files);
    ground.open().append(event(2)).unwrap();
    let torn = fs::read_to_string(ground.path().join("audit.torn")).unwrap();
    assert!(torn.contains("forged"));
    assert!(ground.report().is_sound());
}

/// Enforced by `tip::ends_with` and `Audit::close`: nothing is written over.
#[test]
fn a_file_in_the_way_of_a_segment_stops_appends_and_stays() {
    let ground = Ground::new();
    let states = states(&ground);
    let (_, rotating) = &states[3];
    let mut blocked = rotating.clone();
    blocked.insert("audit.1.jsonl".into(), b"something else\n".to_vec());
    ground.restore(&blocked);
    let error = ground.reopen().unwrap_err();
    assert!(matches!(error, AuditError::SegmentDamaged { .. }), "{error}");
    assert_eq!(error.code(), Code::AuditUnwritable);
    assert_eq!(ground.lines("audit.1.jsonl"), ["something else"]);
    // Before its turn has come.
    let ground = Ground::new();
    let audit = ground.open();
    audit.append(event(1)).unwrap();
    fs::write(ground.path().join("audit.1.jsonl"), "something else\n").unwrap();
    let error = (0..20).find_map(|_| audit.append(event(1)).err()).unwrap();
    assert!(error.to_string().contains("audit.1.jsonl"), "{error}");
    fs::remove_file(ground.path().join("audit.1.jsonl")).unwrap();
    audit.append(event(1)).unwrap();
    assert!(ground.report().is_sound());
}

/// Enforced by `Audit::tip` (`segments::list`): nothing is begun anew beside
/// what is left of the old.
#[test]
fn segments_without_a_head_stop_appends() {
    let ground = Ground::with_segments(1);
    for name in ["audit.jsonl", "audit.head"] {
        fs::remove_file(ground.path().join(name)).unwrap();
    }
    assert!(matches!(ground.reopen(), Err(AuditError::HeadMissing)));
    assert_eq!(ground.report().findings, [Finding::HeadMissing]);
}

/// Enforced by `Audit::tip` (the length): the end of the last segment that has
/// ended is looked at as long as nothing else is.
#[test]
fn a_segment_that_is_gone_before_the_next_is_begun_stops_appends() {
    let ground = Ground::new();
    let (_, mut files) = states(&ground).remove(5);
    files.remove("audit.1.jsonl");
    ground.restore(&files);
    assert!(matches!(ground.reopen(), Err(AuditError::CutOff { .. })));
}

/// Enforced by `chain::message`: the number of the segment is signed.
#[test]
fn a_head_says_whose_segment_it_is() {
    let ground = Ground::with_segments(1);
    let path = ground.path().join("audit.head");
    let mut bytes = fs::read(&path).unwrap();
    let next = seq(&ground.lines("audit.jsonl")[0]);
    let last = seq(ground.lines("audit.jsonl").last().unwrap()) as usize;
    let slot = &mut bytes[last % 2 * SLOT..];
    let length: usize = std::str::from_utf8(&slot[..8]).unwrap().parse().unwrap();
    let text = String::from_utf8(slot[74..74 + length].to_vec()).unwrap();
    let (old, new) = (
        format!("\"segment\":{next},"),
        format!("\"segment\":{},", next + 1),
    );
    assert!(text.contains(&old) && old.len() == new.len(), "{text}");
    let text = text.replace(&old, &new);
    let sum: String = Digest::of(text.as_bytes())
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    slot[9..73].copy_from_slice(sum.as_bytes());
    slot[74..74 + length].copy_from_slice(text.as_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(ground.report().findings.contains(&Finding::HeadForged));
    assert!(matches!(ground.reopen(), Err(AuditError::HeadForged)));
}
