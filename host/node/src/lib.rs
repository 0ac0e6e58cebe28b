//! The embeddable host: load WebAssembly components, call their methods,
//! unload them, with nothing let in that was not decided upon and on record.
//!
//! [`Host`] is what a program holds. The daemon behind the `odeon` command is
//! the same host with a control socket in front of it.

mod audit;
mod call;
mod check;
mod check;
mod error;
mod host;
mod load;
mod logs;
mod registry;
mod remember;
mod request;
mod secrets;
mod status;
mod unload;

pub use call::{Args, CallOptions, CallReply, MethodHandle, TypedHandle};
pub use check::CheckReport;
pub use check::CheckReport;
pub use error::StartHostError;
pub use host::{Host, HostBuilder};
pub use load::{LoadReport, LoadRequest, Source};
pub use logs::{FOLLOWER_BEHIND, Follower, GUEST_TARGET, KEPT_BYTES, KEPT_LINES, Line, Logs};
pub use odeon_authority::{GrantSet, HostLimits, Limits, LimitsPatch, Placing, Principal};
pub use odeon_protocol::{Code, Fault};
pub use odeon_rmi::{CancelOutcome, Event, Outcome, RequestLimits, Status, Watcher};
pub use odeon_runtime::{
    CompileChild, Compiler, Interrupt, Level, LogLine, LogSink, PoolSize, Progress, ProgressSink, Reason, Reply, Stream,
};
pub use remember::StartLoad;
pub use request::CallRequest;
pub use secrets::MAX_SECRET;
pub use unload::{UnloadMode, UnloadReport};
