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
mod ceilings;
mod coalesce;
mod descriptor;
mod egress;
mod export;
mod fixture;
mod flood;
mod folder;
mod grants;
mod ground;
mod identity;
mod keys;
mod limits;
mod manifest;
mod meeting;
mod policy;
mod reserved;
mod rotation;
mod signature;
mod smoke;
mod taken;
mod tamper;
mod why;
