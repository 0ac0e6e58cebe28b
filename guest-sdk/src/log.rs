//! Log lines, through `wasi:logging`. The context of a line is the module that wrote it.
//!
//! The host bounds how many bytes a second it keeps; what is beyond is dropped and counted, never waited for.

use crate::bindings::imports::wasi::logging::logging;
pub use logging::Level;

#[doc(inline)]
pub use crate::{
    __log_critical as critical, __log_debug as debug, __log_error as error, __log_info as info,
    __log_trace as trace, __log_warn as warn,
};

/// Writes one line. The macros of this module are the short form.
pub fn write(level: Level, context: &str, message: &str) {
    logging::log(level, context, message);
}

/// Logs what only its author wants to read: takes what `format!` takes.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_trace {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Trace, ::core::module_path!(), &::std::format!($($message)+))
    };
}

/// Logs what helps to find a fault: takes what `format!` takes.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_debug {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Debug, ::core::module_path!(), &::std::format!($($message)+))
    };
}

/// Logs what an operator may want to know: takes what `format!` takes.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_info {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Info, ::core::module_path!(), &::std::format!($($message)+))
    };
}

/// Logs what an operator should look at: takes what `format!` takes.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_warn {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Warn, ::core::module_path!(), &::std::format!($($message)+))
    };
}

/// Logs what failed: takes what `format!` takes.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_error {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Error, ::core::module_path!(), &::std::format!($($message)+))
    };
}

/// Logs what the plugin does not survive: takes what `format!` takes.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_critical {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Critical, ::core::module_path!(), &::std::format!($($message)+))
    };
}
