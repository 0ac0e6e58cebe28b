//! A host that is killed anywhere, and what the next one finds.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

#[path = "../cli/components.rs"]
#[allow(dead_code, reason = "shared with the suite `cli`, which needs more of it")]
mod components;
#[path = "../cli/desk.rs"]
#[allow(dead_code, reason = "shared with the suite `cli`, which needs more of it")]
mod desk;
mod found;
mod ground;
mod order;

mod phases;
mod storm;
mod tracer;
