//! The folder of descriptors while it changes: what runs is what it says, and
//! what it does not say clearly changes nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod changes;
mod folder;
mod grants;
mod ground;
mod hands;
mod links;
mod refused;
mod side_by_side;
mod storm;
