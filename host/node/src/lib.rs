//! The embeddable host: load WebAssembly components, call their methods,
//! unload them, with nothing let in that was not decided upon and on record.
//!
//! [`Host`] is what a program holds. The daemon behind the `odeon` command is
//! the same host with a control socket in front of it.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use odeon::{Args, CallOptions, CompileChild, Compiler, Fault, Host, LoadRequest};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // First thing in `main`: components are compiled by this program, started again.
//!     let child = CompileChild::enter()?;
//!     let runtime = tokio::runtime::Runtime::new()?;
//!     Ok(runtime.block_on(run(child))?)
//! }
//!
//! async fn run(child: CompileChild) -> Result<(), Fault> {
//!     let host = Host::builder(Compiler::ThisProgram(child)).state_dir("/var/lib/example").start()?;
//!     host.load(LoadRequest::component("calculator.wasm").named("calc".parse().expect("a name"))).await?;
//!
//!     // By name, with arguments as people write them.
//!     let reply = host.call("calc/add", Args::Wave("1, 2"), CallOptions::default()).await?;
//!     assert_eq!(reply.wave()?, "3");
//!
//!     // By a handle, with Rust types, on this thread.
//!     let add = host.typed::<(u32, u32), (u32,)>("calc/add")?;
//!     assert_eq!(add.call((1, 2))?, (3,));
//!
//!     host.shutdown(Duration::from_secs(5)).await;
//!     Ok(())
//! }
//! ```

mod audit;
mod call;
mod check;
mod config;
pub mod daemon;
mod entry;
mod error;
mod grants;
mod handover;
mod health;
mod host;
mod links;
mod listen;
mod load;
mod logs;
mod metrics;
mod observe;
mod registry;
mod remember;
mod replace;
mod request;
mod review;
mod secrets;
mod status;
mod telemetry;
mod unload;
mod watch;
mod web;

pub use call::{Args, CallOptions, CallReply, MethodHandle, TypedHandle};
pub use check::{CheckLink, CheckReport};
pub use config::HostConfig;
pub use error::{StartHostError, io_words};
pub use grants::GrantReport;
pub use host::{Host, HostBuilder};
pub use load::{LoadReport, LoadRequest, Source};

pub use logs::{FOLLOWER_BEHIND, Follower, GUEST_TARGET, KEPT_BYTES, KEPT_LINES, Line, Logs};
pub use metrics::{InvalidMetricsAddress, MetricsAddress};
pub use observe::{DumpRequest, KeepIn, Observation, ProfileReport, RunningProfile};
pub use odeon_authority::{
    GrantSet, HostLimits, InvalidRoute, Limits, LimitsPatch, ListenerName, Placing, Principal, Route,
    RoutePath,
};
pub use odeon_protocol::{Code, Fault, SpanId, SpanRef, TraceId, TraceParent};
pub use odeon_rmi::{CancelOutcome, Event, Outcome, RequestLimits, Status, Watcher};
pub use odeon_runtime::{
    CompileChild, Compiler, Interrupt, Level, LogLine, LogSink, Lookup, LookupError, LookupPlace, PoolSize,
    Progress, ProgressSink, Reason, Reply, Resolver, StaticResolver, Stream, SystemResolver,
};
pub use remember::StartLoad;
pub use replace::{ReplaceReport, ReplaceRequest};
pub use request::CallRequest;
pub use secrets::MAX_SECRET;
pub use telemetry::{InvalidOtlpAddress, InvalidSampleShare, OtlpAddress, OtlpConfig, SampleShare};
pub use unload::{UnloadMode, UnloadReport};
pub use web::{ClientTrace, InvalidListener, ListenerConfig, TlsFiles, WebListener};

/// The documents whose code has to compile.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/embedding.md")]
    struct Embedding;
}
