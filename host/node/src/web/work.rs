//! A request that came in, on the host's books and in its plugin.
//!
//! Owns its way through the gate of whichever generation serves, and its one
//! end.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use odeon_protocol::{Code, Fault, Generation};
use odeon_rmi::{Answer, CancelSignal, Outcome, Ticket};
use odeon_runtime::{CallContext, Incoming, Interrupt};
use tokio::sync::oneshot;

use crate::entry::Found;
use crate::host::Inner;
use crate::registry::Loaded;
use crate::request::{Caller, Life, ended, runtime_reason};
use crate::telemetry::WebEntry;

/// One request that is to be answered.
pub(super) struct Work {
    pub(super) inner: Arc<Inner>,
    pub(super) found: Found,
    pub(super) exchange: Incoming,
    pub(super) caller: Caller,
    pub(super) signal: CancelSignal,
    /// Told how it ended.
    pub(super) ended: oneshot::Sender<Result<(), Fault>>,
    /// Its span, if it is traced.
    pub(super) entry: Option<WebEntry>,
    /// Told which generation answers, before it does, if its client is to know.
    pub(super) answering: Option<Answering>,
}

/// The number of the generation that answers a request, as soon as it is known.
pub(super) type Answering = Arc<OnceLock<Generation>>;

impl Work {
    pub(super) async fn run(self, ticket: Ticket) {
        let Work {
            inner,
            mut found,
            exchange,
            caller,
            signal,
            ended: tell,
            entry,
            answering: by,
        } = self;
        let interrupt = Interrupt::new();
        let serial = ticket.serial();
        let life = Life::of(ticket);
        let context = CallContext {
            serial: Some(serial),
            callers: caller.chain().clone(),
            interrupt: interrupt.clone(),
            progress: Some(life.progress()),
            started: Some(life.started()),
            trace: entry.as_ref().and_then(WebEntry::trace),
            ..CallContext::default()
        };
        let began = Instant::now();
        let answered = {
            let answering = inner.answer(&mut found, exchange, context, by.as_deref());
            tokio::pin!(answering);
            tokio::select! {
                biased;
                answered = &mut answering => answered,
                reason = signal.cancelled() => {
                    interrupt.raise(runtime_reason(reason));
                    answering.await
                }
            }
        };
        if let Err(fault) = &answered
            && let Ok(method) = found.method()
        {
            inner.note_end(&found.loaded, method, fault);
        }
        if let Some(entry) = entry {
            let (generation, code) = match &answered {
                Ok(generation) => (*generation, None),
                Err(fault) => (found.loaded.generation, Some(fault.code)),
            };
            entry.ended(&found.loaded, found.method().ok(), generation, code);
        }
        // Nobody may be there to hear it any more.
        drop(tell.send(answered.as_ref().map(drop).map_err(Fault::clone)));
        life.end(match answered {
            Ok(generation) => Outcome::Succeeded(Answer {
                body: Vec::new(),
                generation,
                elapsed: began.elapsed(),
            }),
            Err(fault) => ended(fault, signal.reason()),
        });
    }
}

/// What answers HTTP requests in this generation.
pub(super) fn handler(loaded: &Arc<Loaded>) -> Result<Found, Fault> {
    let (index, _) = loaded.web_handler().ok_or_else(no_handler)?;
    Ok(Found::new(loaded.clone(), index))
}

#[cold]
fn no_handler() -> Fault {
    Fault::new(
        Code::MethodNotFound,
        "the plugin was replaced by a component that answers no HTTP requests",
    )
}

impl Inner {
    /// Comes in at the generation that serves and has it answer. Gives the
    /// number of that generation.
    async fn answer(
        &self,
        found: &mut Found,
        exchange: Incoming,
        context: CallContext,
        by: Option<&OnceLock<Generation>>,
    ) -> Result<Generation, Fault> {
        let entered = self.enter_web(found, &context, handler).await?;
        let generation = entered.generation();
        if let Some(by) = by {
            by.get_or_init(|| generation);
        }
        let (_, handler) = found.loaded.web_handler().ok_or_else(no_handler)?;
        entered.answer(handler, exchange, context).await?;
        Ok(generation)
    }
}
