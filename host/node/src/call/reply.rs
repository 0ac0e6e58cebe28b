//! What a call gave back, and the forms it can be shown in.

use std::sync::Arc;
use std::time::Duration;

use odeon_protocol::{
    Code, Fault, FunctionType, Generation, Serial, Type, Value, ValueError, ValueLimits, json, wave, wire,
};

/// What a call gave back.
#[derive(Clone, Debug)]
pub struct CallReply {
    /// The result in the wire form; empty where the method has none.
    pub bytes: Vec<u8>,
    /// The method's type.
    pub ty: Arc<FunctionType>,
    /// The generation that answered.
    pub generation: Generation,
    /// How long the call took, waiting included.
    pub elapsed: Duration,
    /// The call's serial.
    pub serial: Serial,
    pub(crate) limits: ValueLimits,
}

impl CallReply {
    /// Whether the method returned its own error: the `err` of a `result`.
    pub fn is_err(&self) -> bool {
        is_err(&self.ty, &self.bytes)
    }

    /// The result as a value; none where the method has none.
    ///
    /// # Errors
    ///
    /// When the bytes are no value of the method's type.
    pub fn value(&self) -> Result<Option<Value>, Fault> {
        wire::decode_result(&self.ty, &self.bytes, &self.limits).map_err(bad_result)
    }

    /// The result as WAVE text; `()` where the method has none.
    ///
    /// # Errors
    ///
    /// As for [`CallReply::value`], and when the text would be too long.
    pub fn wave(&self) -> Result<String, Fault> {
        wave::print_result(&self.ty, self.value()?.as_ref(), &self.limits).map_err(bad_result)
    }

    /// The result as JSON; null where the method has none.
    ///
    /// # Errors
    ///
    /// As for [`CallReply::value`].
    pub fn json(&self) -> Result<serde_json::Value, Fault> {
        json::encode_result(&self.ty, self.value()?.as_ref(), &self.limits).map_err(bad_result)
    }
}

fn bad_result(error: ValueError) -> Fault {
    Fault::new(Code::BadResult, format!("the result cannot be shown: {error}"))
}

/// Whether these bytes are the `err` of a method whose result is a `result`.
pub(crate) fn is_err(ty: &FunctionType, bytes: &[u8]) -> bool {
    matches!(ty.result, Some(Type::Result(..))) && bytes.first() == Some(&1)
}

/// The fault that says so, with the error as WAVE where it is short.
pub(crate) fn guest_error(ty: &FunctionType, bytes: &[u8], limits: &ValueLimits) -> Fault {
    /// The longest error that is repeated in the fault's message, in bytes.
    const SHOWN: usize = 1024;
    let shown = (bytes.len() <= SHOWN)
        .then(|| wire::decode_result(ty, bytes, limits).ok())
        .flatten()
        .and_then(|value| wave::print_result(ty, value.as_ref(), limits).ok());
    match shown {
        Some(text) => Fault::new(
            Code::GuestError,
            format!("the method returned its own error: {text}"),
        ),
        None => Fault::new(Code::GuestError, "the method returned its own error"),
    }
}
