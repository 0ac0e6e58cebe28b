//! What a peer is told.
//!
//! Owns the envelopes of answers: statuses, ends, lines of logs, refusals.

use odeon_protocol::{AdminReply, Code, Envelope, Fault, LogLine, MessageKind, ProgressReport, Serial};
use odeon_rmi::{Event, Outcome, Status, Watcher};

use super::super::MAX_CONNECTIONS;
use super::super::stream::{self, Step};
use super::{Desk, MAX_IN_FLIGHT};

/// The answer in the place of one that cannot be written.
const UNWRITABLE: &[u8] = br#"{"fault":{"code":"ODN-9001","kind":"internal","message":"the answer cannot be written","blame":"host","retry":"unsafe"}}"#;

impl Desk {
    /// Passes on something that was waited for.
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Status(watcher, Some(status)) => self.status(watcher, &status),
            Step::Status(watcher, None) => {
                self.own.remove(&watcher.serial());
            }
            Step::End(id, user_data, outcome) => {
                self.own.remove(&id);
                self.end(id, user_data.as_deref(), outcome);
            }
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
                self.own.remove(&status.serial);
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

    pub(super) fn end(&mut self, id: Serial, user_data: Option<&str>, outcome: Option<Outcome>) {
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

    pub(super) fn answer(&mut self, id: Serial, body: &[u8]) {
        let mut envelope = Envelope::new(MessageKind::AdminReply, id);
        envelope.body = body;
        self.out.push(&envelope);
    }
}

pub(super) fn too_many() -> Fault {
    Fault::new(
        Code::Overloaded,
        format!(
            "{MAX_IN_FLIGHT} requests of this connection are in flight, which is all it takes; await some"
        ),
    )
}

/// What a peer is told that comes when every place is taken.
pub(in super::super) fn no_place() -> Fault {
    Fault::new(
        Code::Overloaded,
        format!("{MAX_CONNECTIONS} connections are open, which is all the host takes; try again later"),
    )
}

/// What a caller is told that came to a place kept for operators.
pub(super) fn operators_only() -> Fault {
    Fault::new(
        Code::Overloaded,
        format!(
            "{MAX_CONNECTIONS} connections are open and the last places are kept for operators' requests; try \
             again later"
        ),
    )
}

pub(super) fn in_use(id: Serial) -> Fault {
    Fault::new(
        Code::ProtocolViolation,
        format!("expected a new id, found {id}, whose answers are still being sent"),
    )
}

/// The body of an answer that says no.
pub(in super::super) fn refusal(fault: Fault) -> Vec<u8> {
    AdminReply::<()>::Fault(fault).to_json().unwrap_or_else(|fault| {
        tracing::error!(%fault, "an answer could not be written");
        UNWRITABLE.into()
    })
}
