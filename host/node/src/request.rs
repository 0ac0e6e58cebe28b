//! Calls with a life of their own: a serial, statuses, a cancel, one end.
//!
//! Owns the task that executes a request and the translation of how a call
//! ended into how its request did.

mod cancels;
mod life;

use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::{Event as AuditEvent, Principal};
use odeon_protocol::{Code, Fault, Fingerprint, Kind, Serial, TraceParent};
use odeon_rmi::{
    Account, Answer, CancelOutcome, CancelReason, CancelSignal, IfAbandoned, NewRequest, Outcome, Ticket,
    Watcher,
};
use odeon_runtime::{Behalf, CallContext, Interrupt, Reason};

pub(crate) use self::cancels::Cancels;
pub(crate) use self::life::Life;
use crate::call::{Args, guest_error, is_err, prepared};
use crate::entry::Found;
use crate::host::{Host, Inner};
use crate::registry::Loaded;

/// A call that is to have a life of its own.
#[derive(Clone, Debug)]
pub struct CallRequest<'a> {
    /// The method.
    pub path: &'a str,
    /// Its arguments.
    pub args: Args<'a>,
    /// The serial that the caller chose; absent: a new one.
    pub serial: Option<Serial>,
    /// The fingerprint of the type that the arguments were made for.
    pub fingerprint: Option<Fingerprint>,
    /// Within which time it must be started.
    pub ttl: Option<Duration>,
    /// Within which time it must have ended; it is stopped then.
    pub wait: Option<Duration>,
    /// JSON text that the method can read and every status repeats.
    pub user_data: Option<Arc<str>>,
    /// Who asks; absent: the host's own principal.
    pub principal: Option<Principal>,
    /// It goes on when its watcher is dropped.
    pub detached: bool,
    /// The trace that it is part of. Whether it is recorded is said there; absent:
    /// the host decides by its share.
    pub traceparent: Option<TraceParent>,
}

impl<'a> CallRequest<'a> {
    /// A request of the host's own principal, without a limit of time.
    pub fn new(path: &'a str, args: Args<'a>) -> Self {
        CallRequest {
            path,
            args,
            serial: None,
            fingerprint: None,
            ttl: None,
            wait: None,
            user_data: None,
            principal: None,
            detached: false,
            traceparent: None,
        }
    }
}

impl Host {
    /// Takes a call as a request: it has a serial, can be cancelled by it, and
    /// ends with exactly one final status.
    ///
    /// # Errors
    ///
    /// When it is not taken: no such method, arguments that do not fit it, or
    /// too many requests. Nothing was executed then.
    pub fn request(&self, call: CallRequest<'_>) -> Result<(Serial, Watcher), Fault> {
        let caller = match &call.principal {
            Some(principal) => Caller::new(principal),
            None => self.inner.caller.clone(),
        };
        let (watcher, work) = self.begin(call, &caller)?;
        self.inner.tasks.spawn(work);
        Ok((watcher.serial(), watcher))
    }

    /// Ends a request, whoever made it.
    ///
    /// # Errors
    ///
    /// When no such request is open.
    pub fn cancel(&self, serial: &Serial) -> Result<CancelOutcome, Fault> {
        self.cancel_by(serial, CancelReason::Caller, &self.inner.principal)
    }

    pub(crate) fn cancel_by(
        &self,
        serial: &Serial,
        reason: CancelReason,
        principal: &Principal,
    ) -> Result<CancelOutcome, Fault> {
        let inner = &self.inner;
        let outcome = inner.requests.cancel(serial, reason)?;
        // One that changes nothing is nothing to write down.
        if outcome != CancelOutcome::AlreadySignalled && inner.cancels.may_write(principal, Instant::now()) {
            inner.recorder.append_soon(AuditEvent::Cancel {
                serial: *serial,
                principal: principal.to_string().into(),
            });
        }
        Ok(outcome)
    }

    /// Accepts a request of this caller's and returns what executes it.
    /// Dropping that loses the request, which its watcher is told.
    pub(crate) fn begin(
        &self,
        call: CallRequest<'_>,
        caller: &Caller,
    ) -> Result<(Watcher, impl Future<Output = ()> + Send + use<>), Fault> {
        let inner = &self.inner;
        let (loaded, index) = inner.find(call.path)?;
        let method = loaded.method(index)?;
        if call
            .fingerprint
            .is_some_and(|made_for| made_for != method.fingerprint)
        {
            return Err(Fault::new(
                Code::VersionMismatch,
                format!(
                    "the method is {} now, and the call was made for another type; describe the plugin and encode \
                     again",
                    odeon_protocol::signature(&method.path, &method.ty)
                ),
            )
            .with_details(serde_json::json!({ "fingerprint": method.fingerprint })));
        }
        let args = prepared(&loaded, method, call.args, call.user_data.as_deref())?;
        // A time that is longer than time itself is none.
        let within = |time: Option<Duration>| Instant::now().checked_add(time?);
        let wait_until = within(call.wait);
        let start_by = within(call.ttl);
        let request = NewRequest {
            serial: call.serial,
            target: method.path.clone(),
            principal: caller.text.clone(),
            user_data: call.user_data,
            ttl: call.ttl,
            deadline: wait_until.map(Into::into),
            if_abandoned: if call.detached {
                IfAbandoned::LetRun
            } else {
                IfAbandoned::Cancel
            },
            bytes: args.len(),
            account: caller.account.clone(),
        };
        let (ticket, watcher) = inner.requests.accept(request)?;
        let signal = watcher.signal();
        let work = Work {
            inner: inner.clone(),
            loaded,
            index,
            args,
            wait_until,
            start_by,
            callers: caller.chain.clone(),
            signal,
            said: call.traceparent,
        };
        Ok((watcher, work.run(ticket)))
    }
}

/// Somebody who calls, in the forms that requests need: made once, for many.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Its name in tables.
    text: Arc<str>,
    /// The chain of callers that the guest sees.
    chain: Arc<[Principal]>,
    /// What is held for it, where that is counted apart.
    account: Option<Account>,
}

impl Caller {
    pub(crate) fn new(principal: &Principal) -> Self {
        Caller {
            text: principal.to_string().into(),
            chain: Arc::from([principal.clone()]),
            account: None,
        }
    }

    /// One who may hold twice what he leaves to the others.
    pub(crate) fn with_account(principal: &Principal, account: Account) -> Self {
        Caller {
            account: Some(account),
            ..Caller::new(principal)
        }
    }

    /// The name in tables.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn chain(&self) -> &Arc<[Principal]> {
        &self.chain
    }
}

/// One request that is to be executed.
struct Work {
    inner: Arc<Inner>,
    loaded: Arc<Loaded>,
    index: usize,
    args: Vec<u8>,
    wait_until: Option<Instant>,
    start_by: Option<Instant>,
    callers: Arc<[Principal]>,
    signal: CancelSignal,
    /// What its caller says of the trace that it is part of.
    said: Option<TraceParent>,
}

impl Work {
    async fn run(self, ticket: Ticket) {
        let Work {
            inner,
            loaded,
            index,
            args,
            wait_until,
            start_by,
            callers,
            signal,
            said,
        } = self;
        let interrupt = Interrupt::new();
        let serial = ticket.serial();
        let user_data = ticket.user_data().cloned();
        let life = Life::of(ticket);
        let context = CallContext {
            serial: Some(serial),
            callers,
            behalf: Behalf::nobody(),
            user_data,
            wait_until,
            start_by,
            interrupt: interrupt.clone(),
            progress: Some(life.progress()),
            started: Some(life.started()),
            ..CallContext::default()
        };
        let began = Instant::now();
        let call = inner.execute(Found::new(loaded, index), args, context, said);
        tokio::pin!(call);
        let (found, called) = tokio::select! {
            biased;
            called = &mut call => called,
            reason = signal.cancelled() => {
                interrupt.raise(runtime_reason(reason));
                call.await
            }
        };
        let outcome = match called {
            Ok((reply, generation)) => {
                let answer = Answer {
                    body: reply.bytes,
                    generation,
                    elapsed: began.elapsed(),
                };
                match found.method() {
                    Ok(method) if is_err(&method.ty, &answer.body) => Outcome::Failed {
                        fault: guest_error(&method.ty, &answer.body, &found.loaded.limits),
                        answer: Some(answer),
                    },
                    _ => Outcome::Succeeded(answer),
                }
            }
            Err(fault) => ended(fault, signal.reason()),
        };
        life.end(outcome);
    }
}

pub(crate) fn runtime_reason(reason: CancelReason) -> Reason {
    match reason {
        CancelReason::Caller | CancelReason::Operator => Reason::Cancelled,
        CancelReason::Deadline => Reason::WaitEnded,
        CancelReason::Unloaded => Reason::Unloaded,
        CancelReason::Shutdown => Reason::Shutdown,
        CancelReason::Disconnected => Reason::CallerGone,
    }
}

/// How a request ended whose call ended with this fault.
pub(crate) fn ended(fault: Fault, cancelled: Option<CancelReason>) -> Outcome {
    if fault.code == Code::Expired {
        return Outcome::Rejected(fault);
    }
    match (fault.kind(), cancelled) {
        (Kind::Cancelled | Kind::Timeout | Kind::TargetGone, Some(reason)) => {
            Outcome::Cancelled(reason.fault())
        }
        // It ran, and what ended it is another plugin's.
        _ if fault.is_passed_on() => Outcome::failed(fault),
        (Kind::Cancelled | Kind::Timeout | Kind::TargetGone, None) => Outcome::Cancelled(fault),
        (Kind::Overloaded | Kind::Unavailable, _) => Outcome::Rejected(fault),
        _ => Outcome::failed(fault),
    }
}
