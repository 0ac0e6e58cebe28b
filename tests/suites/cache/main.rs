//! The suite `cache`.
