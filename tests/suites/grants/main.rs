//! What a plugin may use while it is loaded: grants that come and go, and what
//! is left of them for others.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod deputies;
mod described;
mod ground;
mod held;
#[path = "../node/host.rs"]
#[allow(dead_code, reason = "shared with the suite `node`, which needs more of it")]
mod host;
mod linked;
mod lost;
mod narrowed;
mod policy;
mod running;
mod terms;
