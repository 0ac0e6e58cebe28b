//! The life of a request, from its acceptance to its one final status.
//!
//! A host keeps one [`Requests`]. Whoever takes a call in accepts a request
//! and gets two ends of it: a [`Ticket`] for the side that executes, and a
//! [`Watcher`] for the side that waits.
//!
//! ```text
//! accept ── Ticket::start ── Running::progress* ── Running::finish
//!   │            │                                     │
//! accepted    started        progress*      succeeded | failed | cancelled
//!   └── withdrawn, expired, refused, lost: rejected | cancelled | failed
//! ```
//!
//! **Invariant:** an accepted request has exactly one final status, whatever
//! is dropped, aborted or unwinds, and in whatever order.
//!
//! This crate knows no engine, no socket and no broker. What is open lives in
//! memory.

mod budget;
mod cancel;
mod limits;
mod outcome;
mod request;
mod requests;
mod ticket;
mod watcher;

pub use budget::{Account, Share};
pub use cancel::{CancelOutcome, CancelReason, CancelSignal};
pub use limits::RequestLimits;
pub use outcome::{Answer, Final, Outcome};
pub use requests::{FinishedRow, IfAbandoned, NewRequest, OpenRow, OpenState, Requests};
pub use ticket::{ProgressError, Running, Ticket};
pub use watcher::{Event, Progress, Status, Watcher};
