//! Hostile: uses up processor time, wall time, stack, memory and what the host keeps, or ends badly.
//!
//! Every attack is a method of its own, so that a test names the one it stops. The calls to the host are raw: the
//! standard library would give up earlier by itself. Growing memory exists on wasm alone, and so does this crate.
#![cfg(target_family = "wasm")]

odeon_sdk::plugin!({
    world: "odeon-tests:spin/spin",
    path: [
        "../../../wit/deps/io", "../../../wit/deps/clocks", "../../../wit/deps/random", "../../../wit/deps/filesystem",
        "../../../wit/deps/sockets", "../../../wit/deps/cli", "../../../wit/deps/logging", "wit",
    ],
});

mod cpu;
mod ending;
mod flood;
mod memory;
mod snoop;
mod wait;

struct Spin;

export!(Spin);
