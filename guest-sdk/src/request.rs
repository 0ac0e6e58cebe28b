//! The request that is being served: who asked, how much time is left, whether it was cancelled.
//!
//! None of these functions blocks. During `load` and `unload` they answer for a request of the host itself.

use std::fmt;
use std::time::Duration;

use crate::bindings::imports::odeon::plugin::request;

/// The request was cancelled; what [`check_cancelled`] returns, to be passed on with `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// The request's serial, unique for the host's life.
#[must_use]
pub fn serial() -> String {
    request::serial()
}

/// Who asked, outermost first: the last entry is the direct caller.
#[must_use]
pub fn caller_chain() -> Vec<String> {
    request::caller_chain()
}

/// What the caller attached to the request, as JSON text.
#[must_use]
pub fn user_data() -> Option<String> {
    request::user_data()
}

/// How long the call may still run before it is stopped. Zero when nothing is left.
#[must_use]
pub fn time_left() -> Duration {
    Duration::from_nanos(request::time_left())
}

/// Whether the caller or the operator has cancelled the request.
#[must_use]
pub fn is_cancelled() -> bool {
    request::is_cancelled()
}

/// [`Cancelled`] if [`is_cancelled`].
///
/// Long work calls it between steps: after a cancel the host allows a short grace to return, then it stops the call.
///
/// # Errors
/// The request was cancelled.
pub fn check_cancelled() -> Result<(), Cancelled> {
    if is_cancelled() { Err(Cancelled) } else { Ok(()) }
}
