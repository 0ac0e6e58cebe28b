//! Hostile: a load or unload that fails, traps or never ends, as its configuration says.

odeon_sdk::plugin!({
    world: "odeon-tests:lifecycle/lifecycle",
    path: ["../../../wit/deps/io", "../../../wit/deps/clocks", "wit"],
});
odeon_sdk::lifecycle!(Misbehaving);

use std::cell::{Cell, RefCell};
use std::hint::black_box;

use exports::odeon_tests::lifecycle::probe::Guest;
use odeon_sdk::{Lifecycle, LoadError, config, request};
use wasi::clocks::monotonic_clock::subscribe_duration;

/// Bytes of the text of a huge error.
const HUGE: usize = 16 * 1024 * 1024;

thread_local! {
    static LOADS: Cell<u32> = const { Cell::new(0) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static CALLERS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Misbehaving;

impl Lifecycle for Misbehaving {
    fn load() -> Result<(), LoadError> {
        LOADS.set(LOADS.get() + 1);
        CALLERS.replace(request::caller_chain());
        match configured("load")?.as_str() {
            "fail-config" => Err(LoadError::Config("load".to_owned())),
            "fail-unavailable" => Err(LoadError::Unavailable("a thing that is not there".to_owned())),
            "fail-other" => Err(LoadError::Other("it does not want to".to_owned())),
            "huge-error" => Err(LoadError::Other("x".repeat(HUGE))),
            other => misbehave(other),
        }
    }

    fn unload() {
        // There is nobody to tell that the configuration could not be read.
        configured("unload").and_then(|how| misbehave(&how)).ok();
    }
}

impl Guest for Misbehaving {
    fn loads() -> u32 {
        LOADS.get()
    }

    fn load_callers() -> Vec<String> {
        CALLERS.with_borrow(Clone::clone)
    }

    fn calls() -> u32 {
        CALLS.set(CALLS.get() + 1);
        CALLS.get()
    }

    fn trap() {
        std::process::abort();
    }
}

fn configured(key: &str) -> Result<String, LoadError> {
    let how = config::get(key).map_err(|_| LoadError::Config(key.to_owned()))?;
    Ok(how.unwrap_or_else(|| "ok".to_owned()))
}

#[allow(clippy::panic, reason = "panicking is one of the ways")]
fn misbehave(how: &str) -> Result<(), LoadError> {
    match how {
        "ok" => Ok(()),
        "trap" => std::process::abort(),
        "panic" => panic!("as configured"),
        "spin" => loop {
            black_box(());
        },
        "sleep" => {
            subscribe_duration(u64::MAX).block();
            Ok(())
        }
        "grow" => {
            let mut blocks = Vec::new();
            loop {
                blocks.push(black_box(vec![1_u8; HUGE]));
            }
        }
        unknown => Err(LoadError::Config(format!("`{unknown}` is no way to behave"))),
    }
}

export!(Misbehaving);
