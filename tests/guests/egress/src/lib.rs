//! Hostile: reaches over the network for what was not granted.
//!
//! The calls are raw `wasi:sockets` and `wasi:http`, so that every attempt reaches the host.

odeon_sdk::plugin!({
    world: "odeon-tests:egress/egress",
    path: [
        "../../../wit/deps/io", "../../../wit/deps/clocks", "../../../wit/deps/random", "../../../wit/deps/filesystem",
        "../../../wit/deps/sockets", "../../../wit/deps/cli", "../../../wit/deps/http", "wit",
    ],
});

mod address;
mod sockets;
mod web;

struct Egress;

export!(Egress);
