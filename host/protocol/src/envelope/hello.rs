//! The first envelope of each side of a connection.
//!
//! Owns how two programs of different age find a version that both speak. The
//! envelope around it is of version 1 for ever.

use minicbor::{Decoder, Encoder};

use super::decode::{Seen, end, map_head, number, read, skip, text};
use super::{ENVELOPE_VERSION, EnvelopeError, MAX_SOFTWARE, MAX_UNKNOWN_DEPTH, within};

const PROTOCOL: u64 = 0;
const SOFTWARE: u64 = 1;

/// Who is at the other end, as a program. Carried in the body of an envelope
/// of kind [`Hello`](crate::MessageKind::Hello), as a CBOR map with integer
/// keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The newest version of the protocol that the sender speaks; it speaks
    /// all from 1 up to this.
    pub protocol: u64,
    /// The sender's name and version, for people.
    pub software: &'a str,
}

impl<'a> Hello<'a> {
    /// What this side says about itself.
    pub const fn new(software: &'a str) -> Self {
        Hello {
            protocol: ENVELOPE_VERSION,
            software,
        }
    }

    /// The version that both this side and the sender speak.
    pub const fn agreed(&self) -> u64 {
        if self.protocol < ENVELOPE_VERSION {
            self.protocol
        } else {
            ENVELOPE_VERSION
        }
    }

    /// The bytes for an envelope's body.
    ///
    /// # Errors
    ///
    /// When `software` is longer than [`MAX_SOFTWARE`].
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        within("software", self.software.len(), MAX_SOFTWARE)?;
        let mut out = Vec::with_capacity(self.software.len().saturating_add(16));
        let mut e = Encoder::new(&mut out);
        let mut write = || {
            e.map(2)?.u64(PROTOCOL)?.u64(self.protocol)?;
            e.u64(SOFTWARE)?.str(self.software)?.ok()
        };
        write().map_err(
            |_: minicbor::encode::Error<std::convert::Infallible>| EnvelopeError::Malformed {
                expected: "a greeting that can be written",
                offset: 0,
            },
        )?;
        Ok(out)
    }

    /// Reads an envelope's body.
    ///
    /// # Errors
    ///
    /// When `bytes` are anything but one greeting, or its version is zero.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut d = Decoder::new(bytes);
        let (mut protocol, mut software) = (None, None);
        let mut seen = Seen::default();
        for _ in 0..map_head(&mut d, "a greeting: a map of known length")? {
            let key = read(&mut d, "a key: a number from 0 up", Decoder::u64)?;
            seen.first(key)?;
            match key {
                PROTOCOL => protocol = Some(number(&mut d, "the protocol's version: a number")?),
                SOFTWARE => software = Some(text(&mut d, "the software: text")?),
                _ => skip(&mut d, MAX_UNKNOWN_DEPTH)?,
            }
        }
        end(&d, bytes)?;
        let absent = |expected| EnvelopeError::Malformed {
            expected,
            offset: bytes.len(),
        };
        let protocol = protocol.ok_or_else(|| absent("the protocol's version"))?;
        let software = software.ok_or_else(|| absent("the software"))?;
        if protocol == 0 {
            return Err(EnvelopeError::Version {
                expected: ENVELOPE_VERSION,
                found: protocol,
            });
        }
        within("software", software.len(), MAX_SOFTWARE)?;
        Ok(Hello { protocol, software })
    }
}
