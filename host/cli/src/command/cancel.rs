//! `odeon cancel`: ends a request.

use odeon_protocol::{AdminRequest, CancelReply, Serial};

use super::Context;
use crate::output::Done;

/// Flags of `cancel`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The request's serial, as `call --async` prints it
    serial: Serial,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let serial = args.serial;
    let reply: CancelReply = context.ask(&AdminRequest::Cancel { serial })?;
    context.out.either(
        &serde_json::json!({ "request": { "serial": serial, "outcome": reply } }),
        || {
            let outcome = match reply {
                CancelReply::Withdrawn => "withdrawn: it will not be started",
                CancelReply::Signalled => "cancelled: its final status says so",
                CancelReply::AlreadySignalled => "cancelled before",
                CancelReply::Unknown => "taken care of, in a way that this version has no word for",
            };
            format!("{serial} {outcome}")
        },
    )
}
