//! How many requests there may be, and how large.
//!
//! Owns the numbers; each is enforced where it is passed, with a fault or an
//! error for whoever passed it.

use odeon_protocol::{MAX_PROGRESS_DETAILS, MAX_USER_DATA};

/// Bounds on the requests of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The most requests that are accepted and not finished.
    pub max_open: usize,
    /// How many finished requests are remembered, for the status dump and so
    /// that their serials are not taken again. Not more than 100,000 are.
    pub keep_finished: usize,
    /// The longest user data of one request, in bytes.
    pub max_user_data: usize,
    /// The most bytes of user data that all open requests have together.
    pub max_user_data_total: usize,
    /// The most bytes that the arguments of open requests, the results that
    /// nobody has fetched and the messages that have not arrived whole take
    /// together. The first 4 KiB of each do not count.
    pub max_bytes_total: usize,
    /// The most progress reports of one request.
    pub max_progress_per_request: u32,
    /// The longest details of one progress report, in bytes.
    pub max_details: usize,
}

impl RequestLimits {
    /// The most finished requests that are remembered, whatever is configured.
    pub const MAX_FINISHED: usize = 100_000;
}

impl Default for RequestLimits {
    fn default() -> Self {
        RequestLimits {
            max_open: 10_000,
            keep_finished: 1_000,
            max_user_data: MAX_USER_DATA,
            max_user_data_total: 64 * 1024 * 1024,
            max_bytes_total: 256 * 1024 * 1024,
            max_progress_per_request: 10_000,
            max_details: MAX_PROGRESS_DETAILS,
        }
    }
}
