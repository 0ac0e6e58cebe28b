//! The optional life cycle: what runs once before the first call of a generation and once after the last.

#[doc(hidden)]
pub use crate::bindings::life_cycle as bindings;
pub use bindings::exports::odeon::plugin::lifecycle::LoadError;

/// What a plugin does when it is put into service and taken out of it.
///
/// The host calls these only if the crate says [`lifecycle!`](crate::lifecycle!).
pub trait Lifecycle {
    /// Runs before the first call of this generation.
    ///
    /// # Errors
    /// An error refuses the load, and what ran before stays in service.
    fn load() -> Result<(), LoadError>;

    /// Runs after the last call of this generation. What it does changes nothing any more.
    fn unload() {}
}

/// Exports [`Lifecycle`] as implemented by the given type.
#[macro_export]
macro_rules! lifecycle {
    ($plugin:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::lifecycle::bindings::exports::odeon::plugin::lifecycle::Guest for Exported {
                fn load() -> ::core::result::Result<(), $crate::LoadError> {
                    <$plugin as $crate::Lifecycle>::load()
                }

                fn unload() {
                    <$plugin as $crate::Lifecycle>::unload();
                }
            }

            $crate::lifecycle::bindings::export_lifecycle!(Exported with_types_in $crate::lifecycle::bindings);
        };
    };
}
