//! The suite `compile`.
