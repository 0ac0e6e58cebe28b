//! One line of the log, and the head that signs the last one.

use odeon_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::key::{PublicKey, SigningKey};

/// The longest line, in bytes, without its line feed.
pub(super) const MAX_LINE: usize = 256 * 1024;
/// The longest head file: a line in JSON form once more, and the rest.
pub(super) const MAX_HEAD: u64 = 2 * MAX_LINE as u64 + 4 * 1024;
/// The number of the first line of all.
pub(super) const FIRST: u64 = 1;
/// The `kind` of [`Event::Rotate`].
const ROTATE: &str = "rotate";
/// What the first line names as the line before it.
pub(super) const ROOT: Digest = Digest::from_bytes([0; 32]);

#[derive(Serialize)]
struct Written<'a> {
    seq: u64,
    time: String,
    prev: &'a Digest,
    event: &'a Event,
}

/// What links a line to the others.
#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) prev: Digest,
    #[serde(default)]
    event: Kind,
}

#[derive(Default, Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

impl Link {
    /// Whether it is the last line of a segment.
    pub(super) fn ends_segment(&self) -> bool {
        self.event.kind == ROTATE
    }
}

/// The last line, signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) seq: u64,
    /// The number of its segment's first line.
    #[serde(default = "first_segment", skip_serializing_if = "is_first_segment")]
    pub(super) segment: u64,
    /// Where in the log the line begins.
    pub(super) start: u64,
    line: String,
    signature: String,
}

fn first_segment() -> u64 {
    FIRST
}

fn is_first_segment(segment: &u64) -> bool {
    *segment == FIRST
}

/// The text of a line.
pub(super) fn line(seq: u64, prev: &Digest, event: &Event) -> Result<String, serde_json::Error> {
    let time = format!("{:.6}", jiff::Timestamp::now());
    serde_json::to_string(&Written {
        seq,
        time,
        prev,
        event,
    })
}

impl Head {
    pub(super) fn signed(seq: u64, segment: u64, start: u64, line: String, key: &SigningKey) -> Self {
        let signature = key.sign(&message(seq, segment, start, &line));
        Head {
            seq,
            segment,
            start,
            line,
            signature: hex(&signature),
        }
    }

    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = message(self.seq, self.segment, self.start, &self.line);
        unhex(&self.signature).is_some_and(|signature| key.verifies(&message, &signature))
    }

    /// Whether its line is the last of a segment.
    pub(super) fn ends_segment(&self) -> bool {
        serde_json::from_str::<Link>(&self.line).is_ok_and(|link| link.ends_segment())
    }

    pub(super) fn hash(&self) -> Digest {
        Digest::of(self.line.as_bytes())
    }

    /// The line as it stands in the log, line feed included.
    pub(super) fn line_bytes(&self) -> Vec<u8> {
        let mut bytes = self.line.clone().into_bytes();
        bytes.push(b'\n');
        bytes
    }
}

/// What is signed. In the first segment without its number, in the others with
/// it; the two forms cannot be taken for each other.
fn message(seq: u64, segment: u64, start: u64, line: &str) -> Vec<u8> {
    let hash = Digest::of(line.as_bytes());
    match segment {
        FIRST => format!("odeon audit head v1\n{seq}\n{start}\n{hash}\n"),
        _ => format!("odeon audit head v2\n{seq}\n{segment}\n{start}\n{hash}\n"),
    }
    .into_bytes()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<[u8; 64]> {
    if text.len() != 128 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 64];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}
