//! Reading the parts of a wire, for the check and for the decoder alike.
//!
//! **Invariant:** nothing here allocates unless it fails; both walks read
//! through this type only, which is why they accept the same bytes.

use crate::{
    limits::ValueLimits,
    value::{
        budget::Budget,
        error::{Boxed, Problem},
    },
};

/// Bytes not read yet, and what is left of the limits.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    pub(super) budget: Budget,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &ValueLimits) -> Result<Self, Boxed> {
        if bytes.len() > limits.max_bytes {
            return Err(Problem::TooLong {
                limit: limits.max_bytes,
            }
            .into());
        }
        Ok(Reader {
            rest: bytes,
            budget: Budget::new(limits),
        })
    }

    /// That everything was read.
    pub(super) fn end(&self) -> Result<(), Boxed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Problem::Trailing {
                left: self.rest.len(),
            }
            .into())
        }
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Boxed> {
        match self.rest.split_at_checked(count) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.truncated(count as u64)),
        }
    }

    /// As [`Reader::take`], for a length that may pass the address space.
    #[inline]
    pub(super) fn take_wide(&mut self, count: u64) -> Result<&'a [u8], Boxed> {
        match usize::try_from(count) {
            Ok(count) => self.take(count),
            Err(_) => Err(self.truncated(count)),
        }
    }

    /// That so many bytes are there.
    #[inline]
    pub(super) fn need(&self, count: u64) -> Result<(), Boxed> {
        if self.rest.len() as u64 >= count {
            Ok(())
        } else {
            Err(self.truncated(count))
        }
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Boxed> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(self.truncated(N as u64)),
        }
    }

    #[cold]
    fn truncated(&self, needed: u64) -> Boxed {
        Problem::Truncated {
            needed,
            left: self.rest.len(),
        }
        .into()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Boxed> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    /// A length or a count.
    #[inline]
    pub(super) fn count(&mut self) -> Result<u32, Boxed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    #[inline]
    pub(super) fn bit(&mut self, what: &'static str) -> Result<bool, Boxed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(Problem::NotABit { what, found }.into()),
        }
    }

    #[inline]
    pub(super) fn char(&mut self) -> Result<char, Boxed> {
        let found = self.count()?;
        char::from_u32(found).ok_or_else(|| Problem::NotAChar { found }.into())
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Boxed> {
        let length = self.count()?;
        self.take(length as usize)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Boxed> {
        let bytes = self.bytes()?;
        str::from_utf8(bytes).map_err(|e| {
            Problem::NotUtf8 {
                offset: e.valid_up_to(),
            }
            .into()
        })
    }

    /// The number of one of `cases` cases.
    #[inline]
    pub(super) fn case(&mut self, cases: usize) -> Result<u32, Boxed> {
        let found = match discriminant_width(cases) {
            1 => u32::from(self.byte()?),
            2 => u32::from(self.array().map(u16::from_le_bytes)?),
            _ => self.count()?,
        };
        if (found as usize) < cases {
            Ok(found)
        } else {
            Err(Problem::NoSuchCase { cases, found }.into())
        }
    }

    /// The bits of `flags` flags, the first one lowest in the first byte.
    #[inline]
    pub(super) fn flags(&mut self, flags: usize) -> Result<&'a [u8], Boxed> {
        let bytes = self.take(flags_width(flags))?;
        let stray = bytes.iter().enumerate().any(|(index, byte)| {
            let used = flags.saturating_sub(index * 8);
            used < 8 && byte >> used != 0
        });
        if stray {
            Err(Problem::NoSuchFlag { flags }.into())
        } else {
            Ok(bytes)
        }
    }
}

/// Bytes of a discriminant, as in the canonical ABI.
pub(super) const fn discriminant_width(cases: usize) -> usize {
    match cases {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

/// Bytes of a set of flags, as in the canonical ABI.
pub(super) const fn flags_width(flags: usize) -> usize {
    match flags {
        0 => 0,
        1..=8 => 1,
        9..=16 => 2,
        n => 4 * n.div_ceil(32),
    }
}
