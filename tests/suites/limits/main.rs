//! Every limit of a call, and the guest that is stopped by it: with the right
//! fault, in time, and for good.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod floods;
mod memory;
mod neighbours;
mod shape;
mod stack;
mod time;
mod traps;
