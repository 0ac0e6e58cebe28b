//! Ends other than a result. The engine's other traps are in `tests/guests/wat/traps.wat`.
#![allow(clippy::panic, reason = "panicking is what this is for")]

use crate::exports::odeon_tests::spin::ending::Guest;
use crate::wasi::cli::exit;

impl Guest for crate::Spin {
    fn panic(message: String) {
        panic!("{message}");
    }

    fn unreachable() {
        std::process::abort();
    }

    fn exit(ok: bool) {
        exit::exit(if ok { Ok(()) } else { Err(()) });
    }
}
