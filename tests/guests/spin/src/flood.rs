//! What the host keeps or passes on for a guest.

use std::mem::forget;

use crate::exports::odeon_tests::spin::flood::Guest;
use crate::wasi::cli::stdout::get_stdout;
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::logging::logging::{Level, log};
use crate::wasi::random::random::get_random_bytes;

/// The most that `blocking-write-and-flush` takes at once.
const CHUNK: usize = 4096;

impl Guest for crate::Spin {
    fn log_forever() {
        loop {
            log(Level::Info, "flood", "another line");
        }
    }

    fn log_lines(lines: u32, bytes: u32) {
        let line = "x".repeat(bytes as usize);
        for _ in 0..lines {
            log(Level::Info, "flood", &line);
        }
    }

    fn log_huge_forever(bytes: u32) {
        let line = "x".repeat(bytes as usize);
        loop {
            log(Level::Info, "flood", &line);
        }
    }

    fn stdout_forever() {
        while Self::stdout_bytes(u64::MAX) > 0 {}
    }

    fn stdout_bytes(bytes: u64) -> u64 {
        let stdout = get_stdout();
        let mut written = 0;
        while written < bytes {
            let length = usize::try_from(bytes - written).map_or(CHUNK, |left| left.min(CHUNK));
            if stdout.blocking_write_and_flush(&vec![b'x'; length]).is_err() {
                break;
            }
            written += length as u64;
        }
        written
    }

    fn stdout_no_text(bytes: u32) -> bool {
        get_stdout()
            .blocking_write_and_flush(&vec![0xff; bytes as usize])
            .is_ok()
    }

    fn stdout_newlines(lines: u64) -> u64 {
        let stdout = get_stdout();
        let mut written = 0;
        while written < lines {
            let room = stdout.check_write().unwrap_or(0).min(lines - written);
            let piece = vec![b'\n'; room as usize];
            if room == 0 || stdout.write(&piece).is_err() {
                break;
            }
            written += room;
        }
        written
    }

    fn stdout_at_once(bytes: u32) {
        // What came of it is not the question: a host that keeps its word ends the call.
        let _written = get_stdout().write(&vec![b'x'; bytes as usize]);
    }

    fn pollables_forever() {
        loop {
            forget(subscribe_duration(u64::MAX));
        }
    }

    fn streams_forever() {
        loop {
            forget(get_stdout());
        }
    }

    fn handles(count: u32) -> u32 {
        let handles: Vec<_> = (0..count).map(|_| subscribe_duration(u64::MAX)).collect();
        handles.len() as u32
    }

    fn random_bytes(bytes: u64) -> u64 {
        get_random_bytes(bytes).len() as u64
    }

    fn random_forever(bytes: u64) {
        loop {
            Self::random_bytes(bytes);
        }
    }
}
