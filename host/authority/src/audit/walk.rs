//! The check of the chain, line by line.
//!
//! Owns what is known between two lines, which is bounded however long the log
//! is, and what a line that does not fit is. Every line names the hash of the
//! one before it; what is found is located as closely as that allows. Opens
//! nothing.

use odeon_protocol::Digest;

use super::{
    chain::Link,
    finding::{Finding, Place, Report},
};

/// A record whose hash is vouched for by another file.
pub(super) struct Vouched {
    pub(super) seq: u64,
    pub(super) hash: Digest,
    /// Which file does.
    pub(super) file: String,
}

/// Where the check stands between two lines.
pub(super) struct Walk<'a> {
    /// The number the next line must have.
    expected: u64,
    /// The hashes it may name: more than one where two lines have one number.
    tips: Vec<Digest>,
    /// Numbers that were passed over, and where.
    gaps: Vec<(u64, u64, Place)>,
    /// Whether the next line's link says something about the line before it.
    linked: bool,
    /// The file that is read, and how far.
    file: String,
    line: u64,
    /// The line before.
    before: Option<Place>,
    /// Whether that one ends a segment.
    ended: bool,
    vouched: &'a [Vouched],
}

impl<'a> Walk<'a> {
    const MAX_GAPS: usize = 1_000;

    /// Begins with a line of this number, which continues this hash if one is
    /// known.
    pub(super) fn new(first: u64, prev: Option<Digest>, vouched: &'a [Vouched]) -> Self {
        Walk {
            expected: first,
            linked: prev.is_some(),
            tips: prev.into_iter().collect(),
            gaps: Vec::new(),
            file: String::new(),
            line: 0,
            before: None,
            ended: false,
            vouched,
        }
    }

    /// Takes the first line's own number for the one to begin with, where
    /// nothing else says it.
    pub(super) fn begin_with(&mut self, line: &[u8]) {
        if let Ok(link) = serde_json::from_slice::<Link>(line) {
            self.expected = link.seq;
        }
    }

    /// Goes on in this file. Where its name says the number of its first line
    /// and whole segments are missing before it, that is found.
    pub(super) fn begin(&mut self, file: String, first: Option<u64>, report: &mut Report) {
        self.file = file;
        self.line = 0;
        report.segments = report.segments.saturating_add(1);
        let ended = std::mem::take(&mut self.ended);
        if let Some(first) = first.filter(|first| ended && *first > self.expected) {
            report.add(Finding::SegmentMissing {
                from_seq: self.expected,
                to_seq: first.saturating_sub(1),
            });
            self.expected = first;
            self.linked = false;
        }
    }

    /// Looks at the next line, which may be unfinished.
    pub(super) fn line(&mut self, line: &[u8], whole: bool, report: &mut Report) {
        self.line = self.line.saturating_add(1);
        report.lines = report.lines.saturating_add(1);
        if whole {
            self.step(line, report);
        } else {
            report.add(Finding::Unfinished {
                at: self.at(self.expected),
            });
        }
    }

    fn at(&self, seq: u64) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line,
            seq,
        }
    }

    fn step(&mut self, line: &[u8], report: &mut Report) {
        let hash = Digest::of(line);
        let Ok(link) = serde_json::from_slice::<Link>(line) else {
            let at = self.at(self.expected);
            report.add(Finding::Unreadable { at });
            // It stands where the expected line was; what follows it cannot
            // name its hash any more.
            self.advance(self.expected, hash, false);
            return;
        };
        let other = |vouched: &&Vouched| vouched.seq == link.seq && vouched.hash != hash;
        for Vouched { seq, file, .. } in self.vouched.iter().filter(other) {
            let (seq, file) = (*seq, file.clone());
            report.add(Finding::OtherThanCopy { seq, file });
        }
        self.ended = link.ends_segment();
        if link.seq == self.expected {
            if self.linked && !self.tips.contains(&link.prev) {
                let at = self.before.clone().unwrap_or_else(|| self.at(link.seq));
                report.add(Finding::Changed { at });
            }
            self.advance(link.seq, hash, true);
        } else if link.seq > self.expected {
            let gap = (self.expected, link.seq - 1, self.at(link.seq));
            if self.gaps.len() < Self::MAX_GAPS {
                self.gaps.push(gap);
            } else {
                report.add(removed(gap));
            }
            self.advance(link.seq, hash, true);
        } else if self.fill(link.seq, report) {
            let at = self.at(link.seq);
            report.add(Finding::Reordered { at });
        } else {
            let at = self.at(link.seq);
            report.add(Finding::Inserted { at });
            if link.seq.saturating_add(1) == self.expected && self.tips.len() < 16 {
                self.tips.push(hash);
            }
        }
    }

    fn advance(&mut self, seq: u64, hash: Digest, linked: bool) {
        self.before = Some(self.at(seq));
        self.expected = seq.saturating_add(1);
        self.tips = vec![hash];
        self.linked = linked;
    }

    /// Whether the number was passed over before; it is not any more.
    fn fill(&mut self, seq: u64, report: &mut Report) -> bool {
        // In order of their numbers, none within another.
        let at = self.gaps.partition_point(|(_, to, _)| *to < seq);
        let Some((from, to, place)) = self.gaps.get(at).filter(|(from, _, _)| *from <= seq).cloned() else {
            return false;
        };
        let before = (from < seq).then(|| (from, seq.saturating_sub(1), place.clone()));
        let after = (seq < to).then(|| (seq.saturating_add(1), to, place));
        // One more than there was: what has no room is told at once.
        let after = match after {
            Some(after) if before.is_some() && self.gaps.len() >= Self::MAX_GAPS => {
                report.add(removed(after));
                None
            }
            after => after,
        };
        self.gaps.splice(at..=at, before.into_iter().chain(after));
        true
    }

    /// What was passed over and did not come.
    pub(super) fn missed(&mut self, report: &mut Report) {
        for gap in std::mem::take(&mut self.gaps) {
            report.add(removed(gap));
        }
    }

    /// Compares the end with what was signed.
    pub(super) fn end(&self, head_seq: u64, head_hash: &Digest, report: &mut Report) {
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

fn removed((from_seq, to_seq, at): (u64, u64, Place)) -> Finding {
    Finding::Removed { from_seq, to_seq, at }
}
