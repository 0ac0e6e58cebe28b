//! What a peer has sent and nobody has looked at yet.
//!
//! Owns the bytes that were read and the frame that is arriving, the time such
//! a frame may take, and its share of what the host holds.

use std::time::Duration;

use odeon_protocol::{Fault, FrameDecoder, FrameError};
use odeon_rmi::Share;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;

/// What is read from the socket at once.
const CHUNK: usize = 32 << 10;
/// The longest frame of a peer that has not introduced itself.
const GREETING: usize = 4 << 10;
/// How fast a frame has to arrive, in bytes per second.
const RATE: u64 = 1 << 20;

pub(super) struct Inbox {
    decoder: FrameDecoder,
    chunk: Vec<u8>,
    from: usize,
    to: usize,
    share: Share,
    /// Since when the frame that is arriving has been.
    since: Option<Instant>,
}

impl Inbox {
    pub(super) fn new(share: Share) -> Self {
        Inbox {
            decoder: FrameDecoder::new(GREETING),
            chunk: vec![0; CHUNK],
            from: 0,
            to: 0,
            share,
            since: None,
        }
    }

    /// Whether everything that was read was looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// Reads what there is. For when everything was looked at. Cancellation
    /// safe.
    pub(super) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<usize> {
        let count = stream.read(&mut self.chunk).await?;
        (self.from, self.to) = (0, count);
        Ok(count)
    }

    /// The next message, of at most this many bytes.
    pub(super) fn next(&mut self, longest: Option<usize>) -> Result<Option<&[u8]>, FrameError> {
        self.decoder.set_max_len(longest.unwrap_or(GREETING));
        let mut rest = self.chunk.get(self.from..self.to).unwrap_or_default();
        let payload = self.decoder.next_frame(&mut rest);
        self.from = self.to.saturating_sub(rest.len());
        if !matches!(payload, Ok(None)) {
            self.since = None;
        }
        payload
    }

    /// Frees what was taken and accounts for what is held.
    ///
    /// # Errors
    ///
    /// `ODN-1006` when the host holds as much as it may.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        self.decoder.release();
        match self.decoder.arriving() {
            None => {
                self.since = None;
                self.share.hold(0)
            }
            Some(_) => {
                self.since.get_or_insert_with(Instant::now);
                self.share.hold(self.decoder.held())
            }
        }
    }

    /// When the frame that is arriving must be there whole. While the host
    /// itself does not read, time does not run.
    pub(super) fn due(&mut self, reading: bool, grace: Duration) -> Option<Instant> {
        let since = self.since.as_mut()?;
        if !reading {
            *since = Instant::now();
        }
        let bytes = u64::try_from(self.decoder.arriving()?).unwrap_or(u64::MAX);
        let transfer = Duration::from_millis(bytes.saturating_mul(1000) / RATE);
        since.checked_add(grace)?.checked_add(transfer)
    }
}
