//! The generated bindings of the interfaces that the SDK wraps.
//!
//! Nothing here is public: each module of the crate re-exports the types it wraps.
#![allow(
    missing_docs,
    reason = "generated from WIT, whose comments are the documentation"
)]
#![allow(unreachable_pub, reason = "generated")]
#![allow(
    unsafe_code,
    reason = "generated: lowers and lifts values at the component boundary"
)]
#![allow(clippy::allow_attributes_without_reason, reason = "generated")]

pub(crate) mod imports {
    wit_bindgen::generate!({
        world: "odeon:sdk/imports",
        path: [
            "../wit/deps/io", "../wit/deps/clocks", "../wit/deps/random", "../wit/deps/filesystem",
            "../wit/deps/sockets", "../wit/deps/cli", "../wit/deps/http", "../wit/deps/config",
            "../wit/deps/logging", "../wit/odeon-plugin", "wit",
        ],
        generate_all,
    });
}

pub mod life_cycle {
    wit_bindgen::generate!({
        world: "odeon:sdk/life-cycle",
        path: [
            "../wit/deps/io", "../wit/deps/clocks", "../wit/deps/random", "../wit/deps/filesystem",
            "../wit/deps/sockets", "../wit/deps/cli", "../wit/deps/http", "../wit/deps/config",
            "../wit/deps/logging", "../wit/odeon-plugin", "wit",
        ],
        runtime_path: "::odeon_sdk::wit_bindgen::rt",
        default_bindings_module: "::odeon_sdk::lifecycle::bindings",
        export_macro_name: "export_lifecycle",
        pub_export_macro: true,
        generate_all,
    });
}

pub mod successor {
    wit_bindgen::generate!({
        world: "odeon:sdk/successor",
        path: [
            "../wit/deps/io", "../wit/deps/clocks", "../wit/deps/random", "../wit/deps/filesystem",
            "../wit/deps/sockets", "../wit/deps/cli", "../wit/deps/http", "../wit/deps/config",
            "../wit/deps/logging", "../wit/odeon-plugin", "wit",
        ],
        runtime_path: "::odeon_sdk::wit_bindgen::rt",
        default_bindings_module: "::odeon_sdk::state::bindings",
        export_macro_name: "export_state",
        pub_export_macro: true,
        generate_all,
    });
}
