//! What a guest writes, split into lines and held to a rate.
//!
//! Owns the gate between a guest's output and the log: lines are cut to a
//! length, and beyond the plugin's rate they are dropped and counted. A guest
//! is never made to wait for its log.

use std::sync::atomic::{AtomicU64, Ordering};

use odeon_protocol::{Serial, SpanRef};
use parking_lot::Mutex;

use crate::sinks::{Level, LogLine, Stream};
use crate::unit::Unit;

/// A token bucket over bytes, shared by all instances of a plugin.
pub(crate) struct LogGate {
    bucket: Mutex<Bucket>,
    dropped: AtomicU64,
    /// The same, and nobody takes from it.
    dropped_ever: AtomicU64,
}

struct Bucket {
    /// Bytes that may be written now.
    tokens: u64,
    /// When tokens were last added, on the tick clock.
    at_ms: u64,
}

impl LogGate {
    /// A gate that lets `rate` bytes through at once and `rate` per second
    /// after that.
    pub(crate) fn new(rate: u64, now_ms: u64) -> Self {
        LogGate {
            bucket: Mutex::new(Bucket {
                tokens: rate,
                at_ms: now_ms,
            }),
            dropped: AtomicU64::new(0),
            dropped_ever: AtomicU64::new(0),
        }
    }

    fn admit(&self, bytes: u64, rate: u64, now_ms: u64) -> bool {
        let mut bucket = self.bucket.lock();
        let elapsed = now_ms.saturating_sub(bucket.at_ms);
        let earned = rate.saturating_mul(elapsed) / 1000;
        if earned > 0 {
            bucket.tokens = bucket.tokens.saturating_add(earned).min(rate);
            bucket.at_ms = now_ms;
        }
        match bucket.tokens.checked_sub(bytes) {
            Some(left) => {
                bucket.tokens = left;
                true
            }
            None => false,
        }
    }

    /// Counts lines that are not let through.
    pub(crate) fn drop_lines(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        self.dropped_ever.fetch_add(lines, Ordering::Relaxed);
    }

    /// Lines that were ever dropped.
    pub(crate) fn dropped_ever(&self) -> u64 {
        self.dropped_ever.load(Ordering::Relaxed)
    }

    /// Lines dropped since the last one that was let through.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What a line was written during, as far as it is known.
#[derive(Clone, Copy, Default)]
pub(crate) struct During {
    /// The request.
    pub(crate) serial: Option<Serial>,
    /// The call, where that is traced.
    pub(crate) span: Option<SpanRef>,
}

/// What a line costs besides its bytes, so that empty ones are not free.
const LINE_COST: u64 = 64;

impl Unit {
    /// Passes one line on, or drops it when the plugin writes too much. Says
    /// which of the two. `shortened` is whether the text has lost its end
    /// already: a line that is too long is counted here, and once.
    pub(crate) fn log(
        &self,
        during: During,
        stream: Stream,
        level: Level,
        context: &str,
        text: &str,
        shortened: bool,
    ) -> bool {
        let limits = &self.spec.limits;
        let most = usize::try_from(limits.log_line.bytes()).unwrap_or(usize::MAX);
        if shortened || text.len() > most || context.len() > most {
            self.counters.hit("log-line");
        }
        let text = cut(text, most);
        let context = cut(context, most);
        let cost = (text.len() + context.len()) as u64 + LINE_COST;
        let rate = limits.log_rate.bytes();
        if !self.log_gate.admit(cost, rate, self.ticker.now_ms()) {
            self.beyond_rate(1);
            return false;
        }
        self.spec.logs.line(LogLine {
            plugin: &self.spec.name,
            generation: self.generation(),
            serial: during.serial,
            span: during.span,
            stream,
            level,
            context,
            text,
            dropped: self.log_gate.dropped.swap(0, Ordering::Relaxed),
        });
        true
    }

    /// Counts lines that the plugin's rate has no room for.
    fn beyond_rate(&self, lines: u64) {
        self.log_gate.drop_lines(lines);
        self.counters.hit_times("log-rate", lines);
    }
}

/// The text up to `most` bytes, cut between characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Collects what a guest writes to a stream into lines. Holds at most one
/// line; the rest of a longer one is dropped.
pub(crate) struct LineSplitter {
    stream: Stream,
    line: Vec<u8>,
    limit: usize,
    cut: bool,
    /// What writes now.
    during: During,
}

impl LineSplitter {
    pub(crate) fn new(stream: Stream, limit: usize, during: During) -> Self {
        LineSplitter {
            stream,
            during,
            line: Vec::new(),
            limit,
            cut: false,
        }
    }

    /// From now on lines are of this.
    pub(crate) fn write_during(&mut self, during: During) {
        self.during = during;
    }

    /// Takes bytes and passes every line that they complete to the log. After
    /// one that is not let through the others are only counted.
    pub(crate) fn write(&mut self, unit: &Unit, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.keep(line);
            let passed = self.flush(unit);
            rest = after.get(1..).unwrap_or_default();
            if !passed {
                let last = rest
                    .iter()
                    .rposition(|byte| *byte == b'\n')
                    .map_or(0, |at| at + 1);
                let (dropped, unfinished) = rest.split_at(last);
                let lines = dropped.iter().filter(|byte| **byte == b'\n').count();
                unit.beyond_rate(lines as u64);
                rest = unfinished;
            }
        }
        self.keep(rest);
    }

    /// Passes an unfinished line on, at the end of a call.
    pub(crate) fn finish(&mut self, unit: &Unit) {
        if !self.line.is_empty() || self.cut {
            self.flush(unit);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.line.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.line.extend_from_slice(taken);
        self.cut |= taken.len() < bytes.len();
    }

    fn flush(&mut self, unit: &Unit) -> bool {
        let level = match self.stream {
            Stream::Stderr => Level::Warn,
            _ => Level::Info,
        };
        let text = String::from_utf8_lossy(&self.line);
        let passed = unit.log(
            self.during,
            self.stream,
            level,
            "",
            text.strip_suffix('\r').unwrap_or(&text),
            self.cut,
        );
        self.line.clear();
        self.cut = false;
        passed
    }
}
