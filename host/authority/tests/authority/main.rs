//! The authority at its boundary: what is refused and why, what is granted,
//! and what the audit notices.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that unwraps fails with a line number, which is what a test is for"
)]

mod admission;
mod audit;
mod descriptor;
mod fixture;
mod folder;
mod grants;
mod keys;
mod limits;
mod manifest;
mod policy;
mod signature;
mod smoke;
