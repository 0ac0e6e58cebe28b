//! The host as a library and as a daemon: the one way in, calls and requests,
//! the control socket and its hostile peers, and the end.
#![allow(
    clippy::bool_assert_comparison,
    clippy::cloned_ref_to_slice_refs,
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

mod acceptance;
mod budgets;
mod calling;
mod cancelling;
mod ending;
mod escapes;
mod generations;
mod handing_over;
#[path = "../egress/harness.rs"]
#[allow(dead_code, reason = "shared with the suite `egress`, which needs more of it")]
mod harness;
mod host;
mod hostile;
mod leaking;
mod loading;
mod making_ready;
mod metrics;
mod peer;
mod peers;
mod queueing;
mod remembering;
mod replacing;
mod requests;
mod returning;
mod revoking;
mod serving;
mod signed;
mod slow;
mod starting;
mod stopping;
mod storm;
mod trusting;
