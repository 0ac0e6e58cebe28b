//! What a check of the audit can find, and the words for it.
//!
//! Owns the report. Finding is [`super::verify`]'s.

use std::fmt;

use odeon_protocol::Digest;
use serde::Serialize;

use crate::key::PublicKey;

/// What a check of the audit found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// How many lines the log has.
    pub lines: u64,
    /// How many files they are in.
    pub segments: u64,
    /// The number of the first line that must be there.
    pub first: Option<u64>,
    /// The number of the last line that the head is signed for.
    pub head: Option<u64>,
    /// The hash of that line.
    pub head_hash: Option<Digest>,
    /// Who signed it.
    pub key: Option<PublicKey>,
    /// The records up to this one were exported and taken away: that is on
    /// record, and nothing wrong.
    pub pruned: Option<u64>,
    /// What is wrong, the first 100 of it.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
}

/// Where a line is, or was to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The segment's file.
    pub file: String,
    /// The line in it, counted from 1.
    pub line: u64,
    /// The number that the record gives itself, or must have.
    pub seq: u64,
}

/// Something that is wrong with the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// The line is not what its successor continues.
    Changed {
        /// The line.
        at: Place,
    },
    /// The line is no record.
    Unreadable {
        /// The line.
        at: Place,
    },
    /// Lines are missing.
    Removed {
        /// The first that is missing.
        from_seq: u64,
        /// The last that is missing.
        to_seq: u64,
        /// What stands where they must be.
        at: Place,
    },
    /// The line stands in another place than it was written.
    Reordered {
        /// Where it stands.
        at: Place,
    },
    /// The line, or the one before it of the same number, was put in.
    Inserted {
        /// Where it stands.
        at: Place,
    },
    /// A segment, or several beside each other, is missing.
    SegmentMissing {
        /// The first record in it.
        from_seq: u64,
        /// The last.
        to_seq: u64,
    },
    /// A segment has another's name.
    SegmentMisplaced {
        /// Its name.
        file: String,
        /// The record that it begins with.
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
    /// The line is not finished.
    Unfinished {
        /// The line.
        at: Place,
    },
    /// There is a log but no head.
    HeadMissing,
    /// The head is not signed by this host's key.
    HeadForged,
    /// A head was not written to its end. The host may have been stopped while
    /// writing it; the next append records that.
    HeadTorn,
    /// The record is not, or not any more, the one that a signed file names.
    OtherThanCopy {
        /// Its number.
        seq: u64,
        /// Where it was written down.
        file: String,
    },
    /// The head was to be kept there, and is not.
    CopyMissing {
        /// Where.
        file: String,
    },
    /// What is there is not a head of this audit.
    CopyForged {
        /// Where.
        file: String,
    },
    /// An export without its last line, which says what was exported: its end
    /// was cut off.
    ManifestMissing,
    /// What an export says about itself is not signed by the key.
    ManifestForged,
}

impl Report {
    const MAX_FINDINGS: usize = 100;

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() < Self::MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {}", self.line, self.file)
    }
}

/// One record or several.
struct Span(u64, u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span(from, to) if from == to => write!(f, "record {from}"),
            Span(from, to) => write!(f, "records {from} to {to}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Changed { at } => write!(f, "record {}, {at}, was changed", at.seq),
            Finding::Unreadable { at } => write!(f, "{at} is no record, expected record {}", at.seq),
            Finding::Removed { from_seq, to_seq, at } => {
                let span = Span(*from_seq, *to_seq);
                write!(f, "{span} removed before record {}, {at}", at.seq)
            }
            Finding::Reordered { at } => write!(f, "record {} was moved to {at}", at.seq),
            Finding::Inserted { at } => write!(f, "record {} is there twice, again in {at}", at.seq),
            Finding::SegmentMissing { from_seq, to_seq } => {
                write!(f, "{} missing with their segment", Span(*from_seq, *to_seq))
            }
            Finding::SegmentMisplaced { file, seq } => {
                write!(
                    f,
                    "{file} begins with record {seq}: it has another segment's name"
                )
            }
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
            Finding::Unfinished { at } => write!(f, "{at} is not finished"),
            Finding::HeadMissing => f.write_str("audit.head is missing"),
            Finding::HeadForged => f.write_str("audit.head is not signed by this host"),
            Finding::HeadTorn => f.write_str("audit.head was not written to its end"),
            Finding::OtherThanCopy { seq, file } => {
                write!(f, "record {seq} is not the one in {file}: the audit was replaced")
            }
            Finding::CopyMissing { file } => {
                write!(
                    f,
                    "{file}, where the head was to be kept, is not there or not readable"
                )
            }
            Finding::CopyForged { file } => {
                write!(f, "{file} is not a head of this audit, signed by this host")
            }
            Finding::ManifestMissing => {
                f.write_str("the last line does not say what was exported: the end was cut off")
            }
            Finding::ManifestForged => f.write_str("what the last line says is not signed by the key"),
        }
    }
}
