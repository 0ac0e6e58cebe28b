//! What a plugin may use while it is loaded: grants that come and go, and what
//! is left of them for others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod deputies;
mod ground;
mod held;
#[path = "../node/host.rs"]
#[allow(dead_code, reason = "shared with the suite `node`, which needs more of it")]
mod host;
mod policy;
mod running;
mod terms;
