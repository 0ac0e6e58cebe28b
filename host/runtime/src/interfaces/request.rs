//! `odeon:plugin/request`: the request that is being served.

use crate::bindings::odeon::plugin::request::{Host, ProgressError};
use crate::control::{PROGRESS_DETAILS, Progress};
use crate::state::HostState;

impl Host for HostState {
    fn serial(&mut self) -> wasmtime::Result<String> {
        let serial = self.call.serial();
        if let Some(wasi) = &self.wasi {
            wasi.write_during(self.call.during());
        }
        Ok(serial.to_string())
    }

    fn caller_chain(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self
            .call
            .context()
            .callers
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    fn user_data(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.context().user_data.as_deref().map(str::to_owned))
    }

    fn time_left(&mut self) -> wasmtime::Result<u64> {
        const NANOSECONDS: u64 = 1_000_000;
        Ok(self
            .call
            .left_ms(self.unit.ticker.now_ms())
            .saturating_mul(NANOSECONDS))
    }

    fn is_cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.call.context().interrupt.reason().is_some() || self.unit.interrupt.reason().is_some())
    }

    fn report_progress(
        &mut self,
        completed: u64,
        total: Option<u64>,
        details: String,
    ) -> wasmtime::Result<Result<(), ProgressError>> {
        if details.len() > PROGRESS_DETAILS {
            return Ok(Err(ProgressError::TooLarge(PROGRESS_DETAILS as u32)));
        }
        if !self.call.allowances.progress_reports.take(1) {
            self.unit.counters.hit("progress-reports");
            let most = u32::try_from(self.unit.spec.limits.progress_reports).unwrap_or(u32::MAX);
            return Ok(Err(ProgressError::TooMany(most)));
        }
        if let Some(sink) = &self.call.context().progress {
            sink(Progress {
                completed,
                total,
                details,
            });
        }
        Ok(Ok(()))
    }
}
