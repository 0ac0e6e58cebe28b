//! `wasi:logging/logging`: lines with a level, through the plugin's log gate.

use crate::bindings::wasi::logging::logging::{Host, Level as Wit};
use crate::sinks::{Level, Stream};
use crate::state::HostState;

/// The longest context and message together that are looked at. What is longer
/// counts as a line that was dropped.
const MESSAGE: usize = 2 << 20;

impl Host for HostState {
    fn log(&mut self, level: Wit, context: String, message: String) -> wasmtime::Result<()> {
        if context.len().saturating_add(message.len()) > MESSAGE {
            self.unit.log_gate.drop_lines(1);
            return Ok(());
        }
        let level = match level {
            Wit::Trace => Level::Trace,
            Wit::Debug => Level::Debug,
            Wit::Info => Level::Info,
            Wit::Warn => Level::Warn,
            Wit::Error => Level::Error,
            Wit::Critical => Level::Critical,
        };
        let during = self.call.during();
        self.unit
            .log(during, Stream::Log, level, &context, &message, false);
        Ok(())
    }
}
