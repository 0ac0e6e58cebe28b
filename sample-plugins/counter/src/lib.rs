//! A counter. Its instance is resident, so the number is there in the next call.
//!
//! A new generation, or a new instance after a trap, starts again from the configuration.

odeon_sdk::plugin!();
odeon_sdk::lifecycle!(Counter);
odeon_sdk::panic_to_log!();

use std::cell::Cell;

use exports::odeon_samples::counter::counting::{Guest, OutOfRange};
use odeon_sdk::{Lifecycle, LoadError, config, log};

/// The configuration key of the first number; zero without it.
const START: &str = "start";

thread_local! {
    static FIRST: Cell<i64> = const { Cell::new(0) };
    static VALUE: Cell<i64> = const { Cell::new(0) };
}

struct Counter;

impl Lifecycle for Counter {
    fn load() -> Result<(), LoadError> {
        let start = config::parse(START)
            .map_err(|error| LoadError::Config(error.to_string()))?
            .unwrap_or(0);
        FIRST.set(start);
        VALUE.set(start);
        log::info!("counting from {start}");
        Ok(())
    }

    fn unload() {
        log::info!("stopped at {}", VALUE.get());
    }
}

impl Guest for Counter {
    fn increment(by: i64) -> Result<i64, OutOfRange> {
        let value = VALUE.get();
        let next = value.checked_add(by).ok_or(OutOfRange { value })?;
        VALUE.set(next);
        Ok(next)
    }

    fn value() -> i64 {
        VALUE.get()
    }

    fn reset() -> i64 {
        VALUE.replace(FIRST.get())
    }
}

export!(Counter);
