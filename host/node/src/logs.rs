//! What plugins and the host wrote, for whoever asks later or follows.
//!
//! Owns a bounded memory of lines and the handing out to followers. A follower
//! that is slow loses lines, counted; a guest never waits for one.

use std::collections::VecDeque;
use std::sync::Arc;

use odeon_protocol::{LogSource, PluginName};
use odeon_runtime::{Level, LogSink, Stream};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::telemetry::{LogRecord, Telemetry};

/// The most lines that are remembered.
pub const KEPT_LINES: usize = 10_000;
/// The most bytes of text that are remembered.
pub const KEPT_BYTES: usize = 4 << 20;
/// The most lines that one follower may be behind.
pub const FOLLOWER_BEHIND: usize = 1024;

/// The tracing target of what guests write, so that a subscriber which feeds
/// the host's own lines into [`Logs`] can leave them out.
pub const GUEST_TARGET: &str = "odeon::guest";

/// The lines of one host. Cheap to clone.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

struct Shared {
    kept: Mutex<Kept>,
    followers: broadcast::Sender<Arc<Line>>,
    /// Where lines go besides, if the embedding program wants them.
    also: Option<Arc<dyn LogSink>>,
    /// And the collector, if there is one.
    telemetry: Option<Telemetry>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
}

/// A line as `odeon logs` shows it.
pub type Line = odeon_protocol::LogLine;

/// Sees new lines as they are written.
pub struct Follower {
    lines: broadcast::Receiver<Arc<Line>>,
    plugin: Option<PluginName>,
    missed: u64,
}

impl Logs {
    pub(crate) fn new(also: Option<Arc<dyn LogSink>>, telemetry: Option<Telemetry>) -> Self {
        let (followers, _) = broadcast::channel(FOLLOWER_BEHIND);
        Logs(Arc::new(Shared {
            kept: Mutex::default(),
            followers,
            also,
            telemetry,
        }))
    }

    /// Takes a line of the host itself.
    pub fn host_line(&self, level: &str, text: &str) {
        if let Some(telemetry) = &self.0.telemetry {
            telemetry.log(LogRecord::new(level, text, LogSource::Host));
        }
        self.keep(Line {
            time: now(),
            plugin: None,
            generation: None,
            level: level.to_owned(),
            stream: LogSource::Host,
            text: text.to_owned(),
            dropped: 0,
        });
    }

    /// The last lines, oldest first: at most `most`, of one plugin or of all.
    pub fn tail(&self, plugin: Option<&PluginName>, most: usize) -> Vec<Arc<Line>> {
        self.0.kept.lock().tail(plugin, most)
    }

    /// The last lines and a follower that goes on exactly behind them.
    pub fn follow(&self, plugin: Option<&PluginName>, most: usize) -> (Vec<Arc<Line>>, Follower) {
        // Lines are kept and sent under this lock, so none is seen twice.
        let kept = self.0.kept.lock();
        let lines = self.0.followers.subscribe();
        (
            kept.tail(plugin, most),
            Follower {
                lines,
                plugin: plugin.cloned(),
                missed: 0,
            },
        )
    }

    fn keep(&self, line: Line) {
        let line = Arc::new(line);
        let mut kept = self.0.kept.lock();
        kept.bytes = kept.bytes.saturating_add(weight(&line));
        kept.lines.push_back(line.clone());
        while kept.lines.len() > KEPT_LINES || kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.lines.pop_front() else {
                break;
            };
            kept.bytes = kept.bytes.saturating_sub(weight(&oldest));
        }
        // Without followers there is nobody to tell.
        self.0.followers.send(line).ok();
    }
}

impl Kept {
    fn tail(&self, plugin: Option<&PluginName>, most: usize) -> Vec<Arc<Line>> {
        let fits = |line: &&Arc<Line>| plugin.is_none() || line.plugin.as_ref() == plugin;
        let mut lines: Vec<Arc<Line>> = self.lines.iter().rev().filter(fits).take(most).cloned().collect();
        lines.reverse();
        lines
    }
}

impl Follower {
    /// The next line, once it is written; `None` when the host is gone.
    /// Cancellation safe.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            match self.lines.recv().await {
                Ok(line) if self.plugin.is_none() || line.plugin == self.plugin => {
                    let mut line = Line::clone(&line);
                    line.dropped = line.dropped.saturating_add(std::mem::take(&mut self.missed));
                    return Some(line);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => self.missed = self.missed.saturating_add(missed),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl LogSink for Logs {
    fn line(&self, line: odeon_runtime::LogLine<'_>) {
        emit(&line);
        if let Some(also) = &self.0.also {
            also.line(line);
        }
        let text = match line.context {
            "" => line.text.to_owned(),
            context => format!("{context}: {}", line.text),
        };
        let source = match line.stream {
            Stream::Stdout => LogSource::Stdout,
            Stream::Stderr => LogSource::Stderr,
            Stream::Log => LogSource::Log,
        };
        if let Some(telemetry) = &self.0.telemetry {
            let record = LogRecord::new(severity(line.level), &text, source);
            telemetry.log(record.of(&line));
        }
        self.keep(Line {
            time: now(),
            plugin: Some(line.plugin.clone()),
            generation: Some(line.generation),
            level: level(line.level).to_owned(),
            stream: source,
            text,
            dropped: line.dropped,
        });
    }
}

fn weight(line: &Line) -> usize {
    line.text.len().saturating_add(size_of::<Line>())
}

fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error | Level::Critical => "error",
    }
}

/// The same, where more is told apart.
fn severity(of: Level) -> &'static str {
    match of {
        Level::Critical => "critical",
        other => level(other),
    }
}

fn emit(line: &odeon_runtime::LogLine<'_>) {
    macro_rules! emit {
        ($level:ident) => {
            tracing::$level!(
                target: GUEST_TARGET,
                plugin = line.plugin.as_str(),
                generation = line.generation.0,
                context = line.context,
                dropped = line.dropped,
                "{}",
                line.text.escape_debug()
            )
        };
    }
    match line.level {
        Level::Trace => emit!(trace),
        Level::Debug => emit!(debug),
        Level::Info => emit!(info),
        Level::Warn => emit!(warn),
        Level::Error | Level::Critical => emit!(error),
    }
}

#[cfg(test)]
mod tests;
