//! The envelope: one message between a caller and a host, or between hosts.
//!
//! Owns what can be said about a message beside its body, as CBOR with integer
//! keys (version 1, a map of known length whose first entry is the version).
//! Reading borrows from the bytes and allocates nothing. Unknown keys are
//! ignored, so that a later host can say more; an unknown version is refused.
//!
//! **Invariant:** what [`Envelope::encode`] writes, [`Envelope::decode`] takes:
//! both enforce the same limits. Identity is never read from an envelope: its
//! `principal` is what the sender says, for people to read.

mod decode;
mod encode;
mod fault_text;
mod hello;

pub use fault_text::fault_text;
pub use hello::Hello;

use crate::{
    code::Code,
    fault::Fault,
    fingerprint::Fingerprint,
    frame::FrameError,
    id::{Generation, Serial},
};

/// The version of the envelope that this code speaks.
pub const ENVELOPE_VERSION: u64 = 1;

/// The longest body, in bytes. A host sets its own limit below this through
/// the length of a frame ([`max_frame`]).
pub const MAX_BODY: usize = 64 * 1024 * 1024;
/// The longest `target`, in bytes.
pub const MAX_TARGET: usize = 1024;
/// The longest `principal`, in bytes.
pub const MAX_PRINCIPAL: usize = 256;
/// The longest `idempotency_key`, in bytes.
pub const MAX_IDEMPOTENCY_KEY: usize = 256;
/// The longest `traceparent`, in bytes.
pub const MAX_TRACEPARENT: usize = 128;
/// The longest `reply_to`, in bytes.
pub const MAX_REPLY_TO: usize = 1024;
/// The longest `user_data`, in bytes.
pub const MAX_USER_DATA: usize = 64 * 1024;
/// The longest fault, in bytes of its JSON text.
pub const MAX_FAULT: usize = 256 * 1024;
/// The longest `details` of a progress report, in bytes.
pub const MAX_PROGRESS_DETAILS: usize = 64 * 1024;
/// The longest description of a peer's software, in bytes.
pub const MAX_SOFTWARE: usize = 128;
/// The most hosts an envelope may have passed.
pub const MAX_HOPS: u8 = 32;
/// The most levels of nesting in the value of an unknown key.
pub const MAX_UNKNOWN_DEPTH: usize = 16;

/// What an envelope may take beside its body, in bytes: every other field at
/// its longest, and room for keys, numbers and lengths.
pub const MAX_HEAD: usize = MAX_TARGET
    + MAX_PRINCIPAL
    + MAX_IDEMPOTENCY_KEY
    + MAX_TRACEPARENT
    + MAX_REPLY_TO
    + MAX_USER_DATA
    + MAX_FAULT
    + MAX_PROGRESS_DETAILS
    + 512;

/// The length of frame that carries every envelope with a body of up to
/// `max_body` bytes.
pub const fn max_frame(max_body: usize) -> usize {
    let body = if max_body < MAX_BODY { max_body } else { MAX_BODY };
    body + MAX_HEAD
}

/// What an envelope is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageKind {
    /// The first envelope of each side of a connection; the body is a [`Hello`].
    Hello = 0,
    /// Calls the method `target` with the arguments in the body.
    Call = 1,
    /// The request was taken and will have a final status.
    Accepted = 2,
    /// The request is being executed.
    Started = 3,
    /// How far the request is.
    Progress = 4,
    /// The final status: a result in the body, or a fault, or both when the
    /// method returned its own error.
    Reply = 5,
    /// Ends the request of this id.
    Cancel = 6,
    /// An operator's request; the body is an [`AdminRequest`](crate::AdminRequest).
    Admin = 7,
    /// An answer to one; the body is an [`AdminReply`](crate::AdminReply).
    AdminReply = 8,
}

impl MessageKind {
    /// Every kind, in the order of its number.
    pub const ALL: &[MessageKind] = &[
        MessageKind::Hello,
        MessageKind::Call,
        MessageKind::Accepted,
        MessageKind::Started,
        MessageKind::Progress,
        MessageKind::Reply,
        MessageKind::Cancel,
        MessageKind::Admin,
        MessageKind::AdminReply,
    ];

    /// The number that stands for the kind on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind as people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageKind::Hello => "hello",
            MessageKind::Call => "call",
            MessageKind::Accepted => "accepted",
            MessageKind::Started => "started",
            MessageKind::Progress => "progress",
            MessageKind::Reply => "reply",
            MessageKind::Cancel => "cancel",
            MessageKind::Admin => "admin",
            MessageKind::AdminReply => "admin-reply",
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// How far a request is, as one envelope carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgressReport<'a> {
    /// How much is done, in the method's own unit.
    pub completed: u64,
    /// How much there is, if that is known.
    pub total: Option<u64>,
    /// Words for whoever watches.
    pub details: &'a str,
}

/// One message. Made with [`Envelope::new`]; the fields are set as needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The request this is about. Chosen by the caller, unique for ever.
    pub id: Serial,
    /// What the envelope is for.
    pub kind: MessageKind,
    /// The method's path. Required in a call.
    pub target: Option<&'a str>,
    /// The fingerprint of the function type that the body was made for.
    pub fingerprint: Option<Fingerprint>,
    /// When the request must be finished, in milliseconds since 1970 (UTC).
    pub deadline: Option<u64>,
    /// Within how many milliseconds the request must be started.
    pub ttl_ms: Option<u64>,
    /// How many hosts the envelope has passed.
    pub hops: u8,
    /// Who asks, in the sender's words. Never an identity.
    pub principal: Option<&'a str>,
    /// Makes two sendings of one request known as one.
    pub idempotency_key: Option<&'a str>,
    /// The W3C trace context that the request belongs to.
    pub traceparent: Option<&'a str>,
    /// Where the answer goes, on a transport that needs to be told.
    pub reply_to: Option<&'a str>,
    /// JSON text that is echoed in every status of the request. Carried as it
    /// is: whoever accepts the request looks whether it is JSON, once.
    pub user_data: Option<&'a str>,
    /// Arguments, result, or what the kind says.
    pub body: &'a [u8],
    /// The generation of the plugin that answered.
    pub generation: Option<Generation>,
    /// How long the request ran, in microseconds.
    pub elapsed_us: Option<u64>,
    /// The JSON text of a [`Fault`]; made by [`fault_text`].
    pub fault: Option<&'a str>,
    /// How far the request is. Required in a progress report.
    pub progress: Option<ProgressReport<'a>>,
    /// In a call: the request outlives its caller, who waits for `accepted`
    /// only.
    pub detached: bool,
    /// In a call: `accepted`, `started` and progress are wanted beside the
    /// reply.
    pub statuses: bool,
    /// In an answer to an operator: more answers to the same id follow.
    pub more: bool,
}

impl<'a> Envelope<'a> {
    /// An envelope that says nothing but what it is for.
    pub const fn new(kind: MessageKind, id: Serial) -> Self {
        Envelope {
            id,
            kind,
            target: None,
            fingerprint: None,
            deadline: None,
            ttl_ms: None,
            hops: 0,
            principal: None,
            idempotency_key: None,
            traceparent: None,
            reply_to: None,
            user_data: None,
            body: &[],
            generation: None,
            elapsed_us: None,
            fault: None,
            progress: None,
            detached: false,
            statuses: false,
            more: false,
        }
    }

    /// The fault that the envelope carries.
    ///
    /// # Errors
    ///
    /// When there is one whose text is no fault.
    pub fn read_fault(&self) -> Result<Option<Fault>, EnvelopeError> {
        let parse = |text| serde_json::from_str(text).map_err(|_| EnvelopeError::NoFault);
        self.fault.map(parse).transpose()
    }

    /// What both sides hold to: every limit, and the fields each kind needs.
    fn check(&self) -> Result<(), EnvelopeError> {
        let lengths = [
            ("target", self.target.map(str::len), MAX_TARGET),
            ("principal", self.principal.map(str::len), MAX_PRINCIPAL),
            (
                "idempotency-key",
                self.idempotency_key.map(str::len),
                MAX_IDEMPOTENCY_KEY,
            ),
            ("traceparent", self.traceparent.map(str::len), MAX_TRACEPARENT),
            ("reply-to", self.reply_to.map(str::len), MAX_REPLY_TO),
            ("user-data", self.user_data.map(str::len), MAX_USER_DATA),
            ("body", Some(self.body.len()), MAX_BODY),
            ("fault", self.fault.map(str::len), MAX_FAULT),
            (
                "progress",
                self.progress.map(|p| p.details.len()),
                MAX_PROGRESS_DETAILS,
            ),
        ];
        for (field, length, max) in lengths {
            within(field, length.unwrap_or(0), max)?;
        }
        if self.hops > MAX_HOPS {
            return Err(EnvelopeError::TooManyHops { hops: self.hops });
        }
        let needed = match self.kind {
            MessageKind::Call => ("target", self.target.is_some()),
            MessageKind::Progress => ("progress", self.progress.is_some()),
            MessageKind::Hello | MessageKind::Admin | MessageKind::AdminReply => {
                ("body", !self.body.is_empty())
            }
            MessageKind::Accepted | MessageKind::Started | MessageKind::Reply | MessageKind::Cancel => {
                ("id", true)
            }
        };
        match needed {
            (_, true) => {}
            (field, false) => {
                return Err(EnvelopeError::Missing {
                    kind: self.kind,
                    field,
                });
            }
        }
        Ok(())
    }
}

fn within(field: &'static str, length: usize, max: usize) -> Result<(), EnvelopeError> {
    if length > max {
        Err(EnvelopeError::TooLong { field, length, max })
    } else {
        Ok(())
    }
}

/// Why bytes are no envelope, or an envelope cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Another version of the protocol.
    #[error("expected an envelope of version {expected}, found version {found}")]
    Version {
        /// What this side speaks.
        expected: u64,
        /// What the peer sent.
        found: u64,
    },
    /// Not the CBOR that belongs here.
    #[error("expected {expected} at byte {offset} of the envelope")]
    Malformed {
        /// What belongs here.
        expected: &'static str,
        /// Where, counted from the start of the envelope or of its body.
        offset: usize,
    },
    /// A kind of message that this version does not have.
    #[error("expected a message kind from 0 to {}, found {found}", MessageKind::ALL.len().saturating_sub(1))]
    Kind {
        /// The number that was there.
        found: u64,
    },
    /// A key that no version 1 envelope has, known or to come.
    #[error("expected keys from 0 to {}, found key {found}", decode::KEYS.saturating_sub(1))]
    Key {
        /// The key that was there.
        found: u64,
    },
    /// The same key twice.
    #[error("key {key} is there twice")]
    Duplicate {
        /// The key.
        key: u64,
    },
    /// A field is longer than it may be.
    #[error("{field} has at most {max} bytes, this one has {length}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The longest that is taken.
        max: usize,
    },
    /// The envelope has passed more hosts than it may.
    #[error("an envelope passes at most {MAX_HOPS} hosts, this one has passed {hops}")]
    TooManyHops {
        /// How many it has passed.
        hops: u8,
    },
    /// A field that this kind of message needs is not there.
    #[error("a {} envelope needs the field {field}", kind.as_str())]
    Missing {
        /// The kind of message.
        kind: MessageKind,
        /// The field.
        field: &'static str,
    },
    /// Bytes behind the end of the envelope.
    #[error("{length} bytes stand behind the end of the envelope")]
    Trailing {
        /// How many.
        length: usize,
    },
    /// The fault's text is no fault.
    #[error("the fault is expected to be a fault's JSON text, and is not")]
    NoFault,
    /// The envelope does not fit into a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl From<EnvelopeError> for Fault {
    fn from(error: EnvelopeError) -> Self {
        let code = match &error {
            EnvelopeError::TooLong { .. } | EnvelopeError::Frame(FrameError::TooLong { .. }) => {
                Code::MessageTooLarge
            }
            _ => Code::ProtocolViolation,
        };
        Fault::new(code, error.to_string())
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        EnvelopeError::Frame(error).into()
    }
}
