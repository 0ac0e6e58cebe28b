//! Length-prefixed frames on a byte stream.
//!
//! Owns the outermost shape of what is sent over a socket: four bytes of
//! payload length, little-endian, then the payload. Does no I/O: the owner of
//! a connection hands in what it read and takes out whole frames.
//!
//! **Invariant:** no memory is taken for bytes that were announced but not
//! received, and nothing of a frame that is too long is kept.

/// The bytes of a frame before its payload.
pub const FRAME_HEADER: usize = 4;

/// What a decoder keeps between frames. A buffer that grew past this for one
/// large frame is given back.
const KEPT_CAPACITY: usize = 64 * 1024;

/// Why bytes are no frame, or a payload cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame without payload.
    #[error("a frame holds at least one byte, this one holds none")]
    Empty,
    /// A payload longer than this side takes.
    #[error("a frame's payload has at most {max} bytes, this one has {length}")]
    TooLong {
        /// The payload's length in bytes, as announced or given.
        length: usize,
        /// The longest that is taken.
        max: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, {missing} more bytes were announced")]
    Truncated {
        /// How many bytes of header or payload are missing.
        missing: usize,
    },
}

/// Appends one frame to `out`.
///
/// # Errors
///
/// When the payload is empty or longer than `max_len`; `out` is then as it
/// was.
pub fn encode_frame(out: &mut Vec<u8>, max_len: usize, payload: &[u8]) -> Result<(), FrameError> {
    let header = header(payload.len(), max_len)?;
    out.reserve(FRAME_HEADER.saturating_add(payload.len()));
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    Ok(())
}

/// Appends one frame whose payload `write` appends, without a copy between.
///
/// # Errors
///
/// When what was written is empty or longer than `max_len`; `out` is then as
/// it was. What was written is measured afterwards, so `write` bounds itself.
pub fn encode_frame_with(
    out: &mut Vec<u8>,
    max_len: usize,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER]);
    let payload = out.len();
    write(out);
    let written = header(out.len().saturating_sub(payload), max_len);
    match (written, out.get_mut(start..payload)) {
        (Ok(header), Some(place)) => {
            place.copy_from_slice(&header);
            Ok(())
        }
        (Err(error), _) => {
            out.truncate(start);
            Err(error)
        }
        // `write` took away what stood before it.
        (Ok(_), None) => Err(FrameError::Empty),
    }
}

fn header(length: usize, max_len: usize) -> Result<[u8; FRAME_HEADER], FrameError> {
    checked(length, max_len)?;
    u32::try_from(length)
        .map(u32::to_le_bytes)
        .map_err(|_| FrameError::TooLong {
            length,
            max: u32::MAX as usize,
        })
}

fn checked(length: usize, max: usize) -> Result<(), FrameError> {
    match length {
        0 => Err(FrameError::Empty),
        _ if length > max => Err(FrameError::TooLong { length, max }),
        _ => Ok(()),
    }
}

/// Cuts a byte stream into frames.
///
/// Holds at most one frame that has not arrived whole. An error is for good:
/// where the next frame would start is unknown, so the connection ends.
#[derive(Debug)]
pub struct FrameDecoder {
    max_len: usize,
    /// Header and payload of the frame that is arriving, or of the frame that
    /// was handed out last.
    partial: Vec<u8>,
    handed_out: bool,
    broken: Option<FrameError>,
}

impl FrameDecoder {
    /// A decoder that takes payloads of up to `max_len` bytes.
    pub fn new(max_len: usize) -> Self {
        FrameDecoder {
            max_len,
            partial: Vec::new(),
            handed_out: false,
            broken: None,
        }
    }

    /// Takes payloads of up to `max_len` bytes from now on. A frame whose
    /// length was read before is measured by what held then.
    pub fn set_max_len(&mut self, max_len: usize) {
        self.max_len = max_len;
    }

    /// Gives back the memory of the frame that was handed out last. The next
    /// call of [`next_frame`](Self::next_frame) would do it too.
    pub fn release(&mut self) {
        if self.handed_out {
            self.handed_out = false;
            self.partial.clear();
            self.partial.shrink_to(KEPT_CAPACITY);
        }
    }

    /// The length of the frame that is arriving, header included, as far as it
    /// is known; `None` between frames.
    pub fn arriving(&self) -> Option<usize> {
        if self.handed_out || self.partial.is_empty() {
            return None;
        }
        Some(announced(&self.partial).map_or(FRAME_HEADER, |length| FRAME_HEADER.saturating_add(length)))
    }

    /// The next whole payload, taking from the front of `input` what belongs
    /// to it.
    ///
    /// `None` means that `input` is used up and the frame goes on in what is
    /// read next. A frame that lies whole in `input` is borrowed from there;
    /// only one that arrives in pieces is copied.
    ///
    /// ```
    /// # use odeon_protocol::{FrameDecoder, encode_frame};
    /// let mut stream = Vec::new();
    /// encode_frame(&mut stream, 1024, b"one")?;
    /// encode_frame(&mut stream, 1024, b"two")?;
    ///
    /// let mut decoder = FrameDecoder::new(1024);
    /// let mut input = &stream[..];
    /// while let Some(payload) = decoder.next_frame(&mut input)? {
    ///     assert!(payload == b"one" || payload == b"two");
    /// }
    /// # Ok::<(), odeon_protocol::FrameError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When a frame is announced as empty or as longer than the limit. Every
    /// later call gives the same error.
    pub fn next_frame<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        self.release();
        if self.partial.is_empty() {
            match self.whole(input)? {
                Some(payload) => return Ok(Some(payload)),
                None => self.take(input, FRAME_HEADER),
            }
        } else {
            self.take(input, FRAME_HEADER);
        }
        let Some(length) = announced(&self.partial) else {
            return Ok(None);
        };
        self.check(length)?;
        let total = FRAME_HEADER.saturating_add(length);
        self.take(input, total);
        if self.partial.len() < total {
            return Ok(None);
        }
        self.handed_out = true;
        Ok(self.partial.get(FRAME_HEADER..))
    }

    /// What the end of the stream means here.
    ///
    /// # Errors
    ///
    /// When a frame was begun and not ended, or the stream was broken before.
    pub fn finish(&self) -> Result<(), FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let Some(total) = self.arriving() else {
            return Ok(());
        };
        Err(FrameError::Truncated {
            missing: total.saturating_sub(self.partial.len()),
        })
    }

    /// The memory that is held for a frame that has not arrived whole, in
    /// bytes: at most twice what was received of it, or what is kept between
    /// frames.
    pub fn held(&self) -> usize {
        self.partial.capacity()
    }

    /// The payload, if a whole frame lies at the front of `input`.
    fn whole<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        let Some(length) = announced(input) else {
            return Ok(None);
        };
        self.check(length)?;
        let total = FRAME_HEADER.saturating_add(length);
        let Some((frame, rest)) = input.split_at_checked(total) else {
            return Ok(None);
        };
        *input = rest;
        Ok(frame.get(FRAME_HEADER..))
    }

    fn check(&mut self, length: usize) -> Result<(), FrameError> {
        checked(length, self.max_len).inspect_err(|error| {
            self.broken = Some(*error);
            self.partial = Vec::new();
        })
    }

    /// Moves bytes from `input` until the partial frame has `total` of them.
    fn take(&mut self, input: &mut &[u8], total: usize) {
        let wanted = total.saturating_sub(self.partial.len()).min(input.len());
        let Some((taken, rest)) = input.split_at_checked(wanted) else {
            return;
        };
        let needed = self.partial.len().saturating_add(wanted);
        if needed > self.partial.capacity() {
            // Doubling, but never past the frame's own end.
            let capacity = needed.saturating_mul(2).min(total);
            self.partial
                .reserve_exact(capacity.saturating_sub(self.partial.len()));
        }
        self.partial.extend_from_slice(taken);
        *input = rest;
    }
}

/// The payload's length, once the header is there.
fn announced(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<FRAME_HEADER>()?;
    usize::try_from(u32::from_le_bytes(*header)).ok()
}
