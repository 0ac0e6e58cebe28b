//! What the watcher waits for between two looks.
//!
//! Owns the waiting, and nothing of what is done afterwards.

use std::time::Duration;

use super::Watch;
use super::scan::SETTLED;
use super::step::{Done, EVERY};

/// How long it lets changes gather before it looks.
const GATHER: Duration = Duration::from_millis(50);

/// What to wait for after a pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing: there is more to do.
    None,
    /// That files come to rest.
    Settling,
    /// That somebody is done with a plugin.
    Busy,
    /// That something changes.
    Idle,
}

impl Watch {
    /// Waits until there may be something to do.
    pub(super) async fn rest(&mut self, rest: Rest) {
        match rest {
            Rest::None => tokio::task::yield_now().await,
            Rest::Settling => tokio::time::sleep(SETTLED).await,
            Rest::Busy => self.until_something(true).await,
            Rest::Idle => self.until_something(false).await,
        }
    }

    /// Waits for a hint, the timer, an operator, or what is under way; `busy`:
    /// until somebody is done with a plugin, too.
    async fn until_something(&mut self, mut busy: bool) {
        let Watch {
            doer,
            under_way,
            hint,
            watched,
            looks,
            ..
        } = self;
        let inner = &doer.host.inner;
        loop {
            let by_itself = async {
                match *watched {
                    true => tokio::select! {
                        () = hint.come() => {}
                        () = tokio::time::sleep(EVERY) => {}
                    },
                    false => std::future::pending().await,
                }
            };
            let given_back = async move {
                match busy {
                    true => inner.registry.something_given_back(EVERY).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = inner.descriptors.again.notified() => *looks = true,
                () = by_itself => {}
                () = given_back => {}
                done = under_way.ended() => {
                    *looks = true;
                    match done {
                        Done::Settled => return,
                        // Somebody else is at it.
                        Done::Later => {
                            busy = true;
                            continue;
                        }
                    }
                }
            }
            tokio::time::sleep(GATHER).await;
            return;
        }
    }
}
