//! Many plugins in one host, and two hosts in one process: what grows, and what
//! must not.
//!
//! `cargo nextest run --release -p odeon-tests --no-capture storm_curves` prints
//! the curves.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod apart;
mod curves;
mod latency;
