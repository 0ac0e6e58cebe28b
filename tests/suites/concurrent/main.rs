//! Components of the asynchronous ABI and of WASI 0.3: their values arrive as
//! they are, and what holds guests of 0.2 holds them too.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod calls;
#[path = "../egress/harness.rs"]
#[allow(dead_code, reason = "shared with the suite `egress`, which needs more of it")]
mod harness;
mod limits;
mod network;
mod output;

/// The guest that has all of it.
const GUEST: &str = "guest-concurrent";
