//! The sandbox: the only crate that names wasmtime.
//!
//! Owns engines, compiling, the cache of native code, linking, instances,
//! limits and calls. A component's bytes come in, with what was decided about
//! them; a [`Plugin`] comes out, whose methods are called with encoded bytes
//! or with Rust types. Nothing here opens a listening socket, reads a policy,
//! or knows what a daemon is.
//!
//! Read in this order: [`Runtime`] (loading), `plugin` (calls), `state` and
//! `meter` (what a call may use), `interfaces` (what a guest may import),
//! `codec` (how values cross).

mod bindings;
mod cache;
mod call_clock;
mod codec;
mod compile;
mod control;
mod describe;
mod engine;
mod frames;
mod gate;
mod instance;
mod interfaces;
mod latency;
mod lines;
mod link;
mod links;
mod logs;
mod meter;
mod native;
mod observe;
mod plugin;
mod runtime;
mod scan;
mod shard;
mod sinks;
mod state;
mod stop;
mod ticker;
mod totals;
mod trace;
mod unit;
mod wall;
mod warrant;

pub use cache::{CacheConfig, CacheError};
pub use compile::{CompileChild, CompileError, CompileLimits, Compiler, ConfineError, Confined, confine};
pub use control::{
    CANCEL_GRACE, CallContext, Interrupt, PROGRESS_DETAILS, Progress, ProgressSink, Reason, StartedHook,
};
pub use describe::{Description, Export, Import, ImportedFunction, Needs, TooComplex};
pub use engine::{EngineClass, PoolSize, UnknownClass};
pub use interfaces::egress::{Lookup, LookupError, LookupPlace, Resolver, StaticResolver, SystemResolver};
pub use interfaces::http::{BrokenOff, Incoming, RequestBody, RequestBodyError, ResponseBody};
pub use latency::Latencies;
pub use lines::LineTable;
pub use link::{LinkReport, Mismatch, Problem, check_imports};
pub use links::{Alone, Beside, Hop, LinkSpec, Neighbours};
pub use observe::{
    CoreDump, DumpOrder, DumpPlace, DumpSink, DumpsLeft, GuestProfile, LeftOut, MAX_OBSERVED, ObserveError,
    ObservedFor, ProfileOrder, ProfilePlace, StoppedCall,
};
pub use plugin::{
    Attempt, Entered, HandoverError, LifecycleError, Method, MethodId, NotEntered, Place, Plugin,
    PluginStats, Reply, Snapshot, TypedMethod, WebHandler,
};
pub use runtime::{LoadError, Runtime, RuntimeConfig, StartError};
pub use sinks::{AuditSink, Denial, Level, LogLine, LogSink, SecretError, SecretSource, Stream};
pub use totals::Totals;
pub use trace::{CallSpan, MOST_SPANS, SpanSink, Trace};
pub use unit::{InstanceModel, PluginSpec};
pub use wall::{Opening, Standing, WallError, refuse_all_files, refuse_meddling, refuse_other_files};
pub use warrant::{Behalf, Grants};
/// The traits that Rust types of a typed call implement, with their derives.
pub use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
