//! How far the work of a request is.

use crate::bindings::imports::odeon::plugin::request;
pub use request::ProgressError;

/// Tells the caller that `completed` of `total` units are done; `total` is `None` while it is not known.
///
/// `details` is for the caller, who may be a program: short text, or JSON. Reports of one request arrive in the order
/// in which they were made; a slow caller may miss all but the newest.
///
/// # Errors
/// The report was not passed on: `details` is too long, or the request has used up its reports. The work can go on.
pub fn report(completed: u64, total: Option<u64>, details: &str) -> Result<(), ProgressError> {
    request::report_progress(completed, total, details)
}
