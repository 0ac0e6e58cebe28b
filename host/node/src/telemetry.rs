//! Traces and logs, for a collector on this machine that speaks OTLP.
//!
//! Owns which requests are traced, and the two queues from which what is known
//! of them is sent. How that is said is in `json`, the way to the collector in
//! `export` and `post`, and what the log says of that in `complaint`.
//!
//! **Invariant:** nobody who calls or serves waits for the collector: what it
//! does not take in time is dropped, and counted.
//!
//! **Invariant:** no text of a guest or a caller is in a span but the names of
//! methods, and in a log record no more of it than [`record::MAX_TEXT`].

mod complaint;
mod config;
mod entry;
mod export;
mod headers;
mod json;
mod post;
mod queue;
mod record;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use odeon_protocol::{Serial, SpanId, SpanRef, TraceId, TraceParent};
use odeon_runtime::{CallSpan, SpanSink};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{InvalidOtlpAddress, InvalidSampleShare, OtlpAddress, OtlpConfig, SampleShare};
pub(crate) use self::entry::{Entry, WebEntry, trace_of};
use self::queue::Queue;
pub(crate) use self::record::LogRecord;
use self::record::{Hop, Span};
use crate::error::StartHostError;
use crate::host::Tasks;
use crate::metrics::{Kind, Text};

/// How long the last of what there is to send may take.
const FLUSH: Duration = Duration::from_secs(3);

/// What is traced and told to a collector. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Telemetry(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    headers: Option<PathBuf>,
    sample: SampleShare,
    /// Of this host, while it is there.
    instance: String,
    spans: Queue<Span>,
    logs: Queue<LogRecord>,
    /// Nothing more comes; what there is has [`FLUSH`] to be sent.
    closing: CancellationToken,
    /// Those who send it, until it was sent or given up.
    sending: TaskTracker,
}

impl Telemetry {
    /// For this collector. Reads the file of headers, so that one that cannot be
    /// used is known at the start.
    pub(crate) fn new(config: OtlpConfig) -> Result<Self, StartHostError> {
        if let Some(path) = &config.headers {
            headers::read(path).map_err(|problem| StartHostError::OtlpHeaders {
                path: path.clone(),
                problem,
            })?;
        }
        Ok(Telemetry(Arc::new(Shared {
            address: config.address.get(),
            headers: config.headers,
            sample: config.sample,
            instance: Serial::new().to_string(),
            spans: Queue::new(),
            logs: Queue::new(),
            closing: CancellationToken::new(),
            sending: TaskTracker::new(),
        })))
    }

    /// Sends from now on.
    pub(crate) fn begin(&self, tasks: &Tasks) {
        self.begin_one::<Span>(tasks);
        self.begin_one::<LogRecord>(tasks);
    }

    fn begin_one<T: export::Signal>(&self, tasks: &Tasks) {
        let sending = export::run::<T>(self.0.clone(), tasks.stop.clone());
        tasks.spawn(self.0.sending.track_future(sending));
    }

    /// Sends what there is, for as long as [`FLUSH`], and nothing after that:
    /// spans and lines side by side.
    pub(crate) async fn end(&self) {
        self.0.closing.cancel();
        self.0.sending.close();
        // Their own time is shorter.
        if tokio::time::timeout(2 * FLUSH, self.0.sending.wait())
            .await
            .is_err()
        {
            tracing::warn!("what is told to the collector did not come to its end");
        }
    }

    /// Where a request stands in a trace that is recorded, and what it is below.
    fn place(&self, said: Option<TraceParent>) -> Option<(SpanRef, Option<SpanId>)> {
        let (trace, parent) = match said {
            // Whoever calls has decided for all that comes of it.
            Some(said) if !said.sampled => return None,
            Some(said) => (said.parent.trace, Some(said.parent.span)),
            None if self.0.sample.is_none() => return None,
            None => (TraceId::random(), None),
        };
        if parent.is_none() && !self.0.sample.takes(trace) {
            return None;
        }
        let span = SpanId::random();
        Some((SpanRef { trace, span }, parent))
    }

    fn sink(&self) -> Arc<dyn SpanSink> {
        self.0.clone()
    }

    /// Takes a line of a log.
    pub(crate) fn log(&self, record: LogRecord) {
        self.0.logs.push(record);
    }

    /// What became of spans and lines.
    pub(crate) fn write_metrics(&self, text: &mut Text) {
        let queues = [
            ("spans", self.0.spans.counts(), self.0.spans.len()),
            ("logs", self.0.logs.counts(), self.0.logs.len()),
        ];
        let mut sent = text.family(
            "odeon_otlp_sent_total",
            Kind::Counter,
            "Spans and log records that the collector took.",
        );
        for (signal, counts, _) in &queues {
            sent.row(&[("signal", signal)], counts.sent.load(Ordering::Relaxed));
        }
        let mut dropped = text.family(
            "odeon_otlp_dropped_total",
            Kind::Counter,
            "Spans and log records that were dropped: the queue was full, or the collector did not take them.",
        );
        for (signal, counts, _) in &queues {
            for (reason, count) in [("queue", &counts.full), ("collector", &counts.untaken)] {
                dropped.row(
                    &[("signal", signal), ("reason", reason)],
                    count.load(Ordering::Relaxed),
                );
            }
        }
        let mut queued = text.family(
            "odeon_otlp_queued",
            Kind::Gauge,
            "Spans and log records that wait to be sent.",
        );
        for (signal, _, length) in &queues {
            queued.row(&[("signal", signal)], length);
        }
    }
}

impl Shared {
    fn take(&self, span: Span) {
        self.spans.push(span);
    }
}

impl SpanSink for Shared {
    fn ended(&self, call: CallSpan<'_>) {
        let mut span = Span::new(Hop::Call, call.at, Some(call.parent), call.method, call.began);
        span.took = call.took;
        span.owner = Some(call.outermost.clone());
        span.put("odeon.plugin", call.plugin.as_str());
        span.put_method(call.method);
        if let Some(generation) = call.generation {
            span.put_number("odeon.generation", generation.0);
        }
        if let Some(caller) = call.caller {
            span.put("odeon.principal.kind", caller.kind());
        }
        if let Some(serial) = call.serial {
            span.put("odeon.serial", &serial.to_string());
        }
        span.code = call.code;
        self.take(span);
    }
}
