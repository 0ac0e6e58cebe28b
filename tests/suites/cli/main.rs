//! The `odeon` command as its users see it: arguments, output, exit status.
//!
//! Every test has a desk of its own: a folder with a home directory in it and
//! nothing of the tester's environment.
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

mod accepting;
mod beside;
mod bombs;
mod components;
mod daemons;
mod desk;
mod errors;
mod exit;
mod first;
mod grants;
#[path = "../egress/harness.rs"]
#[allow(dead_code, reason = "shared with the suite `egress`, which needs more of it")]
mod harness;
mod host;
mod hostile;
mod linked;
mod observed;
mod output;
#[path = "../node/peer.rs"]
#[allow(dead_code, reason = "shared with the suite `node`, which needs more of it")]
mod peer;
mod profiled;
mod replace;
mod run;
mod service;
#[path = "../node/slow.rs"]
#[allow(dead_code, reason = "shared with the suite `node`, which needs more of it")]
mod slow;
mod stopping;
mod tour;
mod trust;
mod unread;
mod values;
