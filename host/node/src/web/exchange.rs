//! One request and its answer.
//!
//! Owns the order: the head is looked at, the plugin is found, the request is
//! taken as a call is, and answered by the plugin or with the reason why not.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming as Sent;
use odeon_authority::Principal;
use odeon_protocol::{Code, Fault, Generation, PluginName};
use odeon_rmi::{IfAbandoned, NewRequest};
use odeon_runtime::Incoming;
use tokio::sync::oneshot;

use super::Known;
use super::body::{LimitedBody, field_bytes, too_long};
use super::config::ClientTrace;
use super::head;
use super::pace::{Pace, Times};
use super::refusal::Refusal;
use super::response::{Abandoned, GuestBody};
use super::work::{Answering, Work, handler};
use crate::host::Inner;
use crate::registry::Loaded;
use crate::request::Caller;
use crate::telemetry::{WebEntry, trace_of};

/// Says which generation gave an answer, where the listener is so configured.
const GENERATION: HeaderName = HeaderName::from_static("odeon-generation");

/// What answers the requests of one listener.
pub(super) struct Desk {
    inner: Arc<Inner>,
    known: Arc<Known>,
    caller: Caller,
    times: Times,
}

/// An answer: the guest's, or the host's own.
pub(super) type Answer = Response<Either<GuestBody, Full<Bytes>>>;

impl Desk {
    pub(super) fn new(inner: Arc<Inner>, known: Arc<Known>, times: Times) -> Self {
        let listener = known.name.clone();
        Desk {
            inner,
            known,
            caller: Caller::new(&Principal::Web { listener }),
            times,
        }
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// Answers a request, in any case.
    pub(super) async fn answer(&self, request: Request<Sent>, pace: &Pace) -> Answer {
        let looked_at = pace.begin(|seen| head::check(&request, seen));
        let entry = self.inner.telemetry.as_ref().and_then(|telemetry| {
            // What is no request says nothing of a trace either.
            let said = match self.known.trace {
                ClientTrace::Continue if looked_at.is_ok() => trace_of(request.headers()),
                _ => None,
            };
            telemetry.http(&self.known.name, request.method(), said)
        });
        let answered = match looked_at {
            Ok(()) => self.ask(request, pace, entry.as_ref()).await,
            Err(refusal) => Err(refusal),
        };
        let refused = answered.as_ref().err().map(|refusal| refusal.fault.code);
        let answer = match answered {
            Ok(response) => response.map(Either::Left),
            Err(refusal) => {
                tracing::debug!(listener = &*self.known.name, fault = %refusal.fault, "a request was refused");
                pace.complete();
                refusal.response().map(Either::Right)
            }
        };
        self.known.counts.answered(answer.status());
        if let Some(entry) = entry {
            entry.answered(answer.status(), refused);
        }
        answer
    }

    /// Has the plugin answer that is served at the request's path.
    async fn ask(
        &self,
        request: Request<Sent>,
        pace: &Pace,
        entry: Option<&WebEntry>,
    ) -> Result<Response<GuestBody>, Refusal> {
        let loaded = self.find(&request)?;
        within_limits(&request, &loaded)?;
        let found = handler(&loaded)?;
        let target = found.method()?.path.clone();
        let new = NewRequest {
            // Its client going is said by hand, and only while it matters.
            if_abandoned: IfAbandoned::LetRun,
            ..NewRequest::new(target, self.caller.text().clone())
        };
        let inner = &self.inner;
        let (ticket, watcher) = inner.requests.accept(new)?;
        let mut abandoned = Abandoned::new(inner.clone(), ticket.serial());
        if let Some(entry) = entry {
            entry.accepted(ticket.serial());
        }
        let method = request.method().clone();
        let plugin = loaded.plugin.clone();
        let (head, body) = request.into_parts();
        let body = LimitedBody::new(body, loaded.plugin.clone(), self.times.stall);
        let trouble = body.trouble();
        let answering = self.known.generation.then(Answering::default);
        let (give, given) = oneshot::channel();
        let (tell, mut ended) = oneshot::channel();
        let work = Work {
            inner: inner.clone(),
            found,
            exchange: Incoming {
                request: Request::from_parts(head, body.boxed_unsync()),
                tls: self.known.tls,
                response: give,
            },
            caller: self.caller.clone(),
            signal: watcher.signal(),
            ended: tell,
            entry: entry.cloned(),
            answering: answering.clone(),
        };
        inner.tasks.spawn(work.run(ticket));
        drop(watcher);
        if let Ok(mut response) = given.await {
            if let Some(generation) = answering.as_deref().and_then(|answering| answering.get()) {
                say_generation(&mut response, &loaded.name, *generation);
            }
            return Ok(GuestBody::of(response, &method, ended, abandoned, pace));
        }
        let ended = (&mut ended).await;
        abandoned.complete();
        Err(match ended {
            Ok(Err(fault)) => trouble.explain(fault, &plugin.spec().limits),
            _ => Fault::new(Code::Internal, "the request broke off in the host; see its log").into(),
        })
    }

    fn find(&self, request: &Request<Sent>) -> Result<Arc<Loaded>, Refusal> {
        let routes = self.inner.registry.routes();
        let found = routes.find(&self.known.name, request.uri().path());
        found.cloned().ok_or_else(|| {
            Fault::new(
                Code::PluginNotFound,
                "expected a path at which a plugin is served; nothing is here",
            )
            .into()
        })
    }
}

/// Says which generation gave this answer. What the guest says of that by itself
/// does not count.
fn say_generation<B>(response: &mut Response<B>, name: &PluginName, generation: Generation) {
    match HeaderValue::try_from(format!("{name}@{generation}")) {
        Ok(value) => drop(response.headers_mut().insert(GENERATION, value)),
        // A plugin's name has no character that a header may not have.
        Err(_) => drop(response.headers_mut().remove(GENERATION)),
    }
}

/// Refuses what the plugin does not take, before it is asked.
fn within_limits(request: &Request<Sent>, loaded: &Loaded) -> Result<(), Refusal> {
    let limits = &loaded.plugin.spec().limits;
    let most = limits.header_bytes.bytes();
    let found = field_bytes(request.headers());
    let refusal = if found > most {
        Refusal::too_large(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "header-bytes",
            format!("expected at most {most} bytes of header fields (limits.header-bytes), found {found}"),
        )
    } else if request.body().size_hint().lower() > limits.http_body.bytes() {
        too_long(limits.http_body.bytes())
    } else {
        return Ok(());
    };
    loaded.plugin.refused(&refusal.fault);
    Err(refusal)
}
