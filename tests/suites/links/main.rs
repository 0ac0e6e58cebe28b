//! Plugins that use plugins: calls from one store to another, what goes along
//! with them, and what is told when they fail.
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

mod calls;
mod check;
mod context;
mod cycles;
mod deputies;
mod either;
mod faults;
mod host;
mod replaced;
mod rmi;
mod stuck;
mod threads;
mod town;
mod types;
