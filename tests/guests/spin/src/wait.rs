//! Wall time without processor time.

use crate::exports::odeon_tests::spin::wait::Guest;
use crate::wasi::cli::stdin::get_stdin;
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::io::poll::poll;
use crate::wasi::io::streams::StreamError;

/// Tests make another version of the component by writing another number here.
static VERSION: &str = "answered by version 1";

impl Guest for crate::Spin {
    fn sleep_forever() {
        subscribe_duration(u64::MAX).block();
    }

    fn sleep(milliseconds: u32) {
        subscribe_duration(u64::from(milliseconds) * 1_000_000).block();
    }

    fn sleep_version(milliseconds: u32) -> String {
        Self::sleep(milliseconds);
        // Looked up when it is asked for, so that it stands in the component as it is here.
        std::hint::black_box(VERSION).into()
    }

    fn drip(milliseconds: u32) {
        loop {
            Self::sleep(milliseconds);
        }
    }

    fn poll_forever(timers: u32) {
        let timers: Vec<_> = (0..timers).map(|_| subscribe_duration(u64::MAX)).collect();
        poll(&timers.iter().collect::<Vec<_>>());
    }

    fn read_stdin(bytes: u64) -> Result<Vec<u8>, String> {
        match get_stdin().blocking_read(bytes) {
            Ok(bytes) => Ok(bytes),
            Err(StreamError::Closed) => Err("closed".to_owned()),
            Err(StreamError::LastOperationFailed(error)) => Err(error.to_debug_string()),
        }
    }
}
