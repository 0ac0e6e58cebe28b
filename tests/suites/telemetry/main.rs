//! Traces and logs, as a collector hears them: which spans there are, what is in
//! them, and what becomes of them when nobody listens.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod begun;
mod collector;
mod ear;
mod headers;
mod hops;
mod http;
mod lines;
mod losses;
mod moved;
#[path = "../node/peer.rs"]
#[allow(dead_code, reason = "shared with the suite `node`, which needs more of it")]
mod peer;
mod rooms;
mod stage;
