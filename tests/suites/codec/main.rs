//! The direct codec: what it writes into a guest and reads back is what the
//! engine's own dynamic values would have been, and what no guest may return
//! is refused.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod differential;
mod generated;
mod refused;
mod text;
