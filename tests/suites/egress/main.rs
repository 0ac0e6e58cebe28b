//! What a guest may reach over the network: every way out is tried with a
//! listener behind it that must hear nothing, and every granted way works.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod harness;
mod http;
mod limits;
mod lookup;
mod tcp;
mod udp;
