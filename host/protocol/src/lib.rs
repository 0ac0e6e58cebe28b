//! What every part of Odeon agrees on: names, types, values, faults, frames.
//!
//! This crate owns vocabulary and encodings. It does no I/O and knows neither
//! an async runtime nor the WebAssembly engine, so that a client in another
//! process depends on nothing else.

mod admin;
mod code;
mod envelope;
mod fault;
mod fingerprint;
mod frame;
mod id;
mod limits;
mod method;
#[cfg(feature = "test-util")]
pub mod test_util;
mod trace;
mod types;
mod value;

pub use admin::{
    AdminError, AdminReply, AdminRequest, CancelReply, DescribeReply, DescriptorRow, DescriptorState,
    DumpAsk, DumpReply, DumpRow, DumpsArmed, FolderRow, GrantReply, InFlightRow, LatencyRow, LineRow,
    LinkRow, ListenerRow, Load, LoadReply, LogLevelReply, LogLine, LogSource, MAX_ADMIN_REQUEST,
    MAX_DUMP_TIME, MAX_DUMPS, MAX_GRANTS, MAX_LIMITS, MAX_LINKS, MAX_LOG_DIRECTIVE, MAX_LOG_TAIL, MAX_PATH,
    MAX_PROFILE_TIME, MethodRow, MetricsReply, PluginRow, PluginState, ProfileEndReply, ProfileReply,
    Replace, ReplaceReply, RequestTotals, StatusReport, UnloadReply, WallRow,
};
pub use code::{Blame, Code, Kind, Retry};
pub use envelope::{
    ENVELOPE_VERSION, Envelope, EnvelopeError, Hello, MAX_BODY, MAX_FAULT, MAX_HEAD, MAX_HOPS,
    MAX_IDEMPOTENCY_KEY, MAX_PRINCIPAL, MAX_PROGRESS_DETAILS, MAX_REPLY_TO, MAX_SOFTWARE, MAX_TARGET,
    MAX_TRACEPARENT, MAX_UNKNOWN_DEPTH, MAX_USER_DATA, MessageKind, ProgressReport, fault_text, max_frame,
};
pub use fault::{Executed, Fault};
pub use fingerprint::{Fingerprint, type_diff};
pub use frame::{FRAME_HEADER, FrameDecoder, FrameError, encode_frame, encode_frame_with};
pub use id::{Digest, Generation, InvalidId, PluginName, Serial};
pub use limits::ValueLimits;
pub use method::{
    MAX_CANDIDATES, MAX_METHOD_PATH, MemberPath, MethodPath, MethodPathError, ResolveError, resolve_member,
    shortest_member,
};
pub use trace::{SpanId, SpanRef, TraceId, TraceParent};
pub use types::{Case, Field, FunctionType, Type};
pub use value::{Problem, Value, ValueError, cbor, json, signature, wave, wire, wit_name};
