//! The host's side of the WIT interfaces that are not WASI's own crates'.
//!
//! Owns nothing by hand: generated from `wit/` when this crate is compiled.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    inline: "
        package odeon:host@0.1.0;
        world host {
            import odeon:plugin/request@0.1.0;
            import odeon:plugin/secrets@0.1.0;
            import odeon:plugin/rmi@0.1.0;
            import wasi:logging/logging@0.1.0-draft;
            import wasi:config/store@0.2.0-rc.1;
        }
    ",
    path: ["../../wit/deps/logging", "../../wit/deps/config", "../../wit/odeon-plugin"],
    imports: { "odeon:plugin/rmi.call": async | trappable, default: trappable },
    with: { "odeon:plugin/secrets.secret": crate::interfaces::secrets::Secret },
    require_store_data_send: true,
});
