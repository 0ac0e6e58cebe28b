//! Hostile: exports and imports of the asynchronous ABI.
//!
//! Nothing here goes through a library that would give up by itself: every attempt reaches the host.

odeon_sdk::plugin!({
    world: "odeon-tests:concurrent/concurrent",
    path: [
        "../../../wit/deps/0.3/clocks", "../../../wit/deps/0.3/random", "../../../wit/deps/0.3/filesystem",
        "../../../wit/deps/0.3/sockets", "../../../wit/deps/0.3/cli", "../../../wit/deps/0.3/http", "wit",
    ],
});

mod join;
mod output;
mod sockets;
mod web;
mod work;

struct Concurrent;

export!(Concurrent);
