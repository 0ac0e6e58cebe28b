//! What every part of Odeon agrees on: names, types, values, faults, frames.
//!
//! This crate owns vocabulary and encodings. It does no I/O and knows neither
//! an async runtime nor the WebAssembly engine, so that a client in another
//! process depends on nothing else.

mod code;
mod fault;
mod id;
mod types;

pub use code::{Blame, Code, Kind, Retry};
pub use fault::Fault;
pub use id::{Digest, Generation, InvalidId, PluginName, Serial};
pub use types::{Case, Field, FunctionType, Type};
