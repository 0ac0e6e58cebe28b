//! A fault as an envelope carries it.
//!
//! Owns the cutting: a fault always fits. Its code is never lost, its words
//! may be.

use super::{EnvelopeError, MAX_FAULT};
use crate::fault::Fault;

/// What is kept of a fault that is too long. JSON may need six bytes for one
/// of these characters, and all of them together stay below [`MAX_FAULT`].
const KEPT_MESSAGE: usize = 8 * 1024;
const KEPT_FRAMES: usize = 32;
const KEPT_FRAME: usize = 256;

/// The JSON text of `fault`, at most [`MAX_FAULT`] bytes.
///
/// A longer one loses its details (`{"cut": true}` stands for them), the end
/// of its message and its outer frames.
///
/// # Errors
///
/// [`EnvelopeError::NoFault`] when the details cannot be written as JSON.
pub fn fault_text(fault: &Fault) -> Result<String, EnvelopeError> {
    let write = |fault: &Fault| serde_json::to_string(fault).map_err(|_| EnvelopeError::NoFault);
    let text = write(fault)?;
    if text.len() <= MAX_FAULT {
        return Ok(text);
    }
    let cut = |text: &str, kept| text.chars().take(kept).collect::<String>();
    let frames = |frames: &Vec<String>| {
        frames
            .iter()
            .take(KEPT_FRAMES)
            .map(|frame| cut(frame, KEPT_FRAME))
            .collect::<Vec<_>>()
    };
    write(&Fault {
        code: fault.code,
        message: cut(&fault.message, KEPT_MESSAGE),
        details: Some(serde_json::json!({ "cut": true })),
        backtrace: fault.backtrace.as_ref().map(frames),
    })
}
