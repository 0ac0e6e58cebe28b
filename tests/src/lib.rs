//! What the suites and benches share: where guests lie, and a runtime to run
//! them in.
//!
//! Nothing here is product code; everything fails by panicking, with a word on
//! what was expected.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

pub mod bench;
pub mod bombs;
pub mod clock;
pub mod dwarf;
pub mod footprint;
pub mod ground;
pub mod guests;
pub mod numbers;
pub mod oracle;
pub mod records;
pub mod runtime;
pub mod stall;
pub mod way;
pub mod web;
