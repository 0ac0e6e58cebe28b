//! The second wall: what the kernel refuses a compile child and a daemon.
//!
//! What is refused here is refused whatever the sandbox lets through. Where a
//! kernel has no such wall these tests fail and say so.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod child;
#[path = "../cli/components.rs"]
#[allow(dead_code, reason = "shared with the suite `cli`, which needs more of it")]
mod components;
mod daemon;
#[path = "../cli/desk.rs"]
#[allow(dead_code, reason = "shared with the suite `cli`, which needs more of it")]
mod desk;
