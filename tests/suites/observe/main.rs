//! Plugins that are looked at more closely: core dumps of calls that trap, and
//! profiles of where calls are; what they leave out, and when they end.
#![allow(
    clippy::bool_assert_comparison,
    clippy::cloned_ref_to_slice_refs,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops at the first surprise"
)]

mod dumps;
#[path = "../node/host.rs"]
#[allow(dead_code, reason = "shared with the suite `node`, which needs more of it")]
mod host;
mod kept;
mod left;
mod places;
mod profiles;
mod secrets;
#[path = "../links/town.rs"]
#[allow(dead_code, reason = "shared with the suite `links`, which needs more of it")]
mod town;
mod waiting;
