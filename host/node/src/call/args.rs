//! Arguments in the forms a caller may have them in.

use odeon_protocol::{Code, Fault, FunctionType, ValueLimits, json, wave, wire};

use crate::registry::bad_arguments;

/// The arguments of a call.
#[derive(Clone, Debug)]
pub enum Args<'a> {
    /// In the wire form already.
    Encoded(Vec<u8>),
    /// As WAVE text, without the parentheses: `1, "two"`.
    Wave(&'a str),
    /// One WAVE text for each.
    WaveEach(&'a [String]),
    /// As JSON: an array in order, or an object by the parameters' names.
    Json(&'a serde_json::Value),
}

impl Args<'_> {
    /// The wire form. What was given encoded is not checked here.
    pub(crate) fn encode(self, ty: &FunctionType, limits: &ValueLimits) -> Result<Vec<u8>, Fault> {
        let values = match self {
            Args::Encoded(bytes) => return Ok(bytes),
            Args::Wave(text) => wave::parse_args(ty, text, limits).map_err(not_wave)?,
            Args::WaveEach(texts) => wave::parse_each(ty, texts, limits).map_err(not_wave)?,
            Args::Json(value) => json::args_from(ty, value, limits).map_err(|error| {
                Fault::new(Code::InvalidArguments, error.to_string()).with_details(serde_json::json!({
                    "path": error.path,
                    "expected": error.expected,
                    "found": error.found,
                }))
            })?,
        };
        wire::encode_args(ty, &values, limits).map_err(bad_arguments)
    }
}

fn not_wave(error: wave::WaveError) -> Fault {
    Fault::new(Code::InvalidArguments, error.to_string()).with_details(serde_json::json!({
        "path": error.path,
        "expected": error.expected,
        "found": error.found,
        "text": error.text,
        "start": error.span.start,
        "end": error.span.end,
    }))
}
