//! Every limit of a call, and the guest that is stopped by it: with the right
//! fault, in time, and for good.
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

mod floods;
mod memory;
mod neighbours;
mod shape;
mod stack;
mod time;
mod traps;
