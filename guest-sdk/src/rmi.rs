//! Other plugins' methods by name.
//!
//! For plugins that learn only at run time whom they call. One that knows imports the other's interface in its own WIT,
//! and the operator links the two: then the compiler checks the types, and no grant is needed.
//!
//! The operator has to grant it: `call=PLUGIN`, or `call=PLUGIN/METHOD` for one method.

mod value;

use std::fmt;

use crate::bindings::imports::odeon::plugin::rmi;
pub use rmi::{Fault, Retry};

pub use self::value::Value;

/// Why a call has no result.
#[derive(Clone, Debug)]
pub enum CallError {
    /// The host or the other plugin says why.
    Fault(Fault),
    /// The result is of another type than was expected.
    OtherType,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Fault(fault) => write!(f, "{}: {}", fault.code, fault.message),
            CallError::OtherType => {
                f.write_str("the method returned a value of another type than was expected")
            }
        }
    }
}

impl std::error::Error for CallError {}

/// Calls a method with a tuple of arguments, and waits for its result: `()` where it has none.
///
/// The host checks the arguments against the method's type. An error that the method itself returns is a
/// [`Result`] inside the value.
///
/// ```no_run
/// # use odeon_sdk::rmi;
/// # fn example() -> Result<(), rmi::CallError> {
/// let sum: u32 = rmi::call("calculator/add", (1_u32, 2_u32))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The call was denied or ended with a fault, or the result is no `R`.
pub fn call<R: Value>(method: &str, args: impl Value) -> Result<R, CallError> {
    let mut bytes = Vec::new();
    args.write(&mut bytes);
    let reply = call_encoded(method, None, &bytes).map_err(CallError::Fault)?;
    let mut rest = reply.as_slice();
    match R::read(&mut rest) {
        Some(result) if rest.is_empty() => Ok(result),
        _ => Err(CallError::OtherType),
    }
}

/// Calls a method with arguments in the host's own encoding, all after each other. With a fingerprint, only if that is
/// the one of the method's type.
///
/// # Errors
/// The call was denied or ended with a fault.
pub fn call_encoded(method: &str, fingerprint: Option<&str>, args: &[u8]) -> Result<Vec<u8>, Fault> {
    rmi::call(method, fingerprint, args)
}
