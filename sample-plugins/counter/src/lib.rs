//! A counter. Its instance is resident, so the number is there in the next call.
//!
//! A new generation takes the number over; a new instance after a trap starts again from the configuration.

odeon_sdk::plugin!();
odeon_sdk::lifecycle!(Counter);
odeon_sdk::state!(Counter);
odeon_sdk::panic_to_log!();

use std::cell::Cell;

use exports::odeon_samples::counter::counting::{Guest, OutOfRange};
use odeon_sdk::state::{RestoreError, Snapshot};
use odeon_sdk::{Lifecycle, LoadError, State, config, log};

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

/// The form of what this version hands over: the number, in eight bytes, little-endian.
const FORM: &str = "counter/1";

impl State for Counter {
    fn save() -> Result<Snapshot, String> {
        Ok(Snapshot {
            format: FORM.into(),
            body: VALUE.get().to_le_bytes().into(),
        })
    }

    fn restore(saved: Snapshot) -> Result<(), RestoreError> {
        if saved.format != FORM {
            return Err(RestoreError::UnknownFormat(FORM.into()));
        }
        let bytes =
            saved.body.as_slice().try_into().map_err(|_| {
                RestoreError::Corrupt(format!("expected 8 bytes, found {}", saved.body.len()))
            })?;
        VALUE.set(i64::from_le_bytes(bytes));
        Ok(())
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
