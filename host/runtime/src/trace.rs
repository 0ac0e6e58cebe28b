//! Calls that are traced: one span for each.
//!
//! Owns where a call stands in its trace, and the span of it, from its place in
//! the gate to its end. Which calls are traced is decided by whoever begins a
//! trace; who is called from there is traced too, up to [`MOST_SPANS`].
//!
//! **Invariant:** a call that is not traced pays for one look at a pointer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use odeon_protocol::{Code, Fault, Generation, PluginName, Serial, SpanId, SpanRef};

use crate::control::CallContext;
use crate::links::method_text;
use crate::plugin::{MethodId, Shared};
use crate::unit::Unit;

/// The most spans below the one that a trace begins with here: a guest can call
/// others as often as it likes, and whoever takes spans has room for so many.
pub const MOST_SPANS: u64 = 1000;

/// Takes the spans of calls. It must return at once: it is called on the guest's
/// own thread.
pub trait SpanSink: Send + Sync {
    /// Takes one that has ended.
    fn ended(&self, span: CallSpan<'_>);
}

/// A call of a plugin that has ended, or that another plugin wanted to make and
/// could not.
#[derive(Clone, Debug)]
pub struct CallSpan<'a> {
    /// Its own place in the trace.
    pub at: SpanRef,
    /// The span that it was made in.
    pub parent: SpanId,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// Which plugin.
    pub plugin: &'a PluginName,
    /// The outermost plugin of the request, on whose account all of it is.
    pub outermost: &'a PluginName,
    /// Which of its generations; none where the call did not come in.
    pub generation: Option<Generation>,
    /// The method, as a caller would name it.
    pub method: &'a str,
    /// The request's serial, where the caller gave one.
    pub serial: Option<Serial>,
    /// Who called; none where the embedding program did, directly.
    pub caller: Option<&'a Principal>,
    /// The fault that it ended with, if it did.
    pub code: Option<Code>,
}

/// The span that a call is made in, whose spans somebody takes. Cheap to clone.
#[derive(Clone)]
pub struct Trace(Arc<Inner>);

struct Inner {
    at: SpanRef,
    sink: Arc<dyn SpanSink>,
    below: Arc<Below>,
}

/// What is known of everything below the span that a trace begins with here.
#[derive(Default)]
struct Below {
    /// How many spans were wanted.
    wanted: AtomicU64,
    /// The plugin that was called first.
    outermost: OnceLock<PluginName>,
}

impl Trace {
    /// What is called in this span has spans below it.
    pub fn new(at: SpanRef, sink: Arc<dyn SpanSink>) -> Self {
        let below = Arc::default();
        Trace(Arc::new(Inner { at, sink, below }))
    }

    /// How many calls below the first span have none of their own so far.
    pub fn left_out(&self) -> u64 {
        let wanted = self.0.below.wanted.load(Ordering::Relaxed);
        wanted.saturating_sub(MOST_SPANS)
    }

    /// The span.
    pub(crate) fn at(&self) -> SpanRef {
        self.0.at
    }

    /// Another span of the same trace, for a call of this plugin, unless there are
    /// too many. What is too much is counted.
    fn next(&self, plugin: &PluginName) -> Option<SpanRef> {
        let below = &self.0.below;
        below.outermost.get_or_init(|| plugin.clone());
        let before = below.wanted.fetch_add(1, Ordering::Relaxed);
        (before < MOST_SPANS).then(|| SpanRef {
            trace: self.0.at.trace,
            span: SpanId::random(),
        })
    }

    /// What is called in this span of the same trace.
    fn inside(&self, at: SpanRef) -> Trace {
        Trace(Arc::new(Inner {
            at,
            sink: self.0.sink.clone(),
            below: self.0.below.clone(),
        }))
    }

    /// The plugin that was called first, for a span of this one.
    fn outermost<'a>(&'a self, plugin: &'a PluginName) -> &'a PluginName {
        self.0.below.outermost.get().unwrap_or(plugin)
    }

    /// A call that did not come in has a span all the same.
    #[cold]
    pub(crate) fn not_made(
        &self,
        context: &CallContext,
        plugin: &PluginName,
        method: &str,
        began: Instant,
        fault: &Fault,
    ) {
        let Some(at) = self.next(plugin) else { return };
        self.0.sink.ended(CallSpan {
            at,
            parent: self.0.at.span,
            began,
            took: began.elapsed(),
            plugin,
            outermost: self.outermost(plugin),
            generation: None,
            method,
            serial: context.serial,
            caller: context.callers.last(),
            code: Some(fault.code),
        });
    }
}

/// The span of a call that runs. Dropping it says that the call was given up.
pub(crate) struct Span {
    trace: Trace,
    parent: SpanId,
    began: Instant,
    unit: Arc<Unit>,
    method: String,
    serial: Option<Serial>,
    callers: Arc<[Principal]>,
    /// How it ended. Whoever gives a call up says nothing.
    code: Option<Code>,
}

impl Span {
    /// Begins the span of this call, if it is traced: what it calls is below it.
    /// One that is left out leaves what it calls, and its words, to the span that
    /// it was made in.
    #[inline]
    pub(crate) fn begin(context: &mut CallContext, shared: &Shared, method: MethodId) -> Option<Self> {
        let outer = context.trace.clone()?;
        let at = outer.next(&shared.unit.spec.name)?;
        Some(Self::below(&outer, at, context, shared, method))
    }

    fn below(
        outer: &Trace,
        at: SpanRef,
        context: &mut CallContext,
        shared: &Shared,
        method: MethodId,
    ) -> Self {
        let trace = outer.inside(at);
        context.trace = Some(trace.clone());
        let export = shared.source.description.exports.get(method.number());
        let unit = shared.unit.clone();
        let (interface, function) = match export {
            Some(export) => (export.interface.as_deref(), &*export.function),
            None => (None, ""),
        };
        Span {
            trace,
            parent: outer.0.at.span,
            began: Instant::now(),
            method: method_text(unit.spec.name.as_str(), interface, function),
            unit,
            serial: context.serial,
            callers: context.callers.clone(),
            code: Some(Code::Cancelled),
        }
    }

    /// The call has ended so.
    pub(crate) fn end<T>(mut self, ended: &Result<T, Fault>) {
        self.code = ended.as_ref().err().map(|fault| fault.code);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let plugin = &self.unit.spec.name;
        self.trace.0.sink.ended(CallSpan {
            at: self.trace.at(),
            parent: self.parent,
            began: self.began,
            took: self.began.elapsed(),
            plugin,
            outermost: self.trace.outermost(plugin),
            generation: Some(self.unit.generation()),
            method: &self.method,
            serial: self.serial,
            caller: self.callers.last(),
            code: self.code,
        });
    }
}

/// Ends the span of a call, if it has one.
#[inline]
pub(crate) fn end<T>(span: Option<Span>, ended: &Result<T, Fault>) {
    if let Some(span) = span {
        span.end(ended);
    }
}
