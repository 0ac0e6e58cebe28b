//! What a connection waits for on behalf of its peer.
//!
//! Owns the things that answer more than once or later: the statuses of a
//! request, an operator's answer, the lines of a log. Each gives its next step
//! when it is asked again, so that a peer that reads slowly makes nothing pile
//! up behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;
use odeon_protocol::{LogLine, Serial};
use odeon_rmi::{Outcome, Status, Watcher};
use tokio_util::sync::CancellationToken;

use crate::logs::Follower;

/// Something that was waited for.
pub(super) enum Step {
    /// The next status of a request that wants them all.
    Status(Watcher, Option<Status>),
    /// The end of a request that wants nothing else.
    End(Serial, Option<Arc<str>>, Option<Outcome>),
    /// The body of an operator's answer.
    Answer(Serial, Vec<u8>),
    /// The next line of a log; the last when there is none.
    Line(Lines, Option<Arc<LogLine>>),
}

pub(super) type Waiting = BoxFuture<'static, Step>;

/// Waits for the next status.
pub(super) fn status(mut watcher: Watcher) -> Waiting {
    Box::pin(async move {
        let status = watcher.next().await;
        Step::Status(watcher, status)
    })
}

/// Waits for the end.
pub(super) fn end(mut watcher: Watcher) -> Waiting {
    Box::pin(async move {
        let outcome = watcher.outcome().await;
        Step::End(watcher.serial(), watcher.user_data().cloned(), outcome)
    })
}

/// A log that somebody reads or follows.
pub(super) struct Lines {
    pub(super) id: Serial,
    pub(super) past: VecDeque<Arc<LogLine>>,
    pub(super) follower: Option<Follower>,
    pub(super) cancelled: CancellationToken,
}

/// Waits for the next line.
pub(super) fn line(mut lines: Lines) -> Waiting {
    Box::pin(async move {
        if lines.cancelled.is_cancelled() {
            return Step::Line(lines, None);
        }
        if let Some(line) = lines.past.pop_front() {
            return Step::Line(lines, Some(line));
        }
        let cancelled = lines.cancelled.clone();
        let next = match &mut lines.follower {
            Some(follower) => cancelled.run_until_cancelled(follower.next()).await.flatten(),
            None => None,
        };
        Step::Line(lines, next.map(Arc::new))
    })
}
