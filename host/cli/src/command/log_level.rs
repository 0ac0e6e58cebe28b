//! `odeon log-level`: what the host logs.

use odeon_protocol::{AdminRequest, LogLevelReply};

use super::Context;
use crate::output::Done;

/// Flags of `log-level`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The new setting: error, warn, info, debug, trace, or by part: info,odeon=debug
    directive: Option<String>,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let reply: LogLevelReply = context.ask(&AdminRequest::LogLevel {
        directive: args.directive,
    })?;
    context
        .out
        .either(&serde_json::json!({ "log_level": reply.directive }), || {
            reply.directive.clone()
        })
}
