//! The cache of native code: what this host wrote and nobody touched is used;
//! everything else is compiled again, and nothing of it is ever executed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod folder;
mod key;
mod size;
mod tampered;
