//! Finding what was done to the log behind the host's back.
//!
//! Owns the check of the chain and the words for what is wrong. Every line
//! names the hash of the one before it, and the head signs the last; what is
//! found is located as closely as the chain allows.

use std::{fmt, path::Path};

use odeon_protocol::Digest;
use serde::Serialize;

use super::{
    AuditError, HeadCopy,
    chain::{Link, ROOT},
    files::lock_shared,
    head_path, log_path,
    read::Lines,
    slots::{self, Slots},
};
use crate::{
    file::{self, FileError, Others},
    key::PublicKey,
};

/// What a check of the audit found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many lines the log has.
    pub lines: u64,
    /// The number of the last line that the head is signed for.
    pub head: Option<u64>,
    /// The hash of that line.
    pub head_hash: Option<Digest>,
    /// What is wrong, the first 100 of it.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
}

/// Something that is wrong with the audit. Lines are counted from 1; `seq` is
/// the number a line gives itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// The line is not what its successor continues.
    Changed {
        /// The line.
        line: u64,
    },
    /// The line is no record.
    Unreadable {
        /// The line.
        line: u64,
    },
    /// Lines are missing.
    Removed {
        /// The first that is missing.
        from_seq: u64,
        /// The last that is missing.
        to_seq: u64,
    },
    /// The line stands in another place than it was written.
    Reordered {
        /// Where it stands.
        line: u64,
        /// Its number.
        seq: u64,
    },
    /// The line, or the one before it of the same number, was put in.
    Inserted {
        /// Where it stands.
        line: u64,
        /// Its number.
        seq: u64,
    },
    /// The end of the log is missing. If it is the one last line, the host may
    /// have been stopped while writing it; the next append completes it.
    CutOff {
        /// The last number in the log; 0 when it is empty.
        last_seq: u64,
        /// The last number there was.
        head_seq: u64,
    },
    /// There are lines behind the last one the host wrote.
    Appended {
        /// The first of them.
        from_seq: u64,
    },
    /// The last line is not the one that the head is signed for: the log was
    /// rewritten, in this line or from an earlier one on.
    Rewritten {
        /// The last number.
        seq: u64,
    },
    /// The last line is not finished.
    Unfinished {
        /// The line.
        line: u64,
    },
    /// There is a log but no head.
    HeadMissing,
    /// The head is not signed by this host's key.
    HeadForged,
    /// A head was not written to its end. The host may have been stopped while
    /// writing it; the next append records that.
    HeadTorn,
    /// The record is not, or not any more, the one that was the last when
    /// `audit.head.copy` was made.
    OtherThanCopy {
        /// Its number.
        seq: u64,
    },
}

impl Report {
    const MAX_FINDINGS: usize = 100;

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < Self::MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// Checks the audit of a folder against the host's public key. Changes nothing;
/// waits for an append to end.
pub fn verify(folder: &Path, key: &PublicKey) -> Result<Report, AuditError> {
    let _lock = lock_shared(folder)?;
    let copy = HeadCopy::read(folder)?;
    let mut report = Report {
        lines: 0,
        head: None,
        head_hash: None,
        findings: Vec::new(),
        more: 0,
    };
    let mut walk = Walk {
        expected: 1,
        tips: vec![ROOT],
        gaps: Vec::new(),
        linked: true,
    };
    if let Some(mut lines) = Lines::open(folder)? {
        while let Some(line) = lines
            .next()
            .map_err(|error| FileError::io(&log_path(folder), error))?
        {
            report.lines = report.lines.saturating_add(1);
            if line.whole {
                walk.compare(&line.bytes, copy.as_ref(), &mut report);
                walk.step(&line.bytes, &mut report);
            } else {
                report.add(Finding::Unfinished { line: report.lines });
            }
        }
    }
    for (from_seq, to_seq) in std::mem::take(&mut walk.gaps) {
        report.add(Finding::Removed { from_seq, to_seq });
    }
    let slots = read_slots(folder)?;
    if slots.torn && !slots.impossible {
        report.add(Finding::HeadTorn);
    }
    match slots.newest {
        _ if slots.impossible => report.add(Finding::HeadForged),
        Some((head, _)) if head.is_signed_by(key) => {
            report.head = Some(head.seq);
            report.head_hash = Some(head.hash());
            walk.end(head.seq, &head.hash(), &mut report);
        }
        Some(_) => report.add(Finding::HeadForged),
        None if report.lines > 0 => report.add(Finding::HeadMissing),
        None => {}
    }
    if let Some(copy) = copy.filter(|copy| copy.seq > report.head.unwrap_or(0)) {
        report.add(Finding::OtherThanCopy { seq: copy.seq });
    }
    Ok(report)
}

fn read_slots(folder: &Path) -> Result<Slots, AuditError> {
    let path = head_path(folder);
    match file::open_owned(&path, Others::MayRead) {
        Ok(file) => Ok(slots::read(&file).map_err(|error| FileError::io(&path, error))?),
        Err(FileError::Missing { .. }) => Ok(Slots::none()),
        Err(error) => Err(error.into()),
    }
}

/// Where the check stands between two lines.
struct Walk {
    /// The number the next line must have.
    expected: u64,
    /// The hashes it may name: more than one where two lines have one number.
    tips: Vec<Digest>,
    /// Numbers that were passed over.
    gaps: Vec<(u64, u64)>,
    /// Whether the next line's link says something about the line before it.
    linked: bool,
}

impl Walk {
    const MAX_GAPS: usize = 1_000;

    fn step(&mut self, line: &[u8], report: &mut Report) {
        let number = report.lines;
        let hash = Digest::of(line);
        let Ok(link) = serde_json::from_slice::<Link>(line) else {
            report.add(Finding::Unreadable { line: number });
            // It stands where the expected line was; what follows it cannot
            // name its hash any more.
            self.advance(self.expected, hash, false);
            return;
        };
        if link.seq == self.expected {
            if self.linked && !self.tips.contains(&link.prev) {
                report.add(Finding::Changed {
                    line: number.saturating_sub(1).max(1),
                });
            }
            self.advance(link.seq, hash, true);
        } else if link.seq > self.expected {
            if self.gaps.len() < Self::MAX_GAPS {
                self.gaps.push((self.expected, link.seq - 1));
            } else {
                report.add(Finding::Removed {
                    from_seq: self.expected,
                    to_seq: link.seq - 1,
                });
            }
            self.advance(link.seq, hash, true);
        } else if self.fill(link.seq) {
            report.add(Finding::Reordered {
                line: number,
                seq: link.seq,
            });
        } else {
            report.add(Finding::Inserted {
                line: number,
                seq: link.seq,
            });
            if link.seq.saturating_add(1) == self.expected && self.tips.len() < 16 {
                self.tips.push(hash);
            }
        }
    }

    /// Looks whether the line is still the one that was the last when the head
    /// was copied.
    fn compare(&self, line: &[u8], copy: Option<&HeadCopy>, report: &mut Report) {
        let Some(copy) = copy else { return };
        let is_it = serde_json::from_slice::<Link>(line).is_ok_and(|link| link.seq == copy.seq);
        if is_it && Digest::of(line) != copy.hash {
            report.add(Finding::OtherThanCopy { seq: copy.seq });
        }
    }

    fn advance(&mut self, seq: u64, hash: Digest, linked: bool) {
        self.expected = seq.saturating_add(1);
        self.tips = vec![hash];
        self.linked = linked;
    }

    /// Whether the number was passed over before; it is not any more.
    fn fill(&mut self, seq: u64) -> bool {
        let Some(at) = self
            .gaps
            .iter()
            .position(|(from, to)| (*from..=*to).contains(&seq))
        else {
            return false;
        };
        let (from, to) = self.gaps.swap_remove(at);
        if from < seq {
            self.gaps.push((from, seq - 1));
        }
        if seq < to {
            self.gaps.push((seq + 1, to));
        }
        self.gaps.sort_unstable();
        true
    }

    fn end(&self, head_seq: u64, head_hash: &Digest, report: &mut Report) {
        let last_seq = self.expected.saturating_sub(1);
        if head_seq > last_seq {
            report.add(Finding::CutOff { last_seq, head_seq });
        } else if head_seq < last_seq {
            report.add(Finding::Appended {
                from_seq: head_seq.saturating_add(1),
            });
        } else if !self.tips.contains(head_hash) {
            report.add(Finding::Rewritten { seq: last_seq });
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Changed { line } => write!(f, "line {line} was changed"),
            Finding::Unreadable { line } => write!(f, "line {line} is no record"),
            Finding::Removed { from_seq, to_seq } if from_seq == to_seq => {
                write!(f, "record {from_seq} was removed")
            }
            Finding::Removed { from_seq, to_seq } => write!(f, "records {from_seq} to {to_seq} were removed"),
            Finding::Reordered { line, seq } => write!(f, "record {seq} was moved to line {line}"),
            Finding::Inserted { line, seq } => write!(f, "record {seq} is there twice, again in line {line}"),
            Finding::CutOff { last_seq, head_seq } => {
                write!(
                    f,
                    "the log ends with record {last_seq}, expected {head_seq}: its end was cut off"
                )
            }
            Finding::Appended { from_seq } => {
                write!(f, "the host did not write record {from_seq} and what follows")
            }
            Finding::Rewritten { seq } => write!(f, "record {seq}, the last, is not the one the host signed"),
            Finding::Unfinished { line } => write!(f, "line {line} is not finished"),
            Finding::HeadMissing => f.write_str("audit.head is missing"),
            Finding::HeadForged => f.write_str("audit.head is not signed by this host"),
            Finding::HeadTorn => f.write_str("audit.head was not written to its end"),
            Finding::OtherThanCopy { seq } => {
                write!(
                    f,
                    "record {seq} is not the one in audit.head.copy: the audit was replaced"
                )
            }
        }
    }
}
