//! Reading an envelope from bytes that a peer sent.
//!
//! Owns strictness: types of known keys, one entry per key, nothing behind the
//! end. Allocates nothing and recurses no deeper than [`MAX_UNKNOWN_DEPTH`].

use minicbor::{Decoder, data::Type};

use super::encode::key;
use super::{ENVELOPE_VERSION, Envelope, EnvelopeError, MAX_UNKNOWN_DEPTH, MessageKind, ProgressReport};
use crate::{
    fingerprint::Fingerprint,
    id::{Generation, Serial},
};

/// How many keys an envelope of version 1 can ever have.
pub(super) const KEYS: u64 = 64;

impl<'a> Envelope<'a> {
    /// Reads the one envelope that `bytes` hold, borrowing from them.
    ///
    /// Entries may be in any order, except that the version comes first.
    ///
    /// # Errors
    ///
    /// When `bytes` are anything but one whole envelope of
    /// [`ENVELOPE_VERSION`] within every limit.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut d = Decoder::new(bytes);
        let entries = map_head(&mut d, "an envelope: a map of known length")?;
        if entries == 0 || read(&mut d, "the version's key, 0, first", Decoder::u64)? != key::VERSION {
            return Err(EnvelopeError::Malformed {
                expected: "the version's key, 0, first",
                offset: 0,
            });
        }
        let version = read(&mut d, "the version: a number", Decoder::u64)?;
        if version != ENVELOPE_VERSION {
            return Err(EnvelopeError::Version {
                expected: ENVELOPE_VERSION,
                found: version,
            });
        }
        let (mut id, mut kind) = (None, None);
        let mut envelope = Envelope::new(MessageKind::Hello, Serial::from_bytes([0; 16]));
        let mut seen = Seen::default();
        seen.first(key::VERSION)?;
        for _ in 1..entries {
            let key = read(&mut d, "a key: a number from 0 up", Decoder::u64)?;
            seen.first(key)?;
            match key {
                key::ID => id = Some(Serial::from_bytes(sixteen(&mut d, "the id: 16 bytes")?)),
                key::KIND => {
                    let found = read(&mut d, "the kind: a number", Decoder::u64)?;
                    kind = Some(MessageKind::from_number(found).ok_or(EnvelopeError::Kind { found })?);
                }
                key::TARGET => envelope.target = Some(text(&mut d, "the target: text")?),
                key::FINGERPRINT => {
                    let bytes = sixteen(&mut d, "the fingerprint: 16 bytes")?;
                    envelope.fingerprint = Some(Fingerprint::from_bytes(bytes));
                }
                key::DEADLINE => envelope.deadline = Some(number(&mut d, "the deadline: a number")?),
                key::TTL => envelope.ttl_ms = Some(number(&mut d, "the ttl: a number")?),
                key::HOPS => {
                    envelope.hops = read(&mut d, "the hops: a number up to 255", Decoder::u8)?;
                }
                key::PRINCIPAL => envelope.principal = Some(text(&mut d, "the principal: text")?),
                key::IDEMPOTENCY_KEY => {
                    envelope.idempotency_key = Some(text(&mut d, "the idempotency key: text")?);
                }
                key::TRACEPARENT => envelope.traceparent = Some(text(&mut d, "the traceparent: text")?),
                key::REPLY_TO => envelope.reply_to = Some(text(&mut d, "the reply-to: text")?),
                key::USER_DATA => envelope.user_data = Some(text(&mut d, "the user data: text")?),
                key::BODY => envelope.body = read(&mut d, "the body: bytes", Decoder::bytes)?,
                key::GENERATION => {
                    envelope.generation = Some(Generation(number(&mut d, "the generation: a number")?));
                }
                key::ELAPSED => envelope.elapsed_us = Some(number(&mut d, "the elapsed time: a number")?),
                key::FAULT => envelope.fault = Some(text(&mut d, "the fault: text")?),
                key::PROGRESS => envelope.progress = Some(progress(&mut d)?),
                key::DETACHED => envelope.detached = read(&mut d, "detached: a bool", Decoder::bool)?,
                key::STATUSES => envelope.statuses = read(&mut d, "statuses: a bool", Decoder::bool)?,
                key::MORE => envelope.more = read(&mut d, "more: a bool", Decoder::bool)?,
                _ => skip(&mut d, MAX_UNKNOWN_DEPTH)?,
            }
        }
        end(&d, bytes)?;
        let absent = |expected| EnvelopeError::Malformed {
            expected,
            offset: bytes.len(),
        };
        envelope.id = id.ok_or_else(|| absent("an id"))?;
        envelope.kind = kind.ok_or_else(|| absent("a kind"))?;
        envelope.check()?;
        Ok(envelope)
    }
}

/// Which keys were there, as bits.
#[derive(Default)]
pub(super) struct Seen(u64);

impl Seen {
    /// Takes note of `key`, the first and only time.
    pub(super) fn first(&mut self, key: u64) -> Result<(), EnvelopeError> {
        if key >= KEYS {
            return Err(EnvelopeError::Key { found: key });
        }
        let bit = 1_u64 << key;
        if self.0 & bit != 0 {
            return Err(EnvelopeError::Duplicate { key });
        }
        self.0 |= bit;
        Ok(())
    }
}

/// Reads one item, or says what belongs where it should be.
pub(super) fn read<'a, T>(
    d: &mut Decoder<'a>,
    expected: &'static str,
    item: impl FnOnce(&mut Decoder<'a>) -> Result<T, minicbor::decode::Error>,
) -> Result<T, EnvelopeError> {
    let offset = d.position();
    item(d).map_err(|_| EnvelopeError::Malformed { expected, offset })
}

pub(super) fn map_head(d: &mut Decoder<'_>, expected: &'static str) -> Result<u64, EnvelopeError> {
    let offset = d.position();
    read(d, expected, Decoder::map)?.ok_or(EnvelopeError::Malformed { expected, offset })
}

pub(super) fn text<'a>(d: &mut Decoder<'a>, expected: &'static str) -> Result<&'a str, EnvelopeError> {
    read(d, expected, Decoder::str)
}

pub(super) fn number(d: &mut Decoder<'_>, expected: &'static str) -> Result<u64, EnvelopeError> {
    read(d, expected, Decoder::u64)
}

pub(super) fn end(d: &Decoder<'_>, bytes: &[u8]) -> Result<(), EnvelopeError> {
    match bytes.len().saturating_sub(d.position()) {
        0 => Ok(()),
        length => Err(EnvelopeError::Trailing { length }),
    }
}

fn sixteen(d: &mut Decoder<'_>, expected: &'static str) -> Result<[u8; 16], EnvelopeError> {
    let offset = d.position();
    let bytes = read(d, expected, Decoder::bytes)?;
    bytes
        .try_into()
        .map_err(|_| EnvelopeError::Malformed { expected, offset })
}

fn progress<'a>(d: &mut Decoder<'a>) -> Result<ProgressReport<'a>, EnvelopeError> {
    const EXPECTED: &str = "the progress: a list of completed, total or null, and details";
    let offset = d.position();
    let items = read(d, EXPECTED, Decoder::array)?.filter(|items| *items >= 3);
    let items = items.ok_or(EnvelopeError::Malformed {
        expected: EXPECTED,
        offset,
    })?;
    let completed = number(d, EXPECTED)?;
    let total = match d.datatype() {
        Ok(Type::Null) => read(d, EXPECTED, Decoder::null).map(|()| None)?,
        _ => Some(number(d, EXPECTED)?),
    };
    let details = text(d, EXPECTED)?;
    for _ in 3..items {
        skip(d, MAX_UNKNOWN_DEPTH)?;
    }
    Ok(ProgressReport {
        completed,
        total,
        details,
    })
}

/// Passes over the value of an unknown key. Every round reads at least one
/// byte, so a length that lies ends with the bytes.
pub(super) fn skip(d: &mut Decoder<'_>, depth: usize) -> Result<(), EnvelopeError> {
    const EXPECTED: &str = "a value of known length and little depth";
    let wrong = EnvelopeError::Malformed {
        expected: EXPECTED,
        offset: d.position(),
    };
    let Some(inside) = depth.checked_sub(1) else {
        return Err(wrong);
    };
    let items = match read(d, EXPECTED, |d| d.datatype())? {
        Type::Array => read(d, EXPECTED, Decoder::array)?.ok_or(wrong)?,
        Type::Map => read(d, EXPECTED, Decoder::map)?
            .and_then(|entries| entries.checked_mul(2))
            .ok_or(wrong)?,
        Type::Tag => {
            read(d, EXPECTED, Decoder::tag)?;
            1
        }
        Type::ArrayIndef | Type::MapIndef | Type::BytesIndef | Type::StringIndef | Type::Break => {
            return Err(wrong);
        }
        _ => return read(d, EXPECTED, Decoder::skip),
    };
    for _ in 0..items {
        skip(d, inside)?;
    }
    Ok(())
}
