//! The file of the head: two slots, written in turn and in place.
//!
//! Owns its form. A head goes into the slot that its number is for, so that
//! the head before it stays whole while it is written; one write and one sync
//! make it last, with no rename and no folder to sync. A checksum before each
//! head tells a write that did not get to its end from a whole one; who made
//! it, the signature inside tells.
//!
//! ```text
//! offset 0     "LLLLLLLL" " " 64 hex digits "\n" head as JSON    the even numbers
//! offset SLOT  the same                                          the odd numbers
//! ```

use std::{fs::File, io, os::unix::fs::FileExt as _};

use odeon_protocol::Digest;

use super::{
    chain::{Head, MAX_HEAD, hex},
    read_from,
};

/// Where the second slot begins.
const SLOT: u64 = 576 * 1024;
/// What usual heads need: written at the beginning, so that later a head
/// changes bytes of the file and nothing about it.
const USUAL: usize = 4096;
/// Length and checksum, in decimal and hexadecimal digits.
const LENGTH: usize = 8;
const CHECKSUM: usize = 64;
const PREFIX: usize = LENGTH + 1 + CHECKSUM + 1;

/// What the file holds.
pub(super) struct Slots {
    /// The last head, with the checksum of its text.
    pub(super) newest: Option<(Head, Digest)>,
    /// Whether a slot that must be whole is not.
    pub(super) torn: bool,
    /// Whether the slots cannot stand beside each other: no crash does that.
    pub(super) impossible: bool,
}

impl Slots {
    /// Those of a file that is not there.
    pub(super) fn none() -> Self {
        Slots {
            newest: None,
            torn: false,
            impossible: false,
        }
    }
}

enum Slot {
    Empty,
    Torn,
    Whole(Head, Digest),
}

/// Reads both slots.
pub(super) fn read(file: &File) -> io::Result<Slots> {
    let found = |newest, torn| Slots {
        newest,
        torn,
        impossible: false,
    };
    Ok(match (slot(file, 0)?, slot(file, 1)?) {
        (Slot::Empty, Slot::Empty) => found(None, false),
        (Slot::Torn, Slot::Torn) => Slots {
            impossible: true,
            ..found(None, true)
        },
        // The very first head was being written.
        (Slot::Torn, Slot::Empty) | (Slot::Empty, Slot::Torn) => found(None, true),
        (Slot::Whole(head, sum), Slot::Torn) | (Slot::Torn, Slot::Whole(head, sum)) => {
            found(Some((head, sum)), true)
        }
        (Slot::Whole(head, sum), Slot::Empty) | (Slot::Empty, Slot::Whole(head, sum)) => {
            let torn = head.seq > 1;
            found(Some((head, sum)), torn)
        }
        (Slot::Whole(even, even_sum), Slot::Whole(odd, odd_sum)) => Slots {
            impossible: even.seq.abs_diff(odd.seq) != 1,
            ..found(
                Some(if even.seq > odd.seq {
                    (even, even_sum)
                } else {
                    (odd, odd_sum)
                }),
                false,
            )
        },
    })
}

fn slot(file: &File, number: u64) -> io::Result<Slot> {
    let at = number.saturating_mul(SLOT);
    let mut bytes = read_from(file, at, USUAL)?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Slot::Empty);
    }
    let Some((length, checksum)) = prefix(&bytes) else {
        return Ok(Slot::Torn);
    };
    let whole = PREFIX.saturating_add(length);
    if bytes.len() < whole {
        bytes = read_from(file, at, whole)?;
    }
    let Some(text) = bytes.get(PREFIX..whole) else {
        return Ok(Slot::Torn);
    };
    let sum = Digest::of(text);
    if hex(sum.as_bytes()).as_bytes() != checksum {
        return Ok(Slot::Torn);
    }
    Ok(match serde_json::from_slice::<Head>(text) {
        Ok(head) if head.seq % 2 == number => Slot::Whole(head, sum),
        _ => Slot::Torn,
    })
}

/// Length and checksum of the text that follows.
fn prefix(bytes: &[u8]) -> Option<(usize, [u8; CHECKSUM])> {
    let (length, rest) = bytes.split_at_checked(LENGTH)?;
    let (checksum, rest) = rest.strip_prefix(b" ")?.split_first_chunk::<CHECKSUM>()?;
    rest.strip_prefix(b"\n")?;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    (length as u64 <= MAX_HEAD).then_some((length, *checksum))
}

/// Makes the file what heads are written into.
pub(super) fn prepare(file: &File) -> io::Result<()> {
    let zeros = [0; USUAL];
    file.write_all_at(&zeros, 0)?;
    file.write_all_at(&zeros, SLOT)?;
    file.sync_all()
}

/// Writes a head durably, over the last but one. Returns its checksum.
pub(super) fn write(file: &File, head: &Head) -> io::Result<Digest> {
    let text = serde_json::to_vec(head)?;
    if text.len() as u64 > MAX_HEAD {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    let sum = Digest::of(&text);
    let mut bytes = format!("{:0LENGTH$} {}\n", text.len(), hex(sum.as_bytes())).into_bytes();
    bytes.extend_from_slice(&text);
    file.write_all_at(&bytes, (head.seq % 2).saturating_mul(SLOT))?;
    file.sync_data()?;
    Ok(sum)
}
