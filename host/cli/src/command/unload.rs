//! `odeon unload`: a plugin out of service.

use odeon_protocol::{AdminRequest, PluginName, UnloadReply};

use super::Context;
use crate::output::Done;

/// Flags of `unload`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    /// Stop the calls that run instead of waiting for them
    #[arg(long)]
    now: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let reply: UnloadReply = context.ask(&AdminRequest::Unload {
        name: args.name,
        now: args.now,
    })?;
    context.out.either(&serde_json::json!({ "plugin": reply }), || {
        let stopped = match reply.interrupted {
            0 => String::new(),
            1 => ", 1 call was stopped".to_owned(),
            n => format!(", {n} calls were stopped"),
        };
        format!("unloaded {} generation {}{stopped}", reply.name, reply.generation)
    })
}
