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

mod components;
mod desk;
mod errors;
mod exit;
mod host;
mod output;
mod run;
mod tour;
mod trust;
mod unread;
