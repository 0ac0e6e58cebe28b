//! Hostile: tries every way out of a preopened folder, and to fill the disk behind it.
//!
//! The calls are raw `wasi:filesystem`: the standard library refuses many of these paths by itself.

odeon_sdk::plugin!({
    world: "odeon-tests:fs-escape/fs-escape",
    path: [
        "../../../wit/deps/io", "../../../wit/deps/clocks", "../../../wit/deps/filesystem", "wit",
    ],
});

mod fill;
mod reach;
mod root;

struct FsEscape;

export!(FsEscape);
