//! Components in a granted directory: what they reach, what they may change,
//! and what they may use up. Guests speak raw `wasi:filesystem`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod grants;
mod ground;
mod indexer;
mod limits;
mod links;
mod names;
mod paths;
