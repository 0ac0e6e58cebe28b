//! A call from admission to its one result: instances, queue, deadline,
//! cancel, drain, life cycle, and what the guest is told about the request.
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

mod admission;
mod context;
mod ending;
mod flight;
mod instances;
mod lifecycle;
mod lines;
mod order;
mod panics;
