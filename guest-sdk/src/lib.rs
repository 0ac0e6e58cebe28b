//! The Rust SDK for plugin authors.
//!
//! A plugin is an implementation of the author's own WIT world:
//!
//! ```
//! # /*
//! odeon_sdk::plugin!(); // reads the world in `wit/`, which exports `greet: func(name: string) -> string`
//! # */
//! # odeon_sdk::plugin!({
//! #     inline: "package acme:greeter; world greeter { export greet: func(name: string) -> string; }",
//! #     path: [],
//! # });
//!
//! struct Greeter;
//!
//! impl Guest for Greeter {
//!     fn greet(name: String) -> String {
//!         format!("Hello, {name}!")
//!     }
//! }
//!
//! export!(Greeter);
//! # fn main() {}
//! ```
//!
//! The other modules wrap what the host offers beyond that. A component imports only what its code calls: the SDK adds
//! no import by being linked. This crate must not depend on the host's crates.

// The macros name this crate by its public name, also inside it.
extern crate self as odeon_sdk;

mod bindings;
pub mod config;
#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "first-arena"))]
mod heap;
pub mod http;
pub mod lifecycle;
pub mod log;
mod panic;
mod plugin;
pub mod progress;
pub mod request;
pub mod rmi;
pub mod secrets;
pub mod state;

pub use lifecycle::{Lifecycle, LoadError};
#[doc(hidden)]
pub use panic::log_panic;
pub use state::State;
#[doc(hidden)]
pub use wit_bindgen;

/// The guide, whose code has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guests.md")]
struct Guide;
