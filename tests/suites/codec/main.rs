//! The direct codec: what it writes into a guest and reads back is what the
//! engine's own dynamic values would have been, and what no guest may return
//! is refused.
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

mod dice;
mod differential;
mod forms;
mod generated;
mod refused;
mod text;
