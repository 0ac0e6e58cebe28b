//! The record as operators use it: why something is not loaded or was denied,
//! segments, exports, the head kept elsewhere, and what a flood costs.
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
mod flood;
mod head;
#[path = "../node/host.rs"]
#[allow(dead_code, reason = "shared with the suite `node`, which needs more of it")]
mod host;
mod loads;
mod secrets;
mod segments;
mod why;
