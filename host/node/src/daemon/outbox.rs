//! What a connection has to say and its peer has not read yet.
//!
//! Owns the buffer between the two, and the mark above which the connection
//! takes nothing new, not even from what it has read already: a peer that does
//! not read makes the host hold one mark's worth and one message, not more.

use std::io::Write as _;

use odeon_protocol::{
    Code, Envelope, EnvelopeError, Fault, MAX_BODY, MessageKind, Serial, fault_text, max_frame,
};
use tokio::net::UnixStream;

/// Above this many bytes nothing new is taken in.
const MARK: usize = 1 << 20;
/// A buffer that grew past this is given back when it is empty.
const KEPT: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.sent >= self.bytes.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes.len().saturating_sub(self.sent) < MARK
    }

    /// Adds an envelope, or the fault that says why it cannot be sent.
    pub(super) fn push(&mut self, envelope: &Envelope<'_>) {
        if let Err(error) = self.append(envelope) {
            let code = match &error {
                EnvelopeError::TooLong { .. } | EnvelopeError::Frame(_) => Code::ResultTooLarge,
                _ => Code::Internal,
            };
            let fault = Fault::new(code, format!("the answer cannot be sent: {error}"));
            self.push_fault(envelope.id, envelope.user_data, &fault);
        }
    }

    /// Adds the final status of a request that has no result.
    pub(super) fn push_fault(&mut self, id: Serial, user_data: Option<&str>, fault: &Fault) {
        let written = fault_text(fault).and_then(|text| {
            let mut envelope = Envelope::new(MessageKind::Reply, id);
            envelope.fault = Some(&text);
            envelope.user_data = user_data;
            self.append(&envelope)
        });
        if let Err(error) = written {
            tracing::error!(%error, "a fault could not be put into an envelope");
        }
    }

    /// Writes what the socket takes now. Returns how many bytes it took.
    pub(super) fn write_to(&mut self, stream: &UnixStream) -> std::io::Result<usize> {
        let mut wrote = 0_usize;
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match stream.try_write(rest) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sent = self.sent.saturating_add(count);
                    wrote = wrote.saturating_add(count);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(wrote),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        Ok(wrote)
    }

    /// Writes what the socket takes at once and lets go of it: nobody waits
    /// for a peer that has no place.
    pub(super) fn say_at_once(&self, stream: UnixStream) {
        // Whether the socket can be written to is not known to the runtime yet,
        // so it is not asked.
        if let (Ok(mut stream), Some(rest)) = (stream.into_std(), self.bytes.get(self.sent..))
            && let Err(error) = stream.write_all(rest)
        {
            tracing::debug!(%error, "a peer could not be told that there is no place");
        }
    }

    fn append(&mut self, envelope: &Envelope<'_>) -> Result<(), EnvelopeError> {
        if self.sent > MARK {
            // What was sent long ago is not carried along for ever.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        envelope.encode_frame(&mut self.bytes, max_frame(MAX_BODY))
    }
}
