//! One connection of a peer.
//!
//! Owns the socket, reading and writing, in one task. A call is first polled
//! right here: a short one is answered without ever becoming a task; one that
//! goes on is handed to the host's tasks, and its end is waited for here.
//!
//! **Invariant:** every call gets one reply, unless the connection ends first;
//! then it is cancelled if it was not detached.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use odeon_authority::Principal;
use odeon_protocol::{
    AdminReply, AdminRequest, Code, Envelope, Fault, FrameDecoder, Hello, LogLine, MAX_BODY, MAX_LOG_TAIL,
    MessageKind, PluginName, ProgressReport, Serial, max_frame,
};
use odeon_rmi::{CancelReason, Event, Outcome, Status, Watcher};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outbox::Outbox;
use super::stream::{self, Lines, Step, Waiting};
use super::{Shared, admin};
use crate::call::Args;
use crate::request::CallRequest;

/// The most calls, operator's requests and logs of one connection at a time.
pub const MAX_IN_FLIGHT: usize = 256;
/// What is read from the socket at once.
const CHUNK: usize = 32 << 10;

pub(super) struct Connection {
    stream: UnixStream,
    shared: Arc<Shared>,
    principal: Principal,
    out: Outbox,
    waiting: FuturesUnordered<Waiting>,
    /// Logs that are being read, to be ended by a cancel.
    logs: HashMap<Serial, CancellationToken>,
    greeted: bool,
    /// Nothing more is read; what there is to say is still said.
    closing: bool,
}

/// The answer in the place of one that cannot be written.
const UNWRITABLE: &[u8] = br#"{"fault":{"code":"ODN-9001","kind":"internal","message":"the answer cannot be written","blame":"host","retry":"unsafe"}}"#;

/// Why a connection ends at once.
struct Gone;

impl Connection {
    /// Looks at who is there. A stranger is turned away.
    pub(super) fn admit(stream: UnixStream, shared: &Arc<Shared>) -> Option<Self> {
        let me = rustix::process::geteuid().as_raw();
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "a peer without credentials was turned away");
                return None;
            }
        };
        let mut connection = Connection {
            stream,
            shared: shared.clone(),
            principal: Principal::LocalUser { uid },
            out: Outbox::default(),
            waiting: FuturesUnordered::new(),
            logs: HashMap::new(),
            greeted: false,
            closing: false,
        };
        if uid != me && uid != 0 {
            tracing::warn!(uid, "a peer of another user was turned away");
            let message = format!("this host answers uid {me} and root, found uid {uid}");
            connection.refuse(&Fault::new(Code::PrincipalDenied, message));
        }
        Some(connection)
    }

    /// Serves the peer until it goes, breaks the protocol, does not read, or
    /// the daemon says farewell.
    pub(super) async fn run(mut self, farewell: CancellationToken) {
        let write_timeout = self.shared.config.write_timeout;
        let greeting = tokio::time::sleep(self.shared.config.handshake);
        let stalled = tokio::time::sleep(write_timeout);
        tokio::pin!(greeting, stalled);
        let mut decoder = FrameDecoder::new(max_frame(MAX_BODY));
        let mut chunk = vec![0; CHUNK];
        loop {
            let behind = !self.out.is_empty();
            match self.out.write_to(&self.stream) {
                Ok(true) => stalled.as_mut().reset(Instant::now() + write_timeout),
                Ok(false) if !behind => stalled.as_mut().reset(Instant::now() + write_timeout),
                Ok(false) => {}
                Err(_) => return,
            }
            if self.closing && self.out.is_empty() && self.waiting.is_empty() {
                return;
            }
            let room = self.out.has_room();
            let interest = match (!self.closing && room, self.out.is_empty()) {
                (true, true) => Some(Interest::READABLE),
                (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
                (false, false) => Some(Interest::WRITABLE),
                (false, true) => None,
            };
            tokio::select! {
                biased;
                () = farewell.cancelled(), if !self.closing => self.close(),
                Some(step) = self.waiting.next(), if room && !self.waiting.is_empty() => self.step(step),
                ready = ready(&self.stream, interest) => {
                    let Ok(ready) = ready else { return };
                    if ready && !self.closing && room && self.read(&mut decoder, &mut chunk).is_err() {
                        return;
                    }
                }
                () = &mut greeting, if !self.greeted && !self.closing => {
                    let within = self.shared.config.handshake.as_millis();
                    self.refuse(&Fault::new(
                        Code::ProtocolViolation,
                        format!("expected a hello within {within} ms"),
                    ));
                }
                () = &mut stalled, if !self.out.is_empty() => {
                    tracing::info!(principal = %self.principal, "a peer that does not read was disconnected");
                    return;
                }
            }
        }
    }

    /// Reads what is there and does what it says.
    fn read(&mut self, decoder: &mut FrameDecoder, chunk: &mut [u8]) -> Result<(), Gone> {
        let count = match self.stream.try_read(chunk) {
            // Whoever does not send any more does not wait for answers either.
            Ok(0) => return Err(Gone),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Gone),
        };
        let mut input = chunk.get(..count).unwrap_or_default();
        while !self.closing {
            match decoder.next_frame(&mut input) {
                Ok(Some(payload)) => match Envelope::decode(payload) {
                    Ok(envelope) => self.take(&envelope),
                    Err(error) => self.refuse(&error.into()),
                },
                Ok(None) => break,
                Err(error) => self.refuse(&error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, envelope: &Envelope<'_>) {
        match envelope.kind {
            MessageKind::Hello if !self.greeted => self.greet(envelope),
            _ if !self.greeted => self.violated("a hello first"),
            MessageKind::Call => self.call(envelope),
            MessageKind::Cancel => self.cancel(envelope.id),
            MessageKind::Admin => self.admin(envelope),
            MessageKind::Hello
            | MessageKind::Accepted
            | MessageKind::Started
            | MessageKind::Progress
            | MessageKind::Reply
            | MessageKind::AdminReply => self.violated("a call, a cancel or an operator's request"),
        }
    }

    fn greet(&mut self, envelope: &Envelope<'_>) {
        match Hello::decode(envelope.body) {
            Ok(hello) => {
                tracing::debug!(principal = %self.principal, software = hello.software, "a peer introduced itself");
                self.greeted = true;
                let own = concat!("odeon/", env!("CARGO_PKG_VERSION"));
                match Hello::new(own).encode() {
                    Ok(body) => {
                        let mut reply = Envelope::new(MessageKind::Hello, envelope.id);
                        reply.body = &body;
                        self.out.push(&reply);
                    }
                    Err(error) => self.refuse(&error.into()),
                }
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
            principal: Some(self.principal.clone()),
            detached: envelope.detached,
        };
        let (mut watcher, work) = match self.shared.host.begin(request) {
            Ok(begun) => begun,
            Err(fault) => return self.out.push_fault(envelope.id, envelope.user_data, &fault),
        };
        let tasks = &self.shared.host.inner.tasks;
        if envelope.statuses {
            tasks.spawn(work);
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
                    self.waiting.push(stream::end(watcher));
                }
            }
        }
    }

    fn cancel(&mut self, id: Serial) {
        if let Some(log) = self.logs.remove(&id) {
            return log.cancel();
        }
        // Its caller sees the end of it, whatever that is.
        if let Err(fault) = self
            .shared
            .host
            .cancel_by(&id, CancelReason::Caller, &self.principal)
        {
            tracing::debug!(serial = %id, %fault, "a cancel came too late");
        }
    }

    fn admin(&mut self, envelope: &Envelope<'_>) {
        let id = envelope.id;
        let request = match AdminRequest::from_json(envelope.body) {
            Ok(request) => request,
            Err(error) => return self.answer(id, &refusal(error.into())),
        };
        if self.waiting.len() >= MAX_IN_FLIGHT {
            return self.answer(id, &refusal(too_many()));
        }
        match request {
            AdminRequest::Logs { name, follow, tail } => self.logs(id, name.as_ref(), follow, tail),
            request => {
                let (shared, principal) = (self.shared.clone(), self.principal.clone());
                let work = async move { admin::answer(&shared, request, principal).await };
                let task = self.shared.host.inner.tasks.spawn(work);
                self.waiting.push(Box::pin(async move {
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

    fn logs(&mut self, id: Serial, name: Option<&PluginName>, follow: bool, tail: u32) {
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

    /// Passes on something that was waited for.
    fn step(&mut self, step: Step) {
        match step {
            Step::Status(watcher, Some(status)) => self.status(watcher, &status),
            Step::Status(_, None) => {}
            Step::End(id, user_data, outcome) => self.end(id, user_data.as_deref(), outcome),
            Step::Answer(id, body) => self.answer(id, &body),
            Step::Line(lines, Some(line)) => {
                match AdminReply::<&LogLine>::Ok(&line).to_json() {
                    Ok(body) => {
                        let mut envelope = Envelope::new(MessageKind::AdminReply, lines.id);
                        envelope.body = &body;
                        envelope.more = true;
                        self.out.push(&envelope);
                    }
                    Err(fault) => tracing::error!(%fault, "a line could not be sent"),
                }
                self.waiting.push(stream::line(lines));
            }
            Step::Line(lines, None) => {
                self.logs.remove(&lines.id);
                self.answer(lines.id, b"{\"ok\":null}");
            }
        }
    }

    fn status(&mut self, watcher: Watcher, status: &Status) {
        let kind = match &status.event {
            Event::Accepted => MessageKind::Accepted,
            Event::Started => MessageKind::Started,
            Event::Progress(_) => MessageKind::Progress,
            Event::Final(outcome) => {
                return self.finished(status.serial, status.user_data.as_deref(), outcome);
            }
        };
        let mut envelope = Envelope::new(kind, status.serial);
        envelope.user_data = status.user_data.as_deref();
        if let Event::Progress(progress) = &status.event {
            envelope.progress = Some(ProgressReport {
                completed: progress.completed,
                total: progress.total,
                details: &progress.details,
            });
        }
        self.out.push(&envelope);
        self.waiting.push(stream::status(watcher));
    }

    fn end(&mut self, id: Serial, user_data: Option<&str>, outcome: Option<Outcome>) {
        match outcome {
            Some(outcome) => self.finished(id, user_data, &outcome),
            None => {
                let fault = Fault::new(Code::Internal, "the host lost the end of the request");
                self.out.push_fault(id, user_data, &fault);
            }
        }
    }

    fn finished(&mut self, id: Serial, user_data: Option<&str>, outcome: &Outcome) {
        let (answer, fault) = match outcome {
            Outcome::Succeeded(answer) => (Some(answer), None),
            Outcome::Failed { fault, answer } => (answer.as_ref(), Some(fault)),
            Outcome::Rejected(fault) | Outcome::Cancelled(fault) => (None, Some(fault)),
        };
        let text = fault.map(odeon_protocol::fault_text).transpose();
        let mut envelope = Envelope::new(MessageKind::Reply, id);
        envelope.user_data = user_data;
        match &text {
            Ok(text) => envelope.fault = text.as_deref(),
            Err(_) => {
                let fault = Fault::new(
                    Code::Internal,
                    "the request ended in a fault that cannot be written",
                );
                return self.out.push_fault(id, user_data, &fault);
            }
        }
        if let Some(answer) = answer {
            envelope.body = &answer.body;
            envelope.generation = Some(answer.generation);
            envelope.elapsed_us = Some(u64::try_from(answer.elapsed.as_micros()).unwrap_or(u64::MAX));
        }
        self.out.push(&envelope);
    }

    fn answer(&mut self, id: Serial, body: &[u8]) {
        let mut envelope = Envelope::new(MessageKind::AdminReply, id);
        envelope.body = body;
        self.out.push(&envelope);
    }

    fn violated(&mut self, expected: &str) {
        self.refuse(&Fault::new(
            Code::ProtocolViolation,
            format!("expected {expected}"),
        ));
    }

    /// Says why, and reads nothing more.
    fn refuse(&mut self, fault: &Fault) {
        self.out.push_fault(Serial::default(), None, fault);
        self.close();
        // Whatever it has in flight is not waited for.
        self.waiting = FuturesUnordered::new();
    }

    fn close(&mut self) {
        self.closing = true;
        for log in std::mem::take(&mut self.logs).into_values() {
            log.cancel();
        }
    }
}

/// Waits until the socket can do what is wanted of it. True if it may have
/// something to read.
async fn ready(stream: &UnixStream, interest: Option<Interest>) -> std::io::Result<bool> {
    match interest {
        Some(interest) => Ok(stream.ready(interest).await?.is_readable()),
        None => std::future::pending().await,
    }
}

/// The time from now until that many milliseconds after 1970.
fn until(deadline: u64) -> Result<Duration, Fault> {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    match deadline.checked_sub(now) {
        Some(left) if left > 0 => Ok(Duration::from_millis(left)),
        _ => Err(Fault::new(
            Code::WaitEnded,
            "the deadline had passed when the call arrived; nothing was executed",
        )),
    }
}

fn too_many() -> Fault {
    Fault::new(
        Code::Overloaded,
        format!(
            "{MAX_IN_FLIGHT} requests of this connection are in flight, which is all it takes; await some"
        ),
    )
}

/// The body of an answer that says no.
pub(super) fn refusal(fault: Fault) -> Vec<u8> {
    AdminReply::<()>::Fault(fault).to_json().unwrap_or_else(|fault| {
        tracing::error!(%fault, "an answer could not be written");
        UNWRITABLE.into()
    })
}
