//! Components in a granted directory: what they reach, what they may change,
//! and what they may use up. Guests speak raw `wasi:filesystem`.
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

mod grants;
mod ground;
mod indexer;
mod limits;
mod links;
mod names;
mod paths;
