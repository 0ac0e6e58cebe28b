//! Components that are made to be expensive to compile: each ends in its
//! limit, in a process of its own, while plugins are served.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod bombs;
mod child;
mod types;
