//! A call from admission to its one result: instances, queue, deadline,
//! cancel, drain, life cycle, and what the guest is told about the request.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod admission;
mod context;
mod ending;
mod flight;
mod instances;
mod lifecycle;
