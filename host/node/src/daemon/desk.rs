//! What a peer asks for, and what it is told.
//!
//! Owns what one connection has under way. A call is first polled right here: a
//! short one is answered without ever becoming a task; one that goes on is
//! handed to the host's tasks, and its end is waited for here.
//!
//! **Invariant:** every call gets one reply, unless the connection ends first;
//! then it is cancelled if it was not detached.

mod answers;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use odeon_authority::Principal;
use odeon_protocol::{
    AdminRequest, Code, Envelope, Executed, Fault, Hello, MAX_LOG_TAIL, MessageKind, PluginName, Serial,
    max_frame,
};
use odeon_rmi::{Account, CancelReason};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::answers::{in_use, operators_only, too_many};
pub(super) use self::answers::{no_place, refusal};
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::stream::{self, Lines, Step, Waiting};
use super::{Shared, admin};
use crate::call::Args;
use crate::request::{CallRequest, Caller};

/// The most calls, operator's requests and logs of one connection at a time.
pub const MAX_IN_FLIGHT: usize = 256;
/// How long a connection goes on with what its peer has sent before others on
/// the same worker get their turn. A call in it may take a tick more.
const TURN: Duration = Duration::from_millis(1);

pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) principal: Principal,
    pub(super) out: Outbox,
    pub(super) greeted: bool,
    /// Nothing more is read; what there is to say is still said.
    pub(super) closing: bool,
    /// What is held for this connection.
    pub(super) account: Account,
    caller: Caller,
    waiting: FuturesUnordered<Waiting>,
    /// The requests whose ends are waited for here.
    own: HashSet<Serial>,
    /// Logs that are being read, to be ended by a cancel.
    logs: HashMap<Serial, CancellationToken>,
    /// An operator has to ask first: the place is kept for one.
    operators_only: bool,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, principal: Principal, operators_only: bool) -> Self {
        let account = shared.host.inner.requests.account();
        Desk {
            caller: Caller::with_account(&principal, account.clone()),
            account,
            shared,
            principal,
            out: Outbox::default(),
            waiting: FuturesUnordered::new(),
            own: HashSet::new(),
            logs: HashMap::new(),
            greeted: false,
            closing: false,
            operators_only,
        }
    }

    /// Whether anything new is taken in.
    pub(super) fn takes(&self) -> bool {
        !self.closing && self.out.has_room()
    }

    /// Whether something is waited for that could be said.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty() && self.out.has_room()
    }

    /// Whether everything is said.
    pub(super) fn is_done(&self) -> bool {
        self.closing && self.out.is_empty() && self.waiting.is_empty()
    }

    /// Passes on the next thing that was waited for; false if there is none.
    /// Cancellation safe.
    pub(super) async fn next(&mut self) -> bool {
        match self.waiting.next().await {
            Some(step) => {
                self.step(step);
                true
            }
            None => false,
        }
    }

    /// Does what the peer has sent, for a turn.
    pub(super) fn work_off(&mut self, inbox: &mut Inbox) {
        if inbox.is_empty() {
            return;
        }
        let began = Instant::now();
        while self.takes() && began.elapsed() < TURN {
            let longest = self
                .greeted
                .then(|| max_frame(self.shared.host.longest_message()));
            match inbox.next(longest) {
                Ok(Some(payload)) => match Envelope::decode(payload) {
                    Ok(envelope) => self.take(&envelope),
                    Err(error) => self.refuse(&error.into()),
                },
                Ok(None) => break,
                Err(error) => self.refuse(&error.into()),
            }
        }
        if let Err(fault) = inbox.settle() {
            self.refuse(&fault);
        }
    }

    fn take(&mut self, envelope: &Envelope<'_>) {
        match envelope.kind {
            MessageKind::Hello if !self.greeted => self.greet(envelope),
            _ if !self.greeted => self.violated("a hello first"),
            MessageKind::Admin => self.admin(envelope),
            _ if self.operators_only => self.refuse(&operators_only()),
            MessageKind::Call => self.call(envelope),
            MessageKind::Cancel => self.cancel(envelope.id),
            MessageKind::Hello
            | MessageKind::Accepted
            | MessageKind::Started
            | MessageKind::Progress
            | MessageKind::Reply
            | MessageKind::AdminReply => self.violated("a call, a cancel or an operator's request"),
        }
    }

    fn greet(&mut self, envelope: &Envelope<'_>) {
        let own = concat!("odeon/", env!("CARGO_PKG_VERSION"));
        let both = Hello::decode(envelope.body).and_then(|hello| Ok((hello, Hello::new(own).encode()?)));
        match both {
            Ok((hello, body)) => {
                tracing::debug!(principal = %self.principal, software = hello.software, "a peer introduced itself");
                self.greeted = true;
                let mut reply = Envelope::new(MessageKind::Hello, envelope.id);
                reply.body = &body;
                self.out.push(&reply);
            }
            Err(error) => self.refuse(&error.into()),
        }
    }

    fn call(&mut self, envelope: &Envelope<'_>) {
        if self.waiting.len() >= MAX_IN_FLIGHT {
            return self.out.push_fault(envelope.id, envelope.user_data, &too_many());
        }
        let wait = match envelope.deadline.map(until).transpose() {
            Ok(wait) => wait,
            Err(fault) => return self.out.push_fault(envelope.id, envelope.user_data, &fault),
        };
        let request = CallRequest {
            path: envelope.target.unwrap_or_default(),
            args: Args::Encoded(envelope.body.to_vec()),
            serial: Some(envelope.id),
            fingerprint: envelope.fingerprint,
            ttl: envelope.ttl_ms.map(Duration::from_millis),
            wait,
            user_data: envelope.user_data.map(Arc::from),
            principal: None,
            detached: envelope.detached,
            // One that is malformed is none.
            traceparent: envelope.traceparent.and_then(|said| said.parse().ok()),
        };
        let (mut watcher, work) = match self.shared.host.begin(request, &self.caller) {
            Ok(begun) => begun,
            Err(fault) => return self.out.push_fault(envelope.id, envelope.user_data, &fault),
        };
        let tasks = &self.shared.host.inner.tasks;
        if envelope.statuses {
            tasks.spawn(work);
            self.own.insert(envelope.id);
            self.waiting.push(stream::status(watcher));
        } else if envelope.detached {
            tasks.spawn(work);
            let mut accepted = Envelope::new(MessageKind::Accepted, envelope.id);
            accepted.user_data = envelope.user_data;
            self.out.push(&accepted);
        } else {
            let mut work = Box::pin(work);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match work.as_mut().poll(&mut context) {
                Poll::Ready(()) => {
                    let outcome = watcher.outcome().now_or_never().flatten();
                    self.end(envelope.id, envelope.user_data, outcome);
                }
                // Its own task polls it again at once, with a waker of its own.
                Poll::Pending => {
                    tasks.spawn(work);
                    self.own.insert(envelope.id);
                    self.waiting.push(stream::end(watcher));
                }
            }
        }
    }

    fn cancel(&mut self, id: Serial) {
        if let Some(log) = self.logs.remove(&id) {
            return log.cancel();
        }
        // Whoever ends what another connection waits for is not its caller.
        let reason = match self.own.contains(&id) {
            true => CancelReason::Caller,
            false => CancelReason::Operator,
        };
        // Its caller sees the end of it, whatever that is.
        if let Err(fault) = self.shared.host.cancel_by(&id, reason, &self.principal) {
            tracing::debug!(serial = %id, %fault, "a cancel came too late");
        }
    }

    fn admin(&mut self, envelope: &Envelope<'_>) {
        self.operators_only = false;
        let id = envelope.id;
        let request = match AdminRequest::from_json(envelope.body) {
            Ok(request) => request,
            Err(error) => return self.answer(id, &refusal(error.into())),
        };
        if self.waiting.len() >= MAX_IN_FLIGHT {
            return self.answer(id, &refusal(too_many()));
        }
        match request {
            AdminRequest::Logs { name, follow, tail } => self.read_logs(id, name.as_ref(), follow, tail),
            request => {
                let (shared, principal) = (self.shared.clone(), self.principal.clone());
                let gone = CancellationToken::new();
                let here = gone.clone().drop_guard();
                let work = async move { admin::answer(&shared, request, principal, gone).await };
                let task = self.shared.host.inner.tasks.spawn(work);
                self.waiting.push(Box::pin(async move {
                    let _here = here;
                    let body = task.await.unwrap_or_else(|_| {
                        refusal(Fault::new(
                            Code::Internal,
                            "the operation broke off in the host; see its log",
                        ))
                    });
                    Step::Answer(id, body)
                }));
            }
        }
    }

    fn read_logs(&mut self, id: Serial, name: Option<&PluginName>, follow: bool, tail: u32) {
        if self.logs.contains_key(&id) {
            // Two of one id could not be told apart, nor ended one by one.
            return self.answer(id, &refusal(in_use(id)));
        }
        let most = usize::try_from(tail.min(MAX_LOG_TAIL)).unwrap_or(usize::MAX);
        let logs = self.shared.host.logs();
        let (past, follower) = match follow {
            true => {
                let (past, follower) = logs.follow(name, most);
                (past, Some(follower))
            }
            false => (logs.tail(name, most), None),
        };
        let cancelled = CancellationToken::new();
        self.logs.insert(id, cancelled.clone());
        self.waiting.push(stream::line(Lines {
            id,
            past: past.into(),
            follower,
            cancelled,
        }));
    }

    pub(super) fn violated(&mut self, expected: &str) {
        self.refuse(&Fault::new(
            Code::ProtocolViolation,
            format!("expected {expected}"),
        ));
    }

    /// Says why, and reads nothing more.
    pub(super) fn refuse(&mut self, fault: &Fault) {
        self.out.push_fault(Serial::default(), None, fault);
        self.close();
        // Whatever it has in flight is not waited for.
        self.waiting = FuturesUnordered::new();
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
        for log in std::mem::take(&mut self.logs).into_values() {
            log.cancel();
        }
    }
}

/// The time from now until that many milliseconds after 1970.
fn until(deadline: u64) -> Result<Duration, Fault> {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    match deadline.checked_sub(now) {
        Some(left) if left > 0 => Ok(Duration::from_millis(left)),
        // It had passed when the call arrived.
        _ => Err(Fault::wait_ended(Executed::Not)),
    }
}
