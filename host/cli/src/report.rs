//! The end of a command that did not do what it was asked.
//!
//! Owns the last thing that is written and the exit status that belongs to it,
//! in both forms of output.

use clap::error::ErrorKind;
use odeon_protocol::{Fault, Serial};
use serde::Serialize;

use crate::{
    diagnostics,
    exit::Exit,
    failure::Failure,
    output::{self, Output},
    stderr,
};

#[derive(Serialize)]
struct Failed<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a serde_json::Value>,
    fault: &'a Fault,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

/// Says why, and with which status to end.
pub(crate) fn failed(failure: &Failure, out: Output) -> Exit {
    if failure.unheard {
        return Exit::Done;
    }
    let exit = Exit::of(failure.fault.code);
    if out.is_json() {
        let Failure {
            fault,
            wave,
            serial,
            data,
            warnings,
            ..
        } = failure;
        // There is nothing left to do when even this cannot be written.
        drop(out.document(&Failed {
            ok: false,
            wave: wave.as_deref(),
            serial: *serial,
            data: data.as_ref(),
            fault,
            warnings,
        }));
        return exit;
    }
    match &failure.wave {
        // The method's own error is an answer, and goes where answers go.
        Some(wave) => drop(out.line(wave)),
        None => stderr::line(&diagnostics::render(failure)),
    }
    exit
}

/// Answers a command line that cannot be parsed, or one that asks for help.
pub(crate) fn refused(error: &clap::Error) -> Exit {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let wants_json = std::env::args_os()
        .skip(1)
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json");
    if error.kind() == ErrorKind::DisplayVersion && wants_json {
        let document = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
        return match Output::new(true).document(&document) {
            Ok(()) => Exit::Done,
            Err(failure) => failed(&failure, Output::new(true)),
        };
    }
    if !asked && wants_json {
        let text = error.to_string();
        let message = text.trim().trim_start_matches("error: ");
        return failed(&Failure::usage(message), Output::new(true));
    }
    if let Err(error) = error.print()
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        output::note(&format!("the help cannot be written: {error}"));
    }
    if asked { Exit::Done } else { Exit::Usage }
}
