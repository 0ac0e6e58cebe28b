//! Hostile: keeps what it opened, and goes on using it when the grant is gone.

odeon_sdk::plugin!({
    world: "odeon-tests:holder/holder",
    path: [
        "../../../wit/deps/io", "../../../wit/deps/clocks", "../../../wit/deps/random", "../../../wit/deps/filesystem",
        "../../../wit/deps/sockets", "../../../wit/deps/cli", "../../../wit/deps/http", "wit",
    ],
});

mod kept;
mod long;
mod reach;

struct Holder;

export!(Holder);
