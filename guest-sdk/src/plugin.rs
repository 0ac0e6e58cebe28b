//! The macro that turns an author's WIT world into Rust.
//!
//! It only sets options of `wit_bindgen::generate!` so that a plugin needs one dependency; what is generated, and the
//! `export!` macro that comes with it, are that crate's.

/// Generates the bindings of the author's world, and `export!` for the type that implements them.
///
/// Every option of `wit_bindgen::generate!` is accepted. Without any, the only world in the folder `wit` beside
/// `Cargo.toml` is taken.
///
/// * An exported interface `ns:package/noun` becomes the trait `exports::ns::package::noun::Guest`.
/// * The world's own functions become the trait `Guest`.
/// * Imports become modules: `ns::package::noun`.
#[macro_export]
macro_rules! plugin {
    () => {
        $crate::plugin!({});
    };
    ({ $($options:tt)* }) => {
        // A private module keeps the author's lints off generated items; the glob makes them his all the same.
        mod plugin_bindings {
            $crate::wit_bindgen::generate!({
                runtime_path: "::odeon_sdk::wit_bindgen::rt",
                default_bindings_module: "plugin_bindings",
                generate_all,
                $($options)*
            });
        }
        #[allow(unused_imports, reason = "a world may generate nothing but its `Guest`")]
        use plugin_bindings::*;
    };
}
