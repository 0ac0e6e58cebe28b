//! Writing an envelope.
//!
//! Owns the order of the entries: keys ascend and each number takes its
//! shortest form, so that equal envelopes are equal bytes.

use minicbor::Encoder;

use super::{ENVELOPE_VERSION, Envelope, EnvelopeError};
use crate::frame::encode_frame_with;

/// Numbers of the keys on the wire. Never reused.
pub(super) mod key {
    pub(crate) const VERSION: u64 = 0;
    pub(crate) const ID: u64 = 1;
    pub(crate) const KIND: u64 = 2;
    pub(crate) const TARGET: u64 = 3;
    pub(crate) const FINGERPRINT: u64 = 4;
    pub(crate) const DEADLINE: u64 = 5;
    pub(crate) const TTL: u64 = 6;
    pub(crate) const HOPS: u64 = 7;
    pub(crate) const PRINCIPAL: u64 = 8;
    pub(crate) const IDEMPOTENCY_KEY: u64 = 9;
    pub(crate) const TRACEPARENT: u64 = 10;
    pub(crate) const REPLY_TO: u64 = 11;
    pub(crate) const USER_DATA: u64 = 12;
    pub(crate) const BODY: u64 = 13;
    pub(crate) const GENERATION: u64 = 14;
    pub(crate) const ELAPSED: u64 = 15;
    pub(crate) const FAULT: u64 = 16;
    pub(crate) const PROGRESS: u64 = 17;
    pub(crate) const DETACHED: u64 = 18;
    pub(crate) const STATUSES: u64 = 19;
    pub(crate) const MORE: u64 = 20;
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

impl Envelope<'_> {
    /// Appends the envelope's bytes to `out`.
    ///
    /// # Errors
    ///
    /// When a field breaks a limit or the kind needs one that is absent; `out`
    /// is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.check()?;
        let start = out.len();
        // Room for the body and the numbers at once; texts are mostly short.
        out.reserve(self.body.len().saturating_add(128));
        self.write(&mut Encoder::new(&mut *out)).map_err(|_| {
            out.truncate(start);
            EnvelopeError::Malformed {
                expected: "an envelope that can be written",
                offset: 0,
            }
        })
    }

    /// Appends the envelope as one frame to `out`.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), and when the frame would be longer than
    /// `max_frame`; `out` is then as it was.
    pub fn encode_frame(&self, out: &mut Vec<u8>, max_frame: usize) -> Result<(), EnvelopeError> {
        let mut written = Ok(());
        let framed = encode_frame_with(out, max_frame, |out| written = self.encode(out));
        // What could not be written is the cause of the empty frame behind it.
        written?;
        Ok(framed?)
    }

    fn write(&self, e: &mut Encoder<&mut Vec<u8>>) -> Written {
        e.map(self.entries())?;
        e.u64(key::VERSION)?.u64(ENVELOPE_VERSION)?;
        e.u64(key::ID)?.bytes(self.id.as_bytes())?;
        e.u64(key::KIND)?.u8(self.kind.number())?;
        text(e, key::TARGET, self.target)?;
        if let Some(fingerprint) = &self.fingerprint {
            e.u64(key::FINGERPRINT)?.bytes(fingerprint.as_bytes())?;
        }
        number(e, key::DEADLINE, self.deadline)?;
        number(e, key::TTL, self.ttl_ms)?;
        if self.hops > 0 {
            e.u64(key::HOPS)?.u8(self.hops)?;
        }
        text(e, key::PRINCIPAL, self.principal)?;
        text(e, key::IDEMPOTENCY_KEY, self.idempotency_key)?;
        text(e, key::TRACEPARENT, self.traceparent)?;
        text(e, key::REPLY_TO, self.reply_to)?;
        text(e, key::USER_DATA, self.user_data)?;
        if !self.body.is_empty() {
            e.u64(key::BODY)?.bytes(self.body)?;
        }
        number(e, key::GENERATION, self.generation.map(|g| g.0))?;
        number(e, key::ELAPSED, self.elapsed_us)?;
        text(e, key::FAULT, self.fault)?;
        if let Some(progress) = &self.progress {
            e.u64(key::PROGRESS)?.array(3)?.u64(progress.completed)?;
            match progress.total {
                Some(total) => e.u64(total)?,
                None => e.null()?,
            };
            e.str(progress.details)?;
        }
        flag(e, key::DETACHED, self.detached)?;
        flag(e, key::STATUSES, self.statuses)?;
        flag(e, key::MORE, self.more)
    }

    fn entries(&self) -> u64 {
        let optional = [
            self.target.is_some(),
            self.fingerprint.is_some(),
            self.deadline.is_some(),
            self.ttl_ms.is_some(),
            self.hops > 0,
            self.principal.is_some(),
            self.idempotency_key.is_some(),
            self.traceparent.is_some(),
            self.reply_to.is_some(),
            self.user_data.is_some(),
            !self.body.is_empty(),
            self.generation.is_some(),
            self.elapsed_us.is_some(),
            self.fault.is_some(),
            self.progress.is_some(),
            self.detached,
            self.statuses,
            self.more,
        ];
        optional
            .into_iter()
            .fold(3, |entries, present| entries + u64::from(present))
    }
}

fn text(e: &mut Encoder<&mut Vec<u8>>, key: u64, value: Option<&str>) -> Written {
    match value {
        Some(value) => e.u64(key)?.str(value)?.ok(),
        None => Ok(()),
    }
}

fn number(e: &mut Encoder<&mut Vec<u8>>, key: u64, value: Option<u64>) -> Written {
    match value {
        Some(value) => e.u64(key)?.u64(value)?.ok(),
        None => Ok(()),
    }
}

fn flag(e: &mut Encoder<&mut Vec<u8>>, key: u64, value: bool) -> Written {
    if value {
        e.u64(key)?.bool(true)?.ok()
    } else {
        Ok(())
    }
}
