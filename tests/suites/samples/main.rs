//! The sample plugins in real use: loaded by a host with the manifest they
//! carry and the grants an operator would give.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod calculator;
mod counter;
mod fetcher;
mod host;
mod indexer;
mod markdown;
mod notebook;
mod shape;
