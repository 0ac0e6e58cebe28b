//! The host as a library and as a daemon: the one way in, calls and requests,
//! the control socket and its hostile peers, and the end.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets something else has failed"
)]

mod calling;
mod ending;
mod host;
mod loading;
mod peer;
mod peers;
mod requests;
mod serving;
