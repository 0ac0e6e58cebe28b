//! What a guest may reach over the network: every way out is tried with a
//! listener behind it that must hear nothing, and every granted way works.
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

mod harness;
mod http;
mod kept;
mod limits;
mod lookup;
mod tcp;
mod udp;
