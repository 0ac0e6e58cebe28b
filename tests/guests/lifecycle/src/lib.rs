//! Hostile: a load or unload, a save or restore that fails, traps or never ends, as its configuration says.

odeon_sdk::plugin!({
    world: "odeon-tests:lifecycle/lifecycle",
    path: ["../../../wit/deps/io", "../../../wit/deps/clocks", "wit"],
});
odeon_sdk::lifecycle!(Misbehaving);
odeon_sdk::state!(Misbehaving);

use std::cell::{Cell, RefCell};
use std::hint::black_box;

use exports::odeon_tests::lifecycle::probe::Guest;
use odeon_sdk::state::{RestoreError, Snapshot};
use odeon_sdk::{Lifecycle, LoadError, State, config, log, request, secrets};
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

impl State for Misbehaving {
    fn save() -> Result<Snapshot, String> {
        let snapshot = |body| Snapshot {
            format: "calls".to_owned(),
            body,
        };
        match configured("save").map_err(|error| error.to_string())?.as_str() {
            "fail" => Err("it does not want to".to_owned()),
            "huge" => Ok(snapshot(vec![0; HUGE])),
            other => misbehave(other)
                .map(|()| snapshot(CALLS.get().to_le_bytes().into()))
                .map_err(|error| error.to_string()),
        }
    }

    fn restore(saved: Snapshot) -> Result<(), RestoreError> {
        let other = |error: LoadError| RestoreError::Other(error.to_string());
        match configured("restore").map_err(other)?.as_str() {
            "unknown-format" => return Err(RestoreError::UnknownFormat("another".to_owned())),
            how => misbehave(how).map_err(other)?,
        }
        match saved.body.try_into() {
            Ok(calls) => {
                CALLS.set(u32::from_le_bytes(calls));
                Ok(())
            }
            Err(body) => Err(RestoreError::Corrupt(format!("{} bytes", body.len()))),
        }
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

    fn sleep(milliseconds: u32) {
        subscribe_duration(u64::from(milliseconds) * 1_000_000).block();
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
        "look" => {
            let shown = secrets::get("token").and_then(|secret| secret.reveal());
            shown
                .map(drop)
                .map_err(|error| LoadError::Other(format!("{error:?}")))
        }
        "reveal" => reveal_until_refused(),
        unknown => Err(LoadError::Config(format!("`{unknown}` is no way to behave"))),
    }
}

/// Says that it does, when it has begun.
fn reveal_until_refused() -> Result<(), LoadError> {
    let Ok(secret) = secrets::get("token") else {
        return Ok(());
    };
    let mut told = false;
    while secret.reveal().is_ok() {
        if !told {
            log::info!("it reveals");
            told = true;
        }
        subscribe_duration(1_000_000).block();
    }
    Ok(())
}

export!(Misbehaving);
