//! Secrets that the operator granted by name.

use crate::bindings::imports::odeon::plugin::secrets;
pub use secrets::{Secret, SecretError};

/// A handle to the secret `name`. Holding it reveals nothing; [`Secret::reveal`] does, and is audited.
///
/// # Errors
/// The secret is not granted, does not exist, or the operator's store cannot be read.
pub fn get(name: &str) -> Result<Secret, SecretError> {
    secrets::get(name)
}
