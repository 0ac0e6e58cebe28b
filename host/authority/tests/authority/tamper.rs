//! Somebody's hands in the log: whatever is changed in whichever segment is
//! found, and said where.

use std::fs;

use odeon_authority::{Finding, Place};

use crate::ground::{Ground, seq};

/// A log, its files, and what is in them.
struct Log {
    ground: Ground,
    files: Vec<(String, Vec<String>)>,
}

impl Log {
    fn new() -> Self {
        let ground = Ground::with_segments(3);
        let files = ground.log().into_iter().map(|name| {
            let lines = ground.lines(&name);
            (name, lines)
        });
        let files = files.collect();
        Log { ground, files }
    }

    /// Every line: file, which of its lines from 0, its number.
    fn every(&self) -> Vec<(usize, usize, u64)> {
        let numbered = self.files.iter().enumerate().flat_map(|(file, (_, lines))| {
            let lines = lines.iter().enumerate();
            lines.map(move |(line, text)| (file, line, seq(text)))
        });
        numbered.collect()
    }

    /// Where a line of this file stands.
    fn at(&self, file: usize, line: usize, seq: u64) -> Place {
        Place {
            file: self.files[file].0.clone(),
            line: line as u64 + 1,
            seq,
        }
    }

    /// The last number.
    fn last(&self) -> u64 {
        self.every().last().unwrap().2
    }

    /// What is found when one file has other lines, which are then put back.
    fn with(&self, file: usize, change: impl FnOnce(&mut Vec<String>)) -> Vec<Finding> {
        let (name, lines) = &self.files[file];
        let mut changed = lines.clone();
        change(&mut changed);
        self.ground.write_lines(name, &changed);
        let findings = self.ground.report().findings;
        self.ground.write_lines(name, lines);
        findings
    }
}

/// Enforced by `Walk::step` (the link to the line before, over the end of a
/// segment) and `Walk::end`.
#[test]
fn a_changed_line_of_any_segment_is_found_where_it_is() {
    let log = Log::new();
    for (file, line, seq) in log.every() {
        let findings = log.with(file, |lines| {
            lines[line] = lines[line].replacen("\"time\":\"2", "\"time\":\"1", 1)
        });
        let expected = match seq == log.last() {
            true => Finding::Rewritten { seq },
            false => Finding::Changed {
                at: log.at(file, line, seq),
            },
        };
        assert_eq!(findings, [expected], "{file} {line}");
    }
    assert!(log.ground.report().is_sound());
}

/// Enforced by `Walk::step` (numbers) and `Walk::end`.
#[test]
fn a_removed_line_of_any_segment_is_found_where_it_was() {
    let log = Log::new();
    let all = log.every();
    for (index, (file, line, seq)) in all.iter().copied().enumerate() {
        let findings = log.with(file, |lines| {
            lines.remove(line);
        });
        let expected = match all.get(index + 1) {
            None => Finding::CutOff {
                last_seq: seq - 1,
                head_seq: seq,
            },
            Some((next, at, next_seq)) => Finding::Removed {
                from_seq: seq,
                to_seq: seq,
                // What came after it has moved up, if it is in the same file.
                at: log.at(*next, *at - usize::from(*next == file), *next_seq),
            },
        };
        assert_eq!(findings, [expected], "{file} {line}");
    }
}

/// Enforced by `Walk::fill`.
#[test]
fn reordered_lines_of_any_segment_are_found_where_they_are() {
    let log = Log::new();
    for (file, line, seq) in log.every() {
        let (_, lines) = &log.files[file];
        // The last line of all is compared with the head instead.
        if line + 1 >= lines.len() || seq + 1 == log.last() {
            continue;
        }
        let findings = log.with(file, |lines| lines.swap(line, line + 1));
        let at = log.at(file, line + 1, seq);
        assert!(
            findings.contains(&Finding::Reordered { at }),
            "{file} {line}: {findings:?}"
        );
    }
}

/// Enforced by `Walk::step` (a number that was there already).
#[test]
fn an_inserted_line_of_any_segment_is_found_where_it_is() {
    let log = Log::new();
    for (file, line, seq) in log.every() {
        let findings = log.with(file, |lines| lines.insert(line + 1, lines[line].clone()));
        let at = log.at(file, line + 1, seq);
        assert_eq!(findings, [Finding::Inserted { at }], "{file} {line}");
        let findings = log.with(file, |lines| lines.insert(line + 1, "nonsense".to_owned()));
        let at = log.at(file, line + 1, seq + 1);
        assert!(
            findings.contains(&Finding::Unreadable { at }),
            "{file} {line}: {findings:?}"
        );
    }
}

/// Enforced by `Walk::step` and `Walk::end`: at whatever line, in whatever
/// segment.
#[test]
fn a_segment_that_is_cut_off_is_found() {
    let log = Log::new();
    for (file, line, seq) in log.every() {
        let findings = log.with(file, |lines| lines.truncate(line));
        let expected = match log.files.get(file + 1) {
            None => Finding::CutOff {
                last_seq: seq - 1,
                head_seq: log.last(),
            },
            Some((_, next)) => {
                let next = crate::ground::seq(&next[0]);
                Finding::Removed {
                    from_seq: seq,
                    to_seq: next - 1,
                    at: log.at(file + 1, 0, next),
                }
            }
        };
        assert_eq!(findings, [expected], "{file} {line}");
    }
    // Within a line.
    for (name, lines) in &log.files {
        let path = log.ground.path().join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let findings = log.ground.report().findings;
        let at = Place {
            file: name.clone(),
            line: lines.len() as u64,
            seq: seq(lines.last().unwrap()),
        };
        assert!(findings.contains(&Finding::Unfinished { at }), "{findings:?}");
        fs::write(&path, whole).unwrap();
    }
}

/// Enforced by `verify::beginning`, `Walk::begin` and `Walk::end`.
#[test]
fn a_segment_that_is_gone_is_found() {
    let log = Log::new();
    for (name, lines) in &log.files {
        let path = log.ground.path().join(name);
        let away = log.ground.path().join("away");
        fs::rename(&path, &away).unwrap();
        let (from_seq, to_seq) = (seq(&lines[0]), seq(lines.last().unwrap()));
        let expected = match name == "audit.jsonl" {
            true => Finding::CutOff {
                last_seq: from_seq - 1,
                head_seq: to_seq,
            },
            false => Finding::SegmentMissing { from_seq, to_seq },
        };
        assert_eq!(log.ground.report().findings, [expected], "{name}");
        fs::rename(&away, &path).unwrap();
    }
    // Two beside each other are one gap.
    for (name, _) in &log.files[1..3] {
        fs::remove_file(log.ground.path().join(name)).unwrap();
    }
    let expected = Finding::SegmentMissing {
        from_seq: seq(&log.files[1].1[0]),
        to_seq: seq(&log.files[3].1[0]) - 1,
    };
    assert_eq!(log.ground.report().findings, [expected]);
}

/// Enforced by `verify::in_order`.
#[test]
fn segments_that_have_each_others_names_are_found() {
    let log = Log::new();
    let name = |file: usize| log.ground.path().join(&log.files[file].0);
    let first = |file: usize| seq(&log.files[file].1[0]);
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let away = log.ground.path().join("away");
        let swap = || {
            fs::rename(name(one), &away).unwrap();
            fs::rename(name(other), name(one)).unwrap();
            fs::rename(&away, name(other)).unwrap();
        };
        swap();
        let misplaced = |file: usize, seq| Finding::SegmentMisplaced {
            file: log.files[file].0.clone(),
            seq,
        };
        assert_eq!(
            log.ground.report().findings,
            [misplaced(one, first(other)), misplaced(other, first(one))]
        );
        swap();
    }
    // One in the place of another that is gone.
    fs::copy(name(0), name(1)).unwrap();
    let findings = log.ground.report().findings;
    assert!(
        matches!(&findings[0], Finding::SegmentMisplaced { seq: 1, .. }),
        "{findings:?}"
    );
}

/// Enforced by `verify::in_order` and the chain: another host's segment is not
/// this one's, wherever it is put.
#[test]
fn a_segment_of_another_host_is_found() {
    let (log, other) = (Log::new(), Log::new());
    for file in 0..3 {
        let (name, lines) = &log.files[file];
        log.ground.write_lines(name, &other.files[file].1);
        assert!(!log.ground.report().is_sound(), "{name}");
        log.ground.write_lines(name, lines);
    }
}
