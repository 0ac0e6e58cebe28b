//! The text of a panic on `wasm32-unknown-unknown`, where the standard library has nowhere to write it.

use std::panic::PanicHookInfo;

use crate::log::{self, Level};

/// Sends every panic's text to the host's log before the trap.
///
/// Written once in the crate that is the plugin. It makes the component import `wasi:logging`. Not needed on
/// `wasm32-wasip2`, where panics go to stderr and the host logs them from there.
#[macro_export]
macro_rules! panic_to_log {
    () => {
        const _: () = {
            #[cfg(target_family = "wasm")]
            #[used]
            #[allow(unsafe_code, reason = "a constructor runs before the first export")]
            #[unsafe(link_section = ".init_array")]
            static INSTALL: extern "C" fn() = {
                extern "C" fn install() {
                    ::std::panic::set_hook(::std::boxed::Box::new($crate::log_panic));
                }
                install
            };
        };
    };
}

/// The hook that [`panic_to_log!`](crate::panic_to_log!) installs.
#[doc(hidden)]
pub fn log_panic(panic: &PanicHookInfo<'_>) {
    log::write(Level::Critical, "panic", &panic.to_string());
}
