//! The life of one request: every transition, what its caller sees of it, and
//! that it always has exactly one end.

#![allow(
    clippy::disallowed_methods,
    reason = "the tests are the only owners of their tasks"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

mod bytes;
mod cancelling;
mod ends;
mod fixture;
mod limits;
mod table;
mod time;
mod watching;
