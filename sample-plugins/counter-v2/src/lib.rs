//! The next version of the counter. It takes the number over from the first one, and counts the steps besides.

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

/// The forms of a state that this version reads: the number, and behind it, since the second, the steps. Each in eight
/// bytes, little-endian.
const FORMS: [&str; 2] = ["counter/1", "counter/2"];

thread_local! {
    static FIRST: Cell<i64> = const { Cell::new(0) };
    static VALUE: Cell<i64> = const { Cell::new(0) };
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

struct Counter;

impl Lifecycle for Counter {
    fn load() -> Result<(), LoadError> {
        let start = config::parse(START)
            .map_err(|error| LoadError::Config(error.to_string()))?
            .unwrap_or(0);
        FIRST.set(start);
        VALUE.set(start);
        Ok(())
    }
}

impl State for Counter {
    fn save() -> Result<Snapshot, String> {
        let [_, form] = FORMS;
        Ok(Snapshot {
            format: form.into(),
            body: [VALUE.get().to_le_bytes(), STEPS.get().to_le_bytes()].concat(),
        })
    }

    fn restore(saved: Snapshot) -> Result<(), RestoreError> {
        let [first, second] = FORMS;
        let steps = match saved.format.as_str() {
            form if form == first => false,
            form if form == second => true,
            _ => return Err(RestoreError::UnknownFormat(FORMS.join(", "))),
        };
        let corrupt = || {
            RestoreError::Corrupt(format!(
                "{} bytes are no state of {}",
                saved.body.len(),
                saved.format
            ))
        };
        let (numbers, rest) = saved.body.as_chunks::<8>();
        let (value, count) = match (numbers, rest, steps) {
            ([value], [], false) => (*value, 0),
            ([value, count], [], true) => (*value, u64::from_le_bytes(*count)),
            _ => return Err(corrupt()),
        };
        VALUE.set(i64::from_le_bytes(value));
        STEPS.set(count);
        log::info!("going on from {} of {}", VALUE.get(), saved.format);
        Ok(())
    }
}

impl Guest for Counter {
    fn increment(by: i64) -> Result<i64, OutOfRange> {
        let value = VALUE.get();
        let next = value.checked_add(by).ok_or(OutOfRange { value })?;
        VALUE.set(next);
        step();
        Ok(next)
    }

    fn value() -> i64 {
        VALUE.get()
    }

    fn steps() -> u64 {
        STEPS.get()
    }

    fn reset() -> i64 {
        step();
        VALUE.replace(FIRST.get())
    }
}

fn step() {
    STEPS.set(STEPS.get().saturating_add(1));
}

export!(Counter);
