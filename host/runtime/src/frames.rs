//! Where a guest was when it stopped, in words.
//!
//! Owns the frames that a fault carries: what a function is called, and which
//! line of which file it was in. All of that is the guest's own text, so it is
//! bounded here and cleaned where it is printed.

use std::fmt::{self, Write as _};

use wasmtime::{FrameInfo, WasmBacktrace};

use crate::lines::LineTable;

/// The most lines of a guest's backtrace that a fault carries.
const FRAMES: usize = 32;

/// The most frames that are read for that. More than lines, since a frame that
/// repeats itself makes one line.
pub(crate) const READ: usize = 128;

/// The most bytes of a name in it.
const NAME: usize = 256;

/// The guest's frames, innermost first; a frame that repeats itself is named
/// once. What functions are called is the guest's own text: it is cut.
pub(crate) fn backtrace(error: &wasmtime::Error, lines: &LineTable) -> Option<Vec<String>> {
    let trace = error.downcast_ref::<WasmBacktrace>()?;
    let mut shown: Vec<(String, usize)> = Vec::new();
    for frame in trace.frames() {
        let module = plain(frame.module().name().unwrap_or("<module>"));
        let mut line = match frame.func_name() {
            Some(name) => format!("{module}!{}", plain(name)),
            None => format!("{module}!<function {}>", frame.func_index()),
        };
        if let Some((file, number)) = place(frame, lines) {
            line.push_str(&format!(" ({file}:{number})"));
        }
        if let Some((last, times)) = shown.last_mut()
            && *last == line
        {
            *times += 1;
        } else if shown.len() < FRAMES {
            shown.push((line, 1));
        } else {
            break;
        }
    }
    let written = shown.into_iter().map(|(line, times)| match times {
        1 => line,
        times => format!("{line} ({times} times)"),
    });
    Some(written.collect())
}

/// File and line that the frame's instruction was made from.
fn place<'a>(frame: &FrameInfo, lines: &'a LineTable) -> Option<(&'a str, u32)> {
    // What the engine itself puts between nested components is numbered after
    // them, and its instructions have places of their own.
    let module = frame.module().functions().next()?.module;
    if module.as_u32() >= lines.modules() {
        return None;
    }
    lines.place(frame.module_offset()?)
}

/// A function's name as its author wrote it, cut.
fn plain(name: &str) -> String {
    let mut plain = Short(String::new());
    // An error means that there is no more room, which is what was wanted.
    let _cut = match rustc_demangle::try_demangle(name) {
        Ok(demangled) => write!(plain, "{demangled:#}"),
        Err(_) => plain.write_str(name),
    };
    plain.0
}

/// Text up to its limit: a short mangled name can stand for an endless one.
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = NAME.saturating_sub(self.0.len());
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
