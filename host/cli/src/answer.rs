//! What a call gave back, as it is written.
//!
//! Owns the two forms of a result: its WAVE alone, or the JSON document of a
//! call. A method's own error becomes a failure that carries its WAVE.

use odeon_protocol::{
    Code, Fault, FunctionType, Generation, MAX_BODY, Serial, ValueLimits, json, wave, wire,
};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Done, Output},
};

/// The result of a call, in the wire form of the method's type.
pub(crate) struct Answer<'a> {
    pub(crate) ty: &'a FunctionType,
    pub(crate) body: &'a [u8],
    pub(crate) serial: Option<Serial>,
    pub(crate) generation: Option<Generation>,
    pub(crate) elapsed_us: Option<u64>,
    /// What the caller gave along, as the host repeats it.
    pub(crate) data: Option<&'a serde_json::Value>,
    /// What the caller should know although it went well.
    pub(crate) warnings: &'a [String],
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    result: serde_json::Value,
    wave: String,
    serial: Option<Serial>,
    generation: Option<Generation>,
    elapsed_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a serde_json::Value>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

/// What fits a message may be written and shown, however long its text: the
/// narrower limits of a plugin are for its host to keep.
pub(crate) const LIMITS: ValueLimits = ValueLimits {
    max_bytes: MAX_BODY,
    max_depth: 100,
    max_nodes: MAX_BODY / 4,
    max_text: usize::MAX,
};

impl Answer<'_> {
    /// Writes the result.
    pub(crate) fn write(&self, out: Output) -> Done {
        let value = self.value()?;
        let wave =
            wave::print_result(self.ty, value.as_ref(), &LIMITS).map_err(|error| unreadable(&error))?;
        if !out.is_json() {
            return out.line(&wave);
        }
        let result =
            json::encode_result(self.ty, value.as_ref(), &LIMITS).map_err(|error| unreadable(&error))?;
        let Answer {
            serial,
            generation,
            elapsed_us,
            data,
            warnings,
            ..
        } = *self;
        out.document(&Document {
            ok: true,
            result,
            wave,
            serial,
            generation,
            elapsed_us,
            data,
            warnings,
        })
    }

    /// The failure for a result that is the method's own error.
    pub(crate) fn own_error(&self, fault: Fault) -> Box<Failure> {
        let wave = self.value().and_then(|value| {
            wave::print_result(self.ty, value.as_ref(), &LIMITS).map_err(|error| unreadable(&error))
        });
        match wave {
            Ok(wave) => {
                let mut failure: Box<Failure> = fault.into();
                failure.wave = Some(wave);
                failure.serial = self.serial;
                failure.data = self.data.cloned();
                failure
            }
            Err(failure) => failure,
        }
    }

    fn value(&self) -> Done<Option<odeon_protocol::Value>> {
        wire::decode_result(self.ty, self.body, &LIMITS).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &odeon_protocol::ValueError) -> Box<Failure> {
    Failure::new(Code::BadResult, format!("the result cannot be read: {error}"))
}
