//! All requests of one host.
//!
//! Owns the bounded table: what is open, by serial, and the last that ended.
//! Its lock is held for a lookup or a copy of handles, never while a guest
//! runs, so that a status dump works while every guest is stuck.
//!
//! **Invariant:** nothing locks a request while it holds the table.

mod rows;
mod sweep;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use odeon_protocol::{Code, Fault, MAX_PRINCIPAL, MAX_TARGET, RequestTotals, Serial};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

pub use rows::{FinishedRow, OpenRow, OpenState};

use crate::{
    budget::{Account, Budget},
    cancel::{CancelOutcome, CancelReason},
    limits::RequestLimits,
    outcome::{Final, Outcome},
    request::{Accepted, Request},
    ticket::Ticket,
    watcher::Watcher,
};

/// What happens to a request whose watcher is dropped before its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfAbandoned {
    /// It goes on; its end is remembered in the table alone.
    #[default]
    LetRun,
    /// It is cancelled: nobody else waits for it.
    Cancel,
}

/// What a request is accepted with.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// The serial the caller chose; absent: a new one.
    pub serial: Option<Serial>,
    /// The method's path.
    pub target: Arc<str>,
    /// Who asks, as the host knows it.
    pub principal: Arc<str>,
    /// What the caller wants to see again in every status.
    pub user_data: Option<Arc<str>>,
    /// Within which time the request must be started.
    pub ttl: Option<Duration>,
    /// When the request must be finished.
    pub deadline: Option<Instant>,
    /// What happens when nobody waits any more.
    pub if_abandoned: IfAbandoned,
    /// How many bytes its arguments hold until it has ended.
    pub bytes: usize,
    /// Who answers for what it holds; absent: the host itself.
    pub account: Option<Account>,
}

impl NewRequest {
    /// A request with a serial of its own and no limit of time.
    pub fn new(target: impl Into<Arc<str>>, principal: impl Into<Arc<str>>) -> Self {
        NewRequest {
            serial: None,
            target: target.into(),
            principal: principal.into(),
            user_data: None,
            ttl: None,
            deadline: None,
            if_abandoned: IfAbandoned::LetRun,
            bytes: 0,
            account: None,
        }
    }
}

/// The requests of a host. Cheap to clone; all clones are one table.
#[derive(Clone, Debug)]
pub struct Requests {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: RequestLimits,
    /// The host's own.
    account: Account,
    table: Mutex<Table>,
    running: AtomicU64,
    /// The sweeper has something earlier to do than it knew.
    sooner: Notify,
    /// Nothing is open any more.
    idle: Notify,
}

#[derive(Debug, Default)]
struct Table {
    known: HashMap<Serial, Entry>,
    open: usize,
    user_data: usize,
    finished: VecDeque<FinishedRow>,
    totals: RequestTotals,
    /// No open request is due before this.
    next_due: Option<Instant>,
    closed: bool,
}

#[derive(Debug)]
enum Entry {
    Open(Arc<Request>),
    Finished,
}

impl Requests {
    /// An empty table.
    pub fn new(mut limits: RequestLimits) -> Self {
        limits.keep_finished = limits.keep_finished.min(RequestLimits::MAX_FINISHED);
        Requests {
            shared: Arc::new(Shared {
                account: Account::unshared(Budget::new(limits.max_bytes_total)),
                limits,
                table: Mutex::default(),
                running: AtomicU64::new(0),
                sooner: Notify::new(),
                idle: Notify::new(),
            }),
        }
    }

    /// The limits that are enforced.
    pub fn limits(&self) -> &RequestLimits {
        &self.shared.limits
    }

    /// Takes a request. From here on it has an end, and the watcher sees it.
    ///
    /// # Errors
    ///
    /// `ODN-1006` when as many requests are open as may be, or their user
    /// data or all that is held together are too long; `ODN-1011` after [`close`](Self::close);
    /// `ODN-1014` when target, principal or user data are too long;
    /// `ODN-5003` when the serial was used before. Nothing was kept then.
    pub fn accept(&self, request: NewRequest) -> Result<(Ticket, Watcher), Fault> {
        let limits = &self.shared.limits;
        let NewRequest {
            serial,
            target,
            principal,
            user_data,
            ttl,
            deadline,
            if_abandoned,
            bytes,
            account,
        } = request;
        let attached = user_data.as_ref().map_or(0, |data| data.len());
        within("the method's path", target.len(), MAX_TARGET)?;
        within("the principal", principal.len(), MAX_PRINCIPAL)?;
        within("user data", attached, limits.max_user_data)?;
        let account = account.unwrap_or_else(|| self.shared.account.clone());
        let mut arguments = account.share();
        if let Err(fault) = arguments.hold(bytes) {
            let mut table = self.shared.table.lock();
            table.totals.refused = table.totals.refused.saturating_add(1);
            return Err(fault);
        }
        let now = Instant::now();
        let accepted = Accepted {
            serial: serial.unwrap_or_default(),
            target,
            principal,
            user_data,
            // A time to live that is longer than time itself is none.
            start_by: ttl.and_then(|ttl| now.checked_add(ttl)),
            finish_by: deadline,
            if_abandoned,
            account,
            arguments,
        };
        let request = Arc::new(Request::new(accepted, now, self.shared.clone()));
        self.enter(&request, attached)?;
        Ok((Ticket::new(request.clone()), Watcher::new(request)))
    }

    /// An account for one peer, who may hold twice what he leaves to the
    /// others: for his requests, and for messages that are no request so far.
    pub fn account(&self) -> Account {
        self.shared.account.of_a_peer()
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.shared.account.held_by_all()
    }

    /// Ends the request of this serial.
    ///
    /// # Errors
    ///
    /// `ODN-1012` when no such request is open.
    pub fn cancel(&self, serial: &Serial, reason: CancelReason) -> Result<CancelOutcome, Fault> {
        let found = match self.shared.table.lock().known.get(serial) {
            Some(Entry::Open(request)) => Some(request.clone()),
            Some(Entry::Finished) => return Err(finished(serial)),
            None => None,
        };
        let request = found.ok_or_else(|| {
            Fault::new(
                Code::RequestNotFound,
                format!("no request {serial} is known here; see the status for those that are open"),
            )
        })?;
        request.cancel(reason).ok_or_else(|| finished(serial))
    }

    /// Ends every open request that `which` names, and says how many there
    /// were. `which` runs without any lock.
    pub fn cancel_matching(&self, reason: CancelReason, mut which: impl FnMut(&OpenRow) -> bool) -> usize {
        let now = Instant::now();
        let mut ended = 0_usize;
        for request in self.handles() {
            let matches = request.row(now).is_some_and(|row| which(&row));
            if matches && request.cancel(reason).is_some() {
                ended = ended.saturating_add(1);
            }
        }
        ended
    }

    /// Takes no more requests. Those that are open go on.
    pub fn close(&self) {
        self.shared.table.lock().closed = true;
    }

    /// Waits until no request is open. Others may be accepted meanwhile,
    /// unless the table was closed. Cancellation safe.
    pub async fn idle(&self) {
        loop {
            // Listening before looking: an end between the two is heard.
            let idle = self.shared.idle.notified();
            if self.shared.table.lock().open == 0 {
                return;
            }
            idle.await;
        }
    }

    /// The open requests, oldest first.
    pub fn open(&self) -> Vec<OpenRow> {
        let now = Instant::now();
        let mut rows: Vec<OpenRow> = self
            .handles()
            .iter()
            .filter_map(|request| request.row(now))
            .collect();
        rows.sort_by(|a, b| b.age.cmp(&a.age).then(a.serial.cmp(&b.serial)));
        rows
    }

    /// The last requests that ended, newest first.
    pub fn finished(&self) -> Vec<FinishedRow> {
        self.shared.table.lock().finished.iter().rev().cloned().collect()
    }

    /// The requests in numbers.
    pub fn totals(&self) -> RequestTotals {
        let table = self.shared.table.lock();
        let open = u64::try_from(table.open).unwrap_or(u64::MAX);
        let running = self.shared.running.load(Ordering::Relaxed).min(open);
        RequestTotals {
            pending: open.saturating_sub(running),
            running,
            ..table.totals
        }
    }

    fn enter(&self, request: &Arc<Request>, attached: usize) -> Result<(), Fault> {
        let limits = &self.shared.limits;
        let mut table = self.shared.table.lock();
        let refusal = if table.closed {
            Some(Fault::new(
                Code::Draining,
                "the host stops and takes no more calls",
            ))
        } else if table.open >= limits.max_open {
            Some(Fault::new(
                Code::Overloaded,
                format!(
                    "{} requests are open, which is as many as may be; try again later",
                    limits.max_open
                ),
            ))
        } else if table.user_data.saturating_add(attached) > limits.max_user_data_total {
            Some(Fault::new(
                Code::Overloaded,
                format!(
                    "the user data of all open requests would be longer than {} bytes; try again later",
                    limits.max_user_data_total
                ),
            ))
        } else if table.known.contains_key(&request.serial) {
            Some(Fault::new(
                Code::ProtocolViolation,
                format!(
                    "serial {} was used before; every request needs a new one",
                    request.serial
                ),
            ))
        } else {
            None
        };
        if let Some(fault) = refusal {
            table.totals.refused = table.totals.refused.saturating_add(1);
            return Err(fault);
        }
        table.known.insert(request.serial, Entry::Open(request.clone()));
        table.open = table.open.saturating_add(1);
        table.user_data = table.user_data.saturating_add(attached);
        if let Some(due) = request.due() {
            self.due_at(table, due);
        }
        Ok(())
    }

    fn handles(&self) -> Vec<Arc<Request>> {
        let table = self.shared.table.lock();
        let mut handles = Vec::with_capacity(table.open);
        handles.extend(table.known.values().filter_map(|entry| match entry {
            Entry::Open(request) => Some(request.clone()),
            Entry::Finished => None,
        }));
        handles
    }
}

impl Shared {
    /// A request was started. Called under that request's lock.
    pub(crate) fn started(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended. Called under that request's lock, once.
    pub(crate) fn retire(&self, request: &Request, was_running: bool, outcome: &Outcome) {
        let kind = outcome.kind();
        let row = FinishedRow {
            serial: request.serial,
            target: request.target.clone(),
            principal: request.principal.clone(),
            end: kind,
            code: outcome.code(),
            took: request.accepted_at.elapsed(),
        };
        let mut table = self.table.lock();
        if was_running {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
        table.open = table.open.saturating_sub(1);
        let attached = request.user_data.as_ref().map_or(0, |data| data.len());
        table.user_data = table.user_data.saturating_sub(attached);
        let total = match kind {
            Final::Succeeded => &mut table.totals.succeeded,
            Final::Failed => &mut table.totals.failed,
            Final::Rejected => &mut table.totals.rejected,
            Final::Cancelled => &mut table.totals.cancelled,
        };
        *total = total.saturating_add(1);
        let ended = if self.limits.keep_finished == 0 {
            table.known.remove(&request.serial)
        } else {
            if table.finished.len() >= self.limits.keep_finished
                && let Some(oldest) = table.finished.pop_front()
            {
                table.known.remove(&oldest.serial);
            }
            table.finished.push_back(row);
            table.known.insert(request.serial, Entry::Finished)
        };
        let idle = table.open == 0;
        drop(table);
        // The caller holds a handle of its own: this never frees the request.
        drop(ended);
        if idle {
            self.idle.notify_waiters();
        }
    }
}

fn within(what: &str, length: usize, max: usize) -> Result<(), Fault> {
    if length <= max {
        return Ok(());
    }
    Err(Fault::new(
        Code::MessageTooLarge,
        format!("{what} may have {max} bytes, found {length}"),
    ))
}

fn finished(serial: &Serial) -> Fault {
    Fault::new(
        Code::RequestNotFound,
        format!("request {serial} has ended already"),
    )
}
