//! The state that one generation of a plugin hands to the next when it is replaced.

#[doc(hidden)]
pub use crate::bindings::successor as bindings;
pub use bindings::exports::odeon::plugin::state::{RestoreError, Snapshot};

/// What a plugin does with its state when another generation comes in its place.
///
/// The host calls these only if the crate says [`state!`](crate::state!), if the next generation does as well, and if
/// both are resident with one worker: then all calls are answered by the one instance that is asked here.
pub trait State {
    /// Runs after the last call of the old generation.
    ///
    /// # Errors
    /// Words for the operator. The replace is refused, and this generation goes on.
    fn save() -> Result<Snapshot, String>;

    /// Runs in the new generation, after its `load` and before its first call.
    ///
    /// # Errors
    /// The replace is refused, and the old generation goes on.
    fn restore(saved: Snapshot) -> Result<(), RestoreError>;
}

/// Exports [`State`] as implemented by the given type.
#[macro_export]
macro_rules! state {
    ($plugin:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::state::bindings::exports::odeon::plugin::state::Guest for Exported {
                fn save() -> ::core::result::Result<$crate::state::Snapshot, ::std::string::String> {
                    <$plugin as $crate::State>::save()
                }

                fn restore(
                    saved: $crate::state::Snapshot,
                ) -> ::core::result::Result<(), $crate::state::RestoreError> {
                    <$plugin as $crate::State>::restore(saved)
                }
            }

    $crate::state::bindings::export_state!(Exported with_types_in $crate::state::bindings);
        };
    };
}
