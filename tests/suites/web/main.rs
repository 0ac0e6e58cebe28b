//! HTTP in: what plugins answer at a listener, what a client may cost, and what
//! becomes of both when a plugin is replaced.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod clients;
mod concurrent;
mod daemon;
mod ends;
mod faults;
mod generations;
mod hostile;
mod limits;
mod replacing;
mod routes;
mod serving;
mod stage;
mod tls;
