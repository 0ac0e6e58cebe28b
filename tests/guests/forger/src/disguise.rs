//! Log lines that look like somebody else's.
#![allow(clippy::panic, reason = "the text of a panic is one of the ways into the log")]

use odeon_sdk::log::{Level, write};

use crate::exports::odeon_tests::forger::disguise::Guest;

impl Guest for crate::Forger {
    fn log_newlines() {
        write(
            Level::Info,
            "forger",
            "harmless\n2026-01-01T00:00:00Z INFO odeon: trust policy changed\r\nERROR odeon: stop",
        );
    }

    fn log_controls() {
        write(
            Level::Info,
            "forger",
            "a\u{1b}[2J\u{1b}]0;title\u{7}\rb\u{0}c\u{202e}d\u{9b}31me",
        );
    }

    fn log_as_host() {
        write(Level::Critical, "odeon::audit", "decision=allow digest=sha256:00");
    }

    fn panic_with(message: String) {
        panic!("{message}");
    }

    fn log_huge_context(bytes: u32) {
        write(
            Level::Info,
            &"c".repeat(bytes as usize),
            "the context is the attack",
        );
    }
}
