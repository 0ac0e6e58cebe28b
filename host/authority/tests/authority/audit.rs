//! What the audit keeps, and what it notices.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use odeon_authority::{
    Audit, AuditError, Coalescer, Event, Finding, Noted, Place, Records, Repeated, SigningKey, Text, verify,
};
use odeon_protocol::Code;

use crate::fixture::{Host, key};

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
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("host.key");
        let key = SigningKey::load_or_create(&pem).unwrap();
        let public = key.public();
        let audit = Audit::open(folder.path(), key).unwrap();
        (1..=lines).for_each(|number| assert!(audit.append(event(number)).is_ok()));
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

// Passes by `Held::is_still`: what is held open is not written to for ever when
// another file stands in its place.
#[test]
fn an_audit_that_is_moved_away_is_begun_anew() {
    let host = host_with(3);
    let folder = host.folder.path();
    for name in ["audit.jsonl", "audit.head"] {
        fs::rename(folder.join(name), folder.join(format!("old.{name}"))).unwrap();
    }
    assert_eq!(host.audit.append(event(1)).unwrap(), 1);
    assert_eq!(lines(&host).len(), 1);
    fs::rename(folder.join("old.audit.jsonl"), log(&host)).unwrap();
    assert!(matches!(
        host.audit.append(event(2)),
        Err(AuditError::CutOff { .. }) | Ok(3)
    ));
}

// Passes by `files::wait_for`.
#[test]
fn timed_a_lock_that_is_never_given_back_ends_the_wait() {
    let host = host_with(1);
    let lock = fs::File::open(host.folder.path().join("audit.lock")).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    let waiting: Vec<_> = std::thread::scope(|scope| {
        let append = || host.audit.append(event(2));
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(append)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(7)).contains(&took),
        "{took:?}"
    );
    for error in waiting.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.code(), Code::AuditUnwritable);
        assert!(error.to_string().contains("audit.lock"), "{error}");
    }
    lock.unlock().unwrap();
    assert_eq!(host.audit.append(event(2)).unwrap(), 2);
}

// Passes by `Audit::copy_head` and `Walk::compare`.
#[test]
fn an_audit_that_was_replaced_as_a_whole_is_older_than_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("host.key");
    let public = SigningKey::load_or_create(&pem).unwrap().public();
    let audit = reopen(folder.path(), &pem);
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

/// A host whose key is known, so that its audit can be opened again.
fn reopen(folder: &Path, pem: &Path) -> Audit {
    Audit::open(folder, SigningKey::load(pem).unwrap()).unwrap()
}

// Passes by `Audit::tip` (completing the last line from the head).
#[test]
fn a_crash_while_writing_the_last_line_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("host.key");
    let key = SigningKey::load_or_create(&pem).unwrap();
    let public = key.public();
    let audit = Audit::open(folder.path(), key).unwrap();
    (1..=3).for_each(|number| assert!(audit.append(event(number)).is_ok()));
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
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("host.key");
    let key = SigningKey::load_or_create(&pem).unwrap();
    let public = key.public();
    let audit = Audit::open(folder.path(), key).unwrap();
    (1..=3).for_each(|number| assert!(audit.append(event(number)).is_ok()));
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

// Passes by the lock in `Audit::append`.
#[test]
fn several_writers_share_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("host.key");
    let public = SigningKey::load_or_create(&pem).unwrap().public();
    let path = Arc::new(folder.path().to_owned());
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (path, pem) = (path.clone(), pem.clone());
            std::thread::spawn(move || {
                let audit = reopen(&path, &pem);
                (0..10).for_each(|number| assert!(audit.append(event(number)).is_ok()));
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let report = verify(folder.path(), &public).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.lines, 40);
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

fn denial(target: usize) -> Repeated {
    Repeated::Denial {
        grant: Text::from("tcp"),
        target: Text::from(format!("10.0.0.1:{target}")),
        reason: Text::from("no tcp grant names it"),
        rule: None,
        chain: Vec::new(),
    }
}

/// The line that is to be written, if one is.
fn line(noted: Noted) -> Option<Event> {
    match noted {
        Noted::Due(due) => Some(due.event()),
        Noted::Counted | Noted::NotOnRecord => None,
    }
}

// Passes by `Coalescer::note` (counting, and the bound on distinct targets).
#[test]
fn a_million_denials_cost_a_bounded_number_of_lines() {
    let plugin = "calc".parse().unwrap();
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    let start = Instant::now();
    // Ten seconds' worth of them, to a thousand different targets.
    let mut events: Vec<Event> = (0..1_000_000_usize)
        .filter_map(|number| {
            let now = start + Duration::from_micros(9 * number as u64);
            line(coalescer.note(&plugin, denial(number % 1_000), now))
        })
        .collect();
    assert_eq!(events.len(), Coalescer::MAX_DISTINCT + 1);
    events.extend(coalescer.finish());
    let counted: u64 = events
        .iter()
        .map(|event| match event {
            Event::Denial { count, .. } => *count,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(counted, 1_000_000);
    assert!(events.len() <= 2 * (Coalescer::MAX_DISTINCT + 1));
}

// Passes by `Repeated::lumped`.
#[test]
fn the_name_of_a_secret_is_told_whatever_else_the_plugin_did() {
    let plugin = "calc".parse().unwrap();
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    let now = Instant::now();
    let reveal = |number: usize| Repeated::SecretReveal {
        secret: Text::from(format!("secret-{number}")),
    };
    for number in 0..200 {
        coalescer.note(&plugin, denial(number), now);
    }
    for number in 0..100 {
        let event = line(coalescer.note(&plugin, reveal(number), now));
        let expected = Text::from(format!("secret-{number}"));
        assert!(
            matches!(&event, Some(Event::SecretReveal { secret, .. }) if *secret == expected),
            "{event:?}"
        );
    }
    // Nor do secrets take the room of denials.
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    for number in 0..100 {
        coalescer.note(&plugin, reveal(number), now);
    }
    assert_eq!(
        coalescer.note(&plugin, denial(1), now),
        Coalescer::new(Duration::from_secs(10)).note(&plugin, denial(1), now)
    );
}

#[test]
fn the_first_denial_is_written_at_once_and_repeats_after_an_interval_and_then_after_two() {
    let plugin = "calc".parse().unwrap();
    let interval = Duration::from_secs(10);
    let mut coalescer = Coalescer::new(interval);
    let start = Instant::now();
    let count = |noted: Noted| match line(noted) {
        Some(Event::Denial { count, .. }) => Some(count),
        Some(other) => panic!("{other:?}"),
        None => None,
    };
    assert_eq!(count(coalescer.note(&plugin, denial(1), start)), Some(1));
    assert_eq!(count(coalescer.note(&plugin, denial(1), start)), None);
    assert!(coalescer.flush(start + interval / 2).is_empty());
    assert_eq!(
        coalescer
            .flush(start + interval)
            .into_iter()
            .map(Noted::Due)
            .map(count)
            .collect::<Vec<_>>(),
        [Some(1)]
    );
    assert_eq!(count(coalescer.note(&plugin, denial(1), start + interval)), None);
    assert_eq!(
        count(coalescer.note(&plugin, denial(1), start + interval * 2)),
        None
    );
    assert_eq!(
        count(coalescer.note(&plugin, denial(1), start + interval * 3)),
        Some(3)
    );
}

// Passes by `Repeated::kin` and `Repeated::lumped`: whoever is denied much hides
// no use of a secret behind it.
#[test]
fn a_shown_secret_is_named_however_many_denials_came_before() {
    let plugin = "calc".parse().unwrap();
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    let now = Instant::now();
    for target in 0..10 * Coalescer::MAX_DISTINCT {
        coalescer.note(&plugin, denial(target), now);
    }
    for secret in ["one", "two"] {
        let what = Repeated::SecretReveal {
            secret: Text::from(secret),
        };
        match line(coalescer.note(&plugin, what, now)) {
            Some(Event::SecretReveal { secret: shown, .. }) => assert_eq!(shown.as_str(), secret),
            other => panic!("{other:?}"),
        }
    }
    // And the other way round: what was shown takes no place of what is denied.
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    for secret in 0..10 * Coalescer::MAX_DISTINCT {
        let secret = Text::from(format!("secret-{secret}"));
        coalescer.note(&plugin, Repeated::SecretReveal { secret }, now);
    }
    match line(coalescer.note(&plugin, denial(1), now)) {
        Some(Event::Denial { grant, .. }) => assert_eq!(grant.as_str(), "tcp"),
        other => panic!("{other:?}"),
    }
}
